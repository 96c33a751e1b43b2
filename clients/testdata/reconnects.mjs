// Checks the client at CLIENT, on a WebSocket that answers when this program lets it, in the moments
// in which a lost connection is continued, and prints ok.
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";

const { Gateway } = await import(pathToFileURL(process.env.CLIENT));
const sleep = globalThis.setTimeout;
globalThis.setTimeout = (f, ms) => sleep(f, ms / 100); // pauses and time-outs are short

let sockets;
class Socket {
  orders = []; // types of orders, and lengths of audio
  sent = []; // orders
  waiting = [];
  constructor() {
    sockets.push(this);
    sleep(() => this.onopen());
  }
  send(message) {
    if (typeof message === "string") this.sent.push(JSON.parse(message));
    this.orders.push(typeof message === "string" ? this.sent.at(-1).type : message.length);
    for (const wake of this.waiting.splice(0)) wake();
  }
  tell(type, data) {
    this.onmessage({ data: JSON.stringify({ type, data }) });
  }
  async until(order) {
    while (!this.orders.includes(order)) await new Promise((wake) => this.waiting.push(wake));
  }
  close() {}
}

const connect = (WebSocket) => new Gateway("http://127.0.0.1:1", { WebSocket }).conversation("c").connect();

async function socket(n) {
  while (sockets.length <= n) await new Promise((wake) => sleep(wake));
  return sockets[n];
}

// Begins an utterance, loses the connection, and returns when the client has asked to continue.
async function lose() {
  sockets = [];
  const stream = await connect(Socket);
  stream.start();
  sockets[0].tell("accepted", { id: "u", phase: "waiting", open: true });
  await stream.write(new Uint8Array(2));
  sockets[0].onclose({ code: 1006 });
  const again = await socket(1);
  await again.until("continue");
  return { stream, again };
}

// What is written, marked and ended in whatever moment after the answer is sent, once and in order.
for (let moment = 0; moment < 12; moment++) {
  const { stream, again } = await lose();
  again.tell("accepted", { id: "u", phase: "waiting", open: true });
  for (let n = 0; n < moment; n++) await null;
  void stream.write(new Uint8Array(4));
  void stream.mark("m");
  void stream.end();
  await new Promise((done) => sleep(done));
  assert.deepEqual(again.orders, ["continue", 2, 4, "mark", "end"], `moment ${moment}`);
}

// So is what is asked while the gateway has not answered yet.
{
  const { stream, again } = await lose();
  stream.pause();
  const listening = stream.listen(() => {});
  again.tell("accepted", { id: "u", phase: "waiting", open: true });
  again.tell("listening", { rate: 24000 });
  assert.equal((await listening).rate, 24000);
  await again.until(2);
  stream.unlisten();
  assert.deepEqual(again.orders, ["continue", "pause", "listen", 2, "unlisten"]);
}

// An interrupt that is sent again names what was begun after it, which it does not stop.
{
  const { stream, again } = await lose();
  again.tell("accepted", { id: "u", phase: "waiting", open: true });
  await again.until(2);
  void stream.interrupt();
  stream.start();
  again.onclose({ code: 1006 });
  const third = await socket(2);
  await third.until("continue");
  third.tell("accepted", { id: "u", phase: "over", receipt: { outcome: "interrupted" } });
  await third.until("start");
  const key = (type, { sent }) => sent.find((order) => order.type === type).key;
  assert.deepEqual(third.orders, ["continue", "interrupt", "start"]);
  assert.ok(key("start", again));
  assert.equal(key("interrupt", third), key("start", again));
}

// A mark of an utterance that was over before the connection came back is dropped.
{
  const { stream, again } = await lose();
  again.tell("accepted", { id: "u", phase: "over", receipt: { outcome: "interrupted" } });
  await new Promise((done) => sleep(done));
  await assert.rejects(stream.mark("late"), /over/);
  assert.equal((await stream.end()).receipt.outcome, "interrupted");
}

// A node that never answers is given up.
class Silent {
  close() {}
}
await assert.rejects(connect(Silent), /does not answer/);
console.log("ok");
