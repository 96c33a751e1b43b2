// An avatar worker on LiveKit's library for Node. As LiveKit's own worker does, it
// publishes audio, waits for somebody to subscribe to it and then publishes video.
// It prints what it does, one JSON object per line.
//
//   node worker.mjs URL TOKEN SENDER
import { createHash } from "node:crypto";
import {
  AudioFrame, AudioSource, LocalAudioTrack, LocalVideoTrack, Room, TrackPublishOptions, TrackSource,
  VideoBufferType, VideoFrame, VideoSource,
} from "@livekit/rtc-node";

const [url, token, sender] = process.argv.slice(2);
const tell = line => console.log(JSON.stringify(line));
const room = new Room();
let playing = null; // the stream that plays: {rate, bytes, began, done}

const call = (method, payload) => room.localParticipant.performRpc({ destinationIdentity: sender, method, payload });

// finish reports the stream that plays as over; played is its length in seconds.
async function finish(interrupted) {
  const stream = playing;
  if (!stream) return;
  playing = null;
  clearTimeout(stream.done);
  const length = stream.bytes / 2 / stream.rate;
  const position = interrupted ? Math.min((Date.now() - stream.began) / 1000, length) : length;
  const reply = await call("lk.playback_finished", JSON.stringify({ playback_position: position, interrupted }));
  tell({ event: "finished", position, interrupted, bytes: stream.bytes, sha256: stream.hash.digest("hex"), reply });
}

room.registerByteStreamHandler("lk.audio_stream", async (reader, from) => {
  if (from.identity !== sender) return;
  const { sample_rate: rate, num_channels: channels } = reader.info.attributes;
  tell({ event: "stream", rate, channels });
  const stream = playing = { rate: Number(rate), bytes: 0, began: Date.now(), hash: createHash("sha256") };
  for await (const chunk of reader) {
    if (stream.bytes === 0) call("lk.playback_started", "").catch(() => {});
    stream.bytes += chunk.length;
    stream.hash.update(chunk);
  }
  if (stream !== playing) return; // it was cleared
  const left = stream.began + stream.bytes / 2 / stream.rate * 1000 - Date.now();
  stream.done = setTimeout(() => finish(false), left);
});

await room.connect(url, token, { autoSubscribe: false });
room.localParticipant.registerRpcMethod("lk.clear_buffer", async call => {
  if (call.callerIdentity !== sender) return "reject";
  setTimeout(() => finish(true)); // after the answer
  return "ok";
});

const options = source => Object.assign(new TrackPublishOptions(), { source });
const sound = new AudioSource(48000, 1);
const audio = await room.localParticipant.publishTrack(LocalAudioTrack.createAudioTrack("avatar_audio", sound), options(TrackSource.SOURCE_MICROPHONE));
(async () => { for (;;) await sound.captureFrame(AudioFrame.create(48000, 1, 480)); })();
tell({ event: "audio" });
await audio.waitForSubscription();
const picture = new VideoSource(64, 48);
await room.localParticipant.publishTrack(LocalVideoTrack.createVideoTrack("avatar_video", picture), options(TrackSource.SOURCE_CAMERA));
setInterval(() => picture.captureFrame(new VideoFrame(new Uint8Array(64 * 48 * 3 / 2).fill(128), 64, 48, VideoBufferType.I420)), 100);
tell({ event: "video" });
process.stdin.on("end", () => process.exit(0)).resume();
