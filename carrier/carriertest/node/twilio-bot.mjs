// A voice bot made for Twilio Media Streams, with nothing but ws and the documented
// messages. It greets with marks, listens until it has heard the caller for a while,
// says something long and clears it, says goodbye, and hangs up. What it learns it
// prints, one JSON object per line; the first is its port.
import { WebSocketServer } from "ws";

const tell = line => console.log(JSON.stringify(line));
const rate = 8000;

// mu-law by ITU-T G.711
function encode(sample) {
  const sign = sample < 0 ? 0x80 : 0;
  const size = Math.min(Math.abs(sample), 32635) + 132;
  const segment = Math.floor(Math.log2(size)) - 7;
  return ~(sign | segment << 4 | size >> segment + 3 & 15) & 0xff;
}
function decode(code) {
  code = ~code & 0xff;
  const size = ((code & 15) * 8 + 132 << (code >> 4 & 7)) - 132;
  return code & 0x80 ? -size : size;
}
const tone = (hertz, seconds) =>
  Buffer.from(Array.from({ length: rate * seconds }, (_, i) => encode(Math.round(8000 * Math.sin(2 * Math.PI * hertz * i / rate)))));

const server = new WebSocketServer({ port: 0, host: "127.0.0.1" }, () => tell({ port: server.address().port }));
server.on("connection", (ws, request) => {
  let streamSid, frames = 0, loud = 0, said = false, greeted = false;
  const heard = [];
  const send = message => ws.send(JSON.stringify({ streamSid, ...message }));
  const say = (audio, mark) => {
    for (let at = 0; at < audio.length; at += 160) {
      send({ event: "media", media: { payload: audio.subarray(at, at + 160).toString("base64") } });
    }
    send({ event: "mark", mark: { name: mark } });
  };
  tell({ signature: request.headers["x-twilio-signature"] ?? "" });
  ws.on("message", data => {
    const message = JSON.parse(data);
    switch (message.event) {
      case "connected":
        return tell(message);
      case "start":
        streamSid = message.start.streamSid;
        tell({ event: "start", format: message.start.mediaFormat, tracks: message.start.tracks, parameters: message.start.customParameters });
        for (const name of ["one", "two", "three"]) say(tone(440, 0.5), name);
        return;
      case "media": {
        const samples = [...Buffer.from(message.media.payload, "base64")].map(decode);
        frames++;
        if (Number(message.media.chunk) !== frames || samples.length !== 160) tell({ wrong: message });
        if (samples.some(sample => Math.abs(sample) > 1000) && loud++ < 100) heard.push(...samples);
        break;
      }
      case "mark":
        tell({ event: "mark", name: message.mark.name });
        if (message.mark.name === "three") greeted = true;
        if (message.mark.name === "bye") ws.close(1000);
    }
    if (!said && loud >= 50 && greeted) {
      said = true;
      say(tone(440, 8), "long");
      setTimeout(() => {
        send({ event: "clear" });
        say(tone(440, 0.5), "bye");
      }, 1500);
    }
  });
  ws.on("close", code => {
    let crossings = 0;
    for (let i = 1; i < heard.length; i++) if (heard[i - 1] < 0 && heard[i] >= 0) crossings++;
    tell({ event: "closed", code, frames, hertz: crossings * rate / heard.length });
    server.close();
  });
});
