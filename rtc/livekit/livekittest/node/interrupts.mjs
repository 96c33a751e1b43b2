// Speaks to an avatar with LiveKit's own DataStreamAudioOutput again and again, and
// interrupts it at random moments. It prints what it learns of each, one JSON object
// per line.
//
//   node interrupts.mjs URL TOKEN AVATAR RATE COUNT
import { initializeLogger, voice } from "@livekit/agents";
import { AudioFrame, Room, TrackKind } from "@livekit/rtc-node";

const [url, token, avatar, rateText, count] = process.argv.slice(2);
const rate = Number(rateText), size = rate / 20;
const tone = Int16Array.from({ length: size }, (_, i) => 12000 * Math.sin(2 * Math.PI * 1000 * i / rate));
const tell = line => console.log(JSON.stringify(line));
const pause = ms => new Promise(done => setTimeout(done, ms));

// The moments are random, and the same in every run.
let seed = 1;
const random = () => (seed = seed * 48271 % 2147483647) / 2147483647;

initializeLogger({ pretty: false, level: "silent" });
const room = new Room();
await room.connect(url, token, { autoSubscribe: false });
const output = new voice.DataStreamAudioOutput({
  room, destinationIdentity: avatar, sampleRate: rate, waitRemoteTrack: TrackKind.KIND_VIDEO, waitPlaybackStart: true,
});

for (let n = 0; n < Number(count); n++) {
  let stopped = false;
  const speaking = (async () => {
    for (let at = 0; at < 60 && !stopped; at++) await output.captureFrame(new AudioFrame(tone, rate, 1, size));
  })();
  await pause(100 + 1400 * random()); // the avatar's library may let a call overtake a stream that has just begun
  stopped = true;
  await speaking;
  output.clearBuffer();
  output.flush();
  tell({ event: "interrupted", ...await output.waitForPlayout() });
  await pause(300); // what was on its way is heard
}
await room.disconnect();
process.exit(0); // the native library keeps threads running
