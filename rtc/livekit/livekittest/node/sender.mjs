// Speaks to an avatar with LiveKit's own DataStreamAudioOutput, and prints what it
// learns of the playback, one JSON object per line.
//
//   node sender.mjs URL TOKEN AVATAR PCM RATE
//
// PCM is a file of samples of 16 bits. It is spoken once to its end, and then ten times
// without a pause, and interrupted once that plays.
import { readFileSync } from "node:fs";
import { initializeLogger, voice } from "@livekit/agents";
import { AudioFrame, Room, TrackKind } from "@livekit/rtc-node";

const [url, token, avatar, file, rate] = process.argv.slice(2);
const samples = new Int16Array(new Uint8Array(readFileSync(file)).buffer);
const tell = line => console.log(JSON.stringify(line));

initializeLogger({ pretty: false, level: "silent" });
const room = new Room();
await room.connect(url, token, { autoSubscribe: false });
const output = new voice.DataStreamAudioOutput({
  room, destinationIdentity: avatar, sampleRate: Number(rate), waitRemoteTrack: TrackKind.KIND_VIDEO, waitPlaybackStart: true,
});
const started = () => new Promise(resolve => output.once("playbackStarted", resolve));

async function speak(times) {
  const size = rate / 10;
  for (let n = 0; n < times; n++) {
    for (let at = 0; at < samples.length; at += size) {
      const piece = samples.slice(at, at + size);
      await output.captureFrame(new AudioFrame(piece, Number(rate), 1, piece.length));
    }
  }
  output.flush();
}

await speak(1);
tell({ event: "finished", ...await output.waitForPlayout() });
const plays = started();
await speak(10); // it still plays when a slow machine interrupts it
await plays;
output.clearBuffer();
tell({ event: "interrupted", ...await output.waitForPlayout() });
await room.disconnect();
process.exit(0); // the native library keeps threads running
