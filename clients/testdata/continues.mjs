// Speaks by a gateway whose WebSockets are cut again and again, with the client at CLIENT and the
// WebSocket at WS, checks that all is said once and told once, and prints ok.
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";

const { Gateway, GatewayError, pcm16 } = await import(pathToFileURL(process.env.CLIENT));
const { WebSocket } = await import(pathToFileURL(process.env.WS));

const rate = 48000;
const tone = (seconds) => pcm16(Float32Array.from({ length: seconds * rate }, (_, i) => 0.3 * Math.sin(i / 9)));
const gateway = new Gateway(["http://127.0.0.1:1", process.argv[2]], { WebSocket }); // nobody is at the first address
await assert.rejects(gateway.create({ to: "rehearsal" }), TypeError);
const conversation = await gateway.create({ to: "rehearsal", hear: "user" });
const stream = await conversation.connect({ rate, after: 0 });
const ids = [];
let lost = 0;
stream.onevent = (e) => {
  if (e.id) ids.push(e.id);
  else if (e.type === "lost") lost++;
};
await stream.listen(() => {}, { rate: 8000 });

const spoken = [];
const marks = [];
for (let n = 0; n < 4; n++) {
  stream.start({ name: `utterance ${n}` });
  for (let piece = 0; piece < 12; piece++) {
    await stream.write(tone(0.1));
    if (piece % 5 === 0) marks.push(stream.mark(`${n}.${piece}`));
  }
  spoken.push(stream.end());
}
for (const { receipt } of await Promise.all(spoken)) {
  assert.equal(receipt.outcome, "finished");
  assert.equal(receipt.samples, 28800);
}
assert.deepEqual((await Promise.all(marks)).map(({ name, seconds, heard }) => [name, Math.round(10 * seconds), heard]),
  [0, 1, 2, 3].flatMap((n) => [0, 5, 10].map((piece) => [`${n}.${piece}`, piece + 1, true])));

// More than may be on the way, and an interrupt.
await stream.write(tone(20));
const over = stream.end();
const receipts = await stream.interrupt();
assert.equal((await over).receipt.outcome, "interrupted");
assert.ok(receipts.length <= 1, JSON.stringify(receipts));

const { utterances } = await gateway.json(`/v1/conversations/${conversation.id}/utterances`);
assert.equal(utterances.length, 5);
assert.ok(lost > 0, "nobody told that what was said in the room was lost");
stream.start();
await stream.write(tone(0.1));
const cut = stream.end();
await conversation.end();
await cut.catch(() => {}); // it may have been said
for (let quiet = 0; quiet < 1200; quiet++) { // until the connection has ended for good
  try {
    stream.pause();
  } catch {
    break;
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
}
assert.throws(() => stream.start(), /ended/);
assert.deepEqual(ids, ids.map((_, i) => ids[0] + i));
// What came before onevent was set is not missing: nothing was said yet.
for await (const e of conversation.events()) {
  if (e.type === "utterance") {
    assert.ok(ids[0] <= e.id && ids.length > 20, ids.join());
    break;
  }
}

// What does not exist is not asked for again and again.
await assert.rejects(gateway.conversation("none").connect(), /refuses/);
console.log("ok");
