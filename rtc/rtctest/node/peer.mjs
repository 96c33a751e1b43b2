// A peer on a WebRTC library that is not ours: libdatachannel or werift. Prints what
// happens, one JSON object per line, and ends with its standard input.
//
//   node peer.mjs LIBRARY dial URL   dials a listener, and says "hello"
//   node peer.mjs LIBRARY serve      answers offers; prints its URL
//
// Both send back every message, but for "close", at which they call close().
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

function use(connection, channel) {
  if (channel.label !== "echocast") return;
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
  channel.onopen = () => channel.send("hello");
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
await (role === "dial" ? dial() : serve());
