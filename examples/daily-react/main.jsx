import { StrictMode, useCallback, useEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import {
  DailyAudio, DailyProvider, DailyVideo, useAppMessage, useDaily, useDailyEvent, useParticipantIds,
} from "@daily-co/daily-react";
import { Speaker, isReplica } from "../echocast.js";
import { Lanes, captionOf } from "../../replica/page/static/lanes.js";

/** A speaker in the room of the call, and what it has shown. */
function useSpeaker() {
  const daily = useDaily();
  const call = useRef(null);
  useEffect(() => { call.current = daily; }, [daily]);
  const [events, setEvents] = useState([]);
  const [, render] = useState(0);
  const [caption, setCaption] = useState("");
  const [updates] = useState(() => new EventTarget());
  const show = useCallback(text => setEvents(all => [...all, text]), []);
  const [speaker] = useState(() => new Speaker({
    send: (message, session) => call.current.sendAppMessage(message, session),
    show,
    changed: () => render(n => n + 1),
    happened: update => {
      updates.dispatchEvent(new CustomEvent("update", { detail: { ...update, t: performance.now() / 1000 } }));
      if (update.message) setCaption(text => captionOf(update.message) ?? text);
    },
  }));

  const meet = participant => isReplica(participant) && speaker.arrived(participant.session_id);
  useDailyEvent("joined-meeting", useCallback(event => {
    show("joined");
    Object.values(event.participants).forEach(meet);
  }, []));
  useDailyEvent("participant-joined", useCallback(event => meet(event.participant), []));
  useDailyEvent("participant-left", useCallback(event => speaker.left(event.participant.session_id), []));
  useDailyEvent("left-meeting", useCallback(() => speaker.left(speaker.replica), []));
  useDailyEvent("error", useCallback(event => show(event.errorMsg), []));
  useAppMessage({ onAppMessage: useCallback(event => speaker.hear(event.data, event.fromId), []) });
  return { speaker, events, caption, updates };
}

/**
 * What is sent, held and played, as on the page of the stand-in replica. A room tells when speech starts and stops; in
 * between it plays by the clock.
 */
function RoomLanes({ updates }) {
  const canvas = useRef(null);
  useEffect(() => {
    const clock = () => performance.now() / 1000, lanes = new Lanes(canvas.current, clock);
    let since = null, frame = 0; // since when speech plays that is not drawn yet
    const take = ({ detail }) => {
      const isUser = detail.type.startsWith("user") || detail.message?.properties?.role === "user";
      if (/started_speaking$/.test(detail.type) && !isUser) since = detail.t;
      if (/stopped_speaking$/.test(detail.type) && !isUser) since = null;
      lanes.add(detail);
    };
    const draw = () => {
      const now = clock();
      if (since !== null) { lanes.add({ type: "sound", t: since, seconds: now - since }); since = now; }
      lanes.draw();
      frame = requestAnimationFrame(draw);
    };
    updates.addEventListener("update", take);
    draw();
    return () => { cancelAnimationFrame(frame); updates.removeEventListener("update", take); };
  }, [updates]);
  return <canvas ref={canvas} role="img" aria-label="The last 20 seconds: received, held, playing and events" />;
}

function Room() {
  const call = useDaily();
  const { speaker, events, caption, updates } = useSpeaker();
  const others = useParticipantIds({ filter: "remote" });

  function join(event) {
    event.preventDefault();
    const { url, token } = Object.fromEntries(new FormData(event.target));
    call.join(token ? { url, token } : { url }).catch(() => {}); // the error event tells
  }

  return <>
    <form id="join" onSubmit={join}>
      <input name="url" type="url" required size="50" placeholder="https://tavus.daily.co/c0123456789abcdef" />
      <input name="token" placeholder="token, if the room is private" />
      <button>Join</button>
    </form>
    {others.map(id => <DailyVideo key={id} sessionId={id} type="video" style={{ width: 480 }} />)}
    <DailyAudio />
    <p id="caption" aria-live="polite">{caption}</p>
    <p>
      <button id="speak" disabled={!speaker.canSpeak} onClick={() => speaker.speak("/speech")}>Speak</button>
      <button id="interrupt" disabled={!speaker.canInterrupt} onClick={() => speaker.interrupt()}>Interrupt</button>
    </p>
    <RoomLanes updates={updates} />
    <ol id="events">{events.map((text, i) => <li key={i}>{text}</li>)}</ol>
  </>;
}

// No camera and no microphone: this page listens, and sends messages.
createRoot(document.getElementById("root")).render(
  <StrictMode>
    <DailyProvider audioSource={false} videoSource={false}>
      <Room />
    </DailyProvider>
  </StrictMode>,
);
