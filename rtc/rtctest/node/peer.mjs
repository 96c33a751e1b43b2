// A peer on a WebRTC library that is not ours: libdatachannel or werift. Prints what
// happens, one JSON object per line, and ends with its standard input.
//
//   node peer.mjs LIBRARY dial URL    dials a listener, and says "hello"
//   node peer.mjs LIBRARY serve       answers offers; prints its URL
//   node peer.mjs LIBRARY speak URL   dials a replica, speaks for half a second, and
//                                     prints the replica's events
//   node peer.mjs LIBRARY replica     answers offers as a replica does: it says when
//                                     an utterance starts and stops
//
// The first two send back every message, but for "close", at which they call close().
import { createServer } from "node:http";

const [library, role, url] = process.argv.slice(2);
const { RTCPeerConnection } = await import(library === "werift" ? "werift" : "node-datachannel/polyfill");
const tell = line => console.log(JSON.stringify(line));
const config = library === "werift" ? { iceServers: [], iceAdditionalHostAddresses: ["127.0.0.1"], iceUseIpv6: false } : { iceServers: [] };

// gathered waits for all candidates, and returns the description with them.
async function gathered(connection) {
  while (connection.iceGatheringState !== "complete") await new Promise(resolve => setTimeout(resolve, 5));
  return connection.localDescription.sdp;
}

// A replica reports the playback of what it is sent.
function replica(channel) {
  const say = (event_type, properties, inference_id) =>
    channel.send(JSON.stringify({ message_type: "conversation", event_type, conversation_id: "local", inference_id, properties }));
  const bytes = {}; // of each utterance
  channel.onmessage = ({ data }) => {
    const { event_type, properties } = JSON.parse(data);
    if (event_type !== "conversation.echo") return;
    const id = properties.inference_id;
    if (bytes[id] === undefined) say("conversation.started_speaking", { role: "pal" }, id);
    bytes[id] = (bytes[id] ?? 0) + Buffer.from(properties.audio, "base64").length;
    if (!properties.done) return;
    const duration = bytes[id] / 2 / properties.sample_rate;
    tell({ event: "heard", bytes: bytes[id] });
    say("conversation.stopped_speaking", { role: "pal", interrupted: false, duration }, id);
  };
  say("system.replica_joined", {});
}

// A client speaks for half a second, ten messages, and prints what the replica reports about it.
function speak(channel) {
  channel.onmessage = ({ data }) => {
    const { event_type, inference_id } = JSON.parse(data);
    tell({ event: event_type, id: inference_id });
  };
  for (let n = 1; n <= 10; n++) {
    const properties = {
      modality: "audio", audio: Buffer.alloc(2400).toString("base64"), sample_rate: 24000, inference_id: "utterance-1", done: n === 10,
    };
    channel.send(JSON.stringify({ message_type: "conversation", event_type: "conversation.echo", conversation_id: "local", properties }));
  }
}

function use(connection, channel) {
  if (channel.label !== "echocast") return;
  if (role === "replica") return channel.readyState === "open" ? replica(channel) : channel.onopen = () => replica(channel);
  if (role === "speak") return channel.onopen = () => speak(channel);
  channel.onmessage = ({ data }) => {
    if (data === "close") connection.close();
    else channel.send(data);
  };
  channel.onclose = () => tell({ event: "closed" });
}

async function dial() {
  const connection = new RTCPeerConnection(config);
  const channel = connection.createDataChannel("echocast");
  use(connection, channel);
  if (role === "dial") channel.onopen = () => channel.send("hello");
  await connection.setLocalDescription(await connection.createOffer());
  const response = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: await gathered(connection) });
  if (response.status !== 201) throw new Error(response.status + " " + await response.text());
  await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
}

async function answer(offer) {
  const connection = new RTCPeerConnection(config);
  connection.ondatachannel = ({ channel }) => use(connection, channel);
  await connection.setRemoteDescription({ type: "offer", sdp: offer });
  await connection.setLocalDescription(await connection.createAnswer());
  return gathered(connection);
}

function serve() {
  const server = createServer(async (request, response) => {
    if (request.method === "DELETE") return response.end();
    let offer = "";
    for await (const piece of request) offer += piece;
    response.writeHead(201, { "Content-Type": "application/sdp", Location: "/session" });
    response.end(await answer(offer));
  });
  server.listen(0, "127.0.0.1", () => tell({ event: "serves", url: `http://127.0.0.1:${server.address().port}/` }));
}

process.stdin.on("end", () => process.exit(0)).resume();
await (role === "dial" || role === "speak" ? dial() : serve());
