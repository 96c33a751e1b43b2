// Speaks by a gateway whose address it is given, with the client at CLIENT and the
// WebSocket at WS, checks what comes back, and prints ok.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const { Gateway, GatewayError, pcm16 } = await import(pathToFileURL(process.env.CLIENT));
const { WebSocket } = await import(pathToFileURL(process.env.WS));

const gateway = new Gateway(process.argv[2] + "/", { WebSocket });
await assert.rejects(gateway.create({ to: "rehearsal", lead_seconds: -1 }), (err) => err instanceof GatewayError && err.problem.status === 422 && /lead_seconds/.test(err.message));
const conversation = await gateway.create({ to: "rehearsal", label: "test" });
assert.equal((await gateway.list()).length, 1);
assert.equal((await conversation.info()).label, "test");
await assert.rejects(gateway.conversation("none").info(), (err) => err.problem?.status === 404);

const tone = (seconds, rate = 24000) => pcm16(Float32Array.from({ length: seconds * rate }, (_, i) => 0.3 * Math.sin(i / 9)));
assert.deepEqual([...pcm16(Float32Array.of(0, 1, -1, 2, NaN, 0.5))], [0, 0, 255, 127, 0, 128, 255, 127, 0, 0, 0, 64]);

// A file, whole.
const file = await conversation.speak(await readFile("../testdata/mp3/speech_24000hz_mono_cbr64.mp3"), { name: "a file" });
assert.equal(file.receipt.outcome, "finished");
assert.equal(file.receipt.source, "a file");

// Samples as they are made.
async function* made() {
  for (let i = 0; i < 4; i++) yield tone(0.1, 16000);
}
const live = await conversation.speak(made(), { format: "s16le", rate: 16000 });
assert.equal(live.receipt.samples, 9600);

// An error is what the gateway says.
await assert.rejects(conversation.speak("hello, this is no audio"), (err) => err instanceof GatewayError && err.message.length > 10);

// A WebSocket: marks, the receipt, an interrupt.
const stream = await conversation.connect({ rate: 24000 });
const seen = [];
stream.onevent = (e) => seen.push(e.type);
stream.start({ name: "a stream", text: "one two" });
await stream.write(tone(0.3));
const first = stream.mark("first");
await stream.write(tone(0.3));
const receipt = (await stream.end()).receipt;
assert.equal(receipt.outcome, "finished");
assert.equal(receipt.samples, 14400);
assert.deepEqual(await first.then(({ name, seconds, heard }) => ({ name, seconds, heard })), { name: "first", seconds: 0.3, heard: true });
assert.ok(seen.includes("receipt") && seen.includes("utterance"), seen.join());

await stream.write(tone(20));
const never = stream.mark("never");
const over = stream.end();
const [cut] = await stream.interrupt();
assert.equal(cut.receipt.outcome, "interrupted", JSON.stringify(cut));
assert.equal((await over).receipt.outcome, "interrupted");
assert.equal((await never).heard, false);

// What happens to an utterance may come before it is accepted.
class Early {
  bufferedAmount = 0;
  constructor() {
    setTimeout(() => this.onopen());
  }
  send(order) {
    if (JSON.parse(order).type !== "start") return;
    for (const message of [
      { id: 1, type: "receipt", data: { utterance: "u", receipt: { outcome: "interrupted" } } },
      { id: 2, type: "utterance", data: { id: "u", phase: "over" } },
      { type: "accepted", data: { id: "u", phase: "over" } },
    ]) this.onmessage({ data: JSON.stringify(message) });
  }
}
const early = await new Gateway("http://127.0.0.1", { WebSocket: Early }).conversation("c").connect();
early.start();
assert.equal((await Promise.race([early.end(), new Promise((done) => setTimeout(done, 60_000).unref())]))?.receipt.outcome, "interrupted");

// Somebody else interrupts: the rest of its audio is dropped, and so is a mark.
await stream.write(tone(0.3));
const others = conversation.gateway.conversation(conversation.id, conversation.token);
while ((await others.interrupt()).length === 0);
await stream.write(tone(0.3));
assert.equal((await stream.mark("late")).heard, false);
assert.equal((await stream.end()).receipt.outcome, "interrupted");

// What is refused is not spoken, also where its audio follows.
stream.start({ format: "s99" });
await assert.rejects(async () => {
  for (;;) {
    await stream.write(tone(0.1));
    await conversation.info();
  }
}, GatewayError);
await assert.rejects(stream.end(), GatewayError);
await stream.write(tone(0.1));
assert.equal((await stream.end()).receipt.samples, 2400);
stream.close();

// Events, from an id on.
const told = [];
for await (const e of conversation.events({ after: 1 })) {
  told.push(e);
  if (e.type === "receipt") break;
}
assert.equal(told[0].id, 2);
assert.equal(told.at(-1).data.receipt.source, "a file");

// A signal interrupts.
const abort = new AbortController();
const aborted = conversation.speak(tone(30), { format: "s16le", rate: 24000, signal: abort.signal });
for await (const e of conversation.events({ after: told.at(-1).id })) {
  if (e.type === "utterance" && e.data.phase === "speaking" && (await conversation.info()).utterances >= 8) break;
}
abort.abort();
await assert.rejects(aborted, { name: "AbortError" });

// The user of a rehearsal speaks, and is heard.
const heard = await gateway.create({ to: "rehearsal", hear: "user" });
const listening = heard.listen({ rate: 16000 });
await listening.next(); // silence: all that follows is heard
const said = heard.speakAsUser(tone(0.5), { format: "s16le", rate: 24000 });
let loud = 0;
for await (const pcm of listening) {
  const samples = new Int16Array(pcm.buffer.slice(pcm.byteOffset, pcm.byteOffset + pcm.byteLength));
  loud += samples.filter((sample) => Math.abs(sample) > 1000).length;
  if (loud > 3000) break;
}
assert.ok((await said) >= 0.5);
await assert.rejects(conversation.listen().next(), (err) => err instanceof GatewayError && /hear/.test(err.message));

// The same by a WebSocket, while it speaks, and a bot is called.
const both = await heard.connect({ rate: 24000 });
loud = 0;
let enough;
const isEnough = new Promise((done) => (enough = done));
const onaudio = (pcm) => {
  assert.ok(pcm.length <= 640, `${pcm.length}`);
  loud += new Int16Array(pcm.slice().buffer).filter((sample) => Math.abs(sample) > 1000).length;
  if (loud > 3000) enough();
};
await assert.rejects(both.listen(onaudio, { rate: 7 }), (err) => err instanceof GatewayError && /rate/.test(err.message));
assert.deepEqual(await both.listen(onaudio, { from: "user", rate: 16000 }), { from: "user", format: "s16le", rate: 16000, channels: 1 });
await both.write(tone(0.2));
const userSaid = heard.speakAsUser(tone(0.5), { format: "s16le", rate: 24000 });
assert.equal((await both.end()).receipt.outcome, "finished");
await isEnough;
await userSaid;
both.unlisten();
both.close();
const bot = process.argv[3];
await assert.rejects(heard.hangUpBot(), (err) => err.problem?.status === 404);
await assert.rejects(conversation.callBot({ url: bot }), (err) => err instanceof GatewayError && /hear/.test(err.message));
assert.deepEqual(await heard.callBot({ url: bot, carrier: "vonage", rate: 8000 }), { carrier: "vonage", state: "connected" });
await assert.rejects(heard.callBot({ url: bot }), (err) => err.problem?.status === 409);
assert.equal((await heard.hangUpBot()).state, "stopped");
assert.equal((await heard.info()).state, "open");
await heard.end();

await conversation.end();
assert.equal((await gateway.list()).length, 0);

// Each connection for events is cut after a few: all come, once, until the end.
const ids = [];
for await (const e of conversation.events()) ids.push(e.id);
assert.ok(ids.length > 20, ids.join());
assert.deepEqual(ids, ids.map((_, i) => i + 1));
console.log("ok");
