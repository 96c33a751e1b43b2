// Code that both pages share. It turns the lines of `echocast encode` into messages to the
// replica, and shows each event of the replica once.

/** Whether a participant is Tavus' replica. */
export const isReplica = participant => (participant.user_id ?? "").includes("tavus-replica");

/** Passes speech on to the replica in one room. */
export class Speaker {
  replica = null;      // its session id, once it is in the room
  sending = null;      // an AbortController, while lines come
  conversation = null; // the id in the messages, once one was sent
  open = false;        // an utterance was begun, and neither ended nor interrupted
  seen = new Map();    // when events were seen

  /**
   * send(message, session id) sends, show(text) tells people, changed() is called when a button may change, and
   * happened(update) when there is something to draw: a chunk of so many seconds, an interrupt or an event.
   */
  constructor({ send, show, changed, happened = () => {} }) {
    Object.assign(this, { send, show, changed, happened });
  }

  get canSpeak() { return this.replica !== null && this.sending === null; }
  get canInterrupt() { return this.replica !== null && this.conversation !== null; }

  /** Nothing is sent before the replica is there: the room keeps no messages. */
  arrived(session) {
    if (this.replica !== null) return;
    this.replica = session;
    this.show("the replica is there");
    this.changed();
  }

  left(session) {
    if (session !== this.replica) return;
    this.replica = null;
    this.open = false;
    this.sending?.abort();
    this.show("the replica has left");
    this.changed();
  }

  /** Sends the lines that the address gives, each when it comes: echocast has put them at the right times. */
  async speak(address) {
    if (!this.canSpeak) return;
    const stop = this.sending = new AbortController();
    this.changed();
    try {
      for await (const line of lines(address, stop.signal)) this.pass(JSON.parse(line));
      if (this.open) throw new Error("the speech broke off");
    } catch (error) {
      if (!stop.signal.aborted) {
        this.show(String(error.message ?? error));
        if (this.open) this.interrupt(); // a broken input must not end with done
      }
    }
    stop.abort();
    this.sending = null;
    this.changed();
  }

  /** A message over the room's limit makes send throw, before anything of it is sent. */
  pass(message) {
    this.send(message, this.replica);
    const { audio, sample_rate } = message.properties ?? {};
    if (audio) this.happened({ type: "chunk", seconds: audio.length * 3 / 8 / sample_rate });
    this.open = message.event_type === "conversation.echo" && !message.properties.done;
    if (this.conversation !== message.conversation_id) {
      this.conversation = message.conversation_id;
      this.changed();
    }
  }

  /** Silences the replica: first the source, then the replica, and nothing of the utterance after it. */
  interrupt() {
    this.sending?.abort();
    this.open = false;
    if (!this.canInterrupt) return;
    this.happened({ type: "interrupt" });
    this.send({
      message_type: "conversation", event_type: "conversation.interrupt", conversation_id: this.conversation,
    }, this.replica);
  }

  /** Takes a message from the room. */
  hear(message, from) {
    if (!message?.event_type) return;
    if (/^system\.(replica|pal)_(joined|present)$/.test(message.event_type)) this.arrived(from);
    if (!this.isNews(message)) return;
    this.happened({ type: message.event_type.replace(/^conversation\.|^system\./, ""), message });
    this.show(describe(message));
  }

  /** An event about the replica comes twice or more: as the pal's, as the replica's, and under older names. */
  isNews(message) {
    const p = message.properties ?? {};
    const older = /^conversation\.(replica|user)\./.exec(message.event_type);
    const key = JSON.stringify([
      message.event_type.replace(/^conversation\.(replica|user)\./, "conversation.").replace(/^system\.replica_/, "system.pal_"),
      (older?.[1] ?? p.role)?.replace("replica", "pal"),
      message.inference_id, message.turn_idx, p.content_index, p.attempt, p.tool_call_id,
    ]);
    const now = Date.now(), before = this.seen.get(key) ?? -Infinity;
    for (const [old, when] of this.seen) if (now - when > twinTime) this.seen.delete(old);
    this.seen.set(key, now);
    return now - before > twinTime;
  }
}

const twinTime = 2000; // milliseconds within which the same is a twin

function describe({ event_type, properties: p = {} }) {
  const name = event_type.replace(/^conversation\.|^system\./, "");
  const rest = [
    p.role?.replace("replica", "pal"), p.interrupted && "interrupted", p.duration != null && `${p.duration.toFixed(3)} s`, p.speech,
  ].filter(Boolean);
  return [name, ...rest].join(" ");
}

/** The lines that an address streams, until the signal. */
async function* lines(address, signal) {
  const response = await fetch(address, { method: "POST", signal });
  if (!response.ok) throw new Error(`${address}: ${response.status} ${await response.text()}`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "";;) {
    const { done, value } = await reader.read();
    signal.throwIfAborted();
    if (done) {
      if (rest) throw new Error("the speech broke off in a line");
      return;
    }
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const line of parts) {
      signal.throwIfAborted(); // it may have been given while the last line was passed on
      yield line;
    }
  }
}
