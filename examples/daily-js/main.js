import { Speaker, isReplica } from "../echocast.js";

const $ = id => document.getElementById(id);

// No camera and no microphone: this page listens, and sends messages.
const call = Daily.createCallObject({ audioSource: false, videoSource: false });

const speaker = new Speaker({
  send: (message, session) => call.sendAppMessage(message, session),
  show,
  changed() {
    $("speak").disabled = !speaker.canSpeak;
    $("interrupt").disabled = !speaker.canInterrupt;
  },
});

function show(text) {
  $("events").append(Object.assign(document.createElement("li"), { textContent: text }));
}

function meet(participant) {
  if (isReplica(participant)) speaker.arrived(participant.session_id);
}

call.on("joined-meeting", event => {
  show("joined");
  Object.values(event.participants).forEach(meet);
});
call.on("participant-joined", event => meet(event.participant));
call.on("participant-left", event => speaker.left(event.participant.session_id));
call.on("app-message", event => speaker.hear(event.data, event.fromId));
call.on("left-meeting", () => speaker.left(speaker.replica));
call.on("error", event => show(event.errorMsg));

// The replica's picture and voice are separate tracks of one stream.
call.on("track-started", ({ participant, track }) => {
  if (!participant || participant.local) return;
  const stream = $("replica").srcObject ??= new MediaStream();
  stream.getTracks().filter(t => t.kind === track.kind).forEach(t => stream.removeTrack(t));
  stream.addTrack(track);
});

$("join").addEventListener("submit", async event => {
  event.preventDefault();
  const { url, token } = Object.fromEntries(new FormData(event.target));
  try {
    await call.join(token ? { url, token } : { url });
  } catch {} // the error event tells
});
$("speak").addEventListener("click", () => speaker.speak("/speech"));
$("interrupt").addEventListener("click", () => speaker.interrupt());
