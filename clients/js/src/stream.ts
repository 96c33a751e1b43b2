import { GatewayError, type GatewayEvent, type ListenOptions } from "./index.js";
import type { Connected, Interrupted, Listening, Mark, Order, Problem, Received, SpokenPart, Takeover, UtteranceInfo } from "./types.js";

/** Options of an utterance; the defaults are those of `connect`. */
export type StartOptions = Pick<Order, "name" | "text" | "format" | "rate" | "channels" | "queue">;

/** A receipt. `takeovers` name what may have been heard twice, because a node was lost. */
export type Spoken = SpokenPart & { takeovers?: Takeover[] };

// How much audio one message has, and how much the gateway may not have received before write waits.
const mostInMessage = 64 * 1024;
const mostOnTheWay = 16 * mostInMessage;

// How long, in ms, the connection may be lost, and the first and the longest pause between attempts.
const lostTimeout = 30_000;
const firstPause = 50;
const longestPause = 2000;

// Codes of closed connections that would be closed again: the conversation has ended, or a message is wrong.
const finalCodes = [1000, 1002, 1003, 1007, 1008, 1009];

/** The answers to commands, besides the events. */
type Answer =
  | { type: "connected"; data: Connected }
  | { type: "accepted"; data: UtteranceInfo }
  | { type: "received"; data: Received }
  | { type: "interrupted"; data: Interrupted }
  | { type: "listening"; data: Listening }
  | { type: "error"; data: Problem };

/** An event of an utterance; it may arrive before the utterance is accepted. */
type Happening = Extract<GatewayEvent, { type: "receipt" | "mark" | "utterance" }>;

/** An utterance that is not over. */
class Speech {
  // The gateway begins an utterance with the same key once.
  readonly key = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`;
  readonly over = deferred<Spoken>();
  socket: WebSocket | undefined; // on which what is added is sent at once
  accepted = deferred<UtteranceInfo>(); // on the last socket
  id = ""; // once it is accepted
  isOver = false;
  hasEnded = false; // no more audio follows
  error: Error | undefined; // why it was refused
  last: SpokenPart | undefined;
  marks: { name: string; heard: Deferred<Mark> }[] = [];
  sent: (Uint8Array<ArrayBuffer> | { mark: string })[] = []; // what the gateway may not have received
  size = 0; // bytes of sent
  #bytes = 0; // before sent
  #marks = 0; // before sent

  constructor(readonly options: StartOptions) {}

  add(part: Uint8Array<ArrayBuffer> | { mark: string }): void {
    if (this.isOver) return;
    this.sent.push(part);
    if (part instanceof Uint8Array) this.size += part.length;
  }

  /** Forgets what the gateway has received. */
  received(bytes: number, marks = 0): void {
    for (let part = this.sent[0]; part; part = this.sent[0]) {
      if (!(part instanceof Uint8Array)) {
        // A mark before audio that was received was received too.
        if (this.#bytes >= bytes && this.#marks >= marks) return;
        this.#marks++;
      } else {
        const n = Math.min(part.length, bytes - this.#bytes);
        if (n <= 0) return;
        this.#bytes += n;
        this.size -= n;
        if (n < part.length) {
          this.sent[0] = part.subarray(n);
          return;
        }
      }
      this.sent.shift();
    }
  }

  forget(): void {
    this.sent = [];
    this.size = 0;
  }

  fail(err: Error): void {
    this.error = err;
    this.forget();
    this.over.reject(err);
    this.accepted.reject(err);
    this.dropMarks(err);
  }

  dropMarks(err = new Error("the utterance was over before the mark arrived")): void {
    for (const mark of this.marks) mark.heard.reject(err);
    this.marks = [];
  }
}

/** An interrupt that is not answered yet. */
class Interrupt {
  readonly receipts = deferred<SpokenPart[]>();

  fail(err: Error): void {
    this.receipts.reject(err);
  }
}

/** A command to listen. */
class Hearing {
  readonly begun = deferred<Listening>();
  heardAt = 0; // when the last audio came; 0: it has not begun

  constructor(readonly onaudio: (pcm: Uint8Array) => void, readonly options: Omit<ListenOptions, "signal">) {}

  fail(err: Error): void {
    this.begun.reject(err);
  }
}

/** @internal How a stream connects. */
export interface Link {
  /** Connects after an event; Infinity: only new ones follow. `attach` is called when it is open, or not at all. */
  open(after: number, attach: (socket: WebSocket) => void): Promise<void>;
  /** Fails with a GatewayError if the gateway refuses the conversation. */
  check(): Promise<unknown>;
}

/**
 * A WebSocket of a conversation, for audio that is spoken while you make it.
 *
 * When the connection is lost, it connects again, to the next address of the gateway if there are
 * several, and continues: events by their ids, audio from the byte that the gateway has, so that
 * nothing is lost or said twice. What a lost node may have said twice is in `takeovers` of the
 * receipt. After 30 s without a connection, what is open fails.
 */
export class Stream {
  #socket: WebSocket | undefined;
  #isLive = false; // all entries were sent on this connection
  #speech: Speech | undefined; // that takes audio
  #entries: (Speech | Interrupt)[] = []; // that are not over, in order
  #asked: (Speech | Hearing)[] = []; // on this connection, and not answered yet, in order
  #open = new Map<string, Speech>();
  #early: Happening[] = []; // of utterances that may be accepted yet
  #hearing: Hearing | undefined; // that gets audio
  #wanted: Hearing | undefined; // that was asked for last
  #pausing: "pause" | "resume" | undefined; // the last one, until something later is answered
  #seen: number; // the last event
  #closed: Error | undefined;
  #isLeaving = false;
  #lostAt = 0; // when the connection was lost without progress since; 0: it was not
  #openedAt = 0;
  #pause = firstPause;
  #waiting: (() => void)[] = []; // writers
  /** Called with each event of the conversation. */
  onevent: ((event: GatewayEvent) => void) | undefined;
  /** Called with an error that belongs to no utterance, and when the connection is lost for good. */
  onerror: ((error: Error) => void) | undefined;

  private constructor(readonly link: Link, after: number) {
    this.#seen = after;
  }

  /** @internal */
  static async open(link: Link, after: number): Promise<Stream> {
    const stream = new Stream(link, after);
    await link.open(after, (socket) => stream.#attach(socket));
    stream.#isLive = stream.#socket !== undefined;
    return stream;
  }

  #attach(socket: WebSocket): void {
    this.#socket = socket;
    this.#openedAt = Date.now();
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      if (typeof data === "string") this.#told(JSON.parse(data));
      else this.#heard(new Uint8Array(data as ArrayBuffer));
    };
    socket.onclose = (e) => {
      if (socket === this.#socket) this.#lost(e.code, new Error(`the connection ended: ${e.reason || e.code}`));
    };
    socket.onerror = () => {}; // a close follows
    if (this.#pausing) this.#send({ type: this.#pausing });
    if (this.#wanted) this.#hear(this.#wanted);
  }

  /** Begins an utterance with options. Without it, the first audio begins one. */
  start(options: StartOptions = {}): void {
    if (this.#closed) throw this.#closed;
    this.#leave();
    this.#speech = new Speech(options);
    this.#entries.push(this.#speech);
    if (!this.#isLive) return;
    this.#begin(this.#speech);
    this.#speech.socket = this.#socket;
  }

  /**
   * Sends audio, and resolves when there is room for more. If the utterance was interrupted,
   * its audio is dropped until `end`; if it was refused, this rejects with the reason.
   */
  async write(audio: Uint8Array | ArrayBuffer): Promise<void> {
    if (this.#closed) throw this.#closed;
    if (!this.#speech) this.start();
    const speech = this.#speech!;
    const bytes = audio instanceof Uint8Array ? audio : new Uint8Array(audio);
    for (let at = 0; at < bytes.length; at += mostInMessage) {
      if (speech.error) throw speech.error;
      const piece = bytes.slice(at, at + mostInMessage);
      speech.add(piece);
      if (speech === this.#speech && !speech.isOver && this.#takes(speech)) this.#socket!.send(piece);
      while (speech.size > mostOnTheWay && !this.#closed) await new Promise<void>((wake) => this.#waiting.push(wake));
      if (this.#closed) throw this.#closed;
    }
    if (speech.error) throw speech.error;
  }

  // Lets writers look again whether there is room.
  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Marks the end of the audio so far, and resolves when it was heard or dropped. */
  mark(name: string): Promise<Mark> {
    if (!this.#speech) return Promise.reject(new Error("a mark comes after audio"));
    if (this.#closed) return Promise.reject(this.#closed);
    const heard = deferred<Mark>();
    const speech = this.#speech;
    if (speech.error) return Promise.reject(speech.error);
    speech.marks.push({ name, heard });
    speech.add({ mark: name });
    if (this.#takes(speech)) this.#send({ type: "mark", name });
    else if (this.#isLive && speech.isOver) speech.dropMarks(); // nothing of it follows on this connection
    return heard.promise;
  }

  /** Ends the utterance, and resolves with its receipt when the replica has said it. */
  async end(): Promise<Spoken> {
    const speech = this.#speech;
    if (!speech) throw new Error("there is no utterance to end");
    if (this.#closed) throw this.#closed;
    if (this.#takes(speech)) this.#send({ type: "end" });
    this.#leave();
    return speech.over.promise;
  }

  /**
   * Stops the replica, drops the waiting utterances, and resolves with the receipts. If the
   * connection is lost before the answer, it is sent again.
   */
  interrupt(): Promise<SpokenPart[]> {
    if (this.#closed) throw this.#closed;
    if (this.#isLive) this.#send({ type: "interrupt" });
    this.#leave();
    const interrupt = new Interrupt();
    this.#entries.push(interrupt);
    return interrupt.receipts.promise;
  }

  /**
   * Hears what is said in the room: `onaudio` is called with at most 20 ms of signed 16-bit
   * little-endian mono samples. It resolves with the rate when listening has begun, and ends
   * earlier listening. An event `lost` says that audio is missing before what follows.
   */
  listen(onaudio: (pcm: Uint8Array) => void, options: Omit<ListenOptions, "signal"> = {}): Promise<Listening> {
    if (this.#closed) throw this.#closed;
    const hearing = new Hearing(onaudio, options);
    this.#wanted = hearing;
    if (this.#socket) this.#hear(hearing);
    return hearing.begun.promise;
  }

  /** Ends the listening. */
  unlisten(): void {
    this.#wanted = this.#hearing = undefined;
    this.#order({ type: "unlisten" });
  }

  pause(): void {
    this.#pausing = "pause";
    this.#order({ type: "pause" });
  }

  resume(): void {
    this.#pausing = "resume";
    this.#order({ type: "resume" });
  }

  /** Closes the connection. An utterance that was not ended is cut off. */
  close(): void {
    this.#isLeaving = true;
    this.#socket?.close(1000);
  }

  // Marks that the utterance takes no more audio.
  #leave(): void {
    const speech = this.#speech;
    this.#speech = undefined;
    if (!speech) return;
    speech.hasEnded = true;
    this.#forget(speech);
  }

  // Forgets an utterance without further events.
  #forget(speech: Speech): void {
    if (!speech.isOver || speech === this.#speech || speech.marks.length > 0) return;
    this.#open.delete(speech.id);
    this.#remove(speech);
  }

  #remove(entry: Speech | Interrupt): void {
    this.#entries = this.#entries.filter((e) => e !== entry);
  }

  // Begins an utterance, or continues it on another connection.
  #begin(speech: Speech): void {
    speech.accepted = deferred();
    this.#asked.push(speech);
    if (speech.id) this.#send({ type: "continue", utterance: speech.id });
    else this.#send({ type: "start", key: speech.key, ...speech.options });
  }

  #hear(hearing: Hearing): void {
    this.#asked.push(hearing);
    this.#send({ type: "listen", ...hearing.options });
  }

  // Reports whether what is added to an utterance is to be sent now: #repeat sends what was added before.
  #takes(speech: Speech): boolean {
    return this.#socket !== undefined && speech.socket === this.#socket;
  }

  // Sends what has no entry. If there is no connection, #attach sends what is still wanted.
  #order(order: Order): void {
    if (this.#closed) throw this.#closed;
    this.#send(order);
  }

  #send(order: Order): void {
    this.#socket?.send(JSON.stringify(order));
  }

  #told(message: GatewayEvent | Answer): void {
    switch (message.type) {
      case "connected":
        this.#seen = Math.min(this.#seen, message.data.after);
        return;
      case "accepted":
        return this.#accepted(message.data);
      case "received":
        return this.#received(message.data);
      case "interrupted":
        return this.#interrupted(message.data);
      case "listening":
        return this.#listening(message.data);
      case "error":
        return this.#failed(new GatewayError(message.data));
    }
    if (message.id) {
      if (message.id <= this.#seen && this.#seen !== Infinity) return;
      this.#seen = message.id;
      this.#progress();
    }
    if (message.type === "receipt" || message.type === "mark" || message.type === "utterance") this.#happened(message);
    this.onevent?.(message);
  }

  #happened(message: Happening): void {
    const speech = this.#open.get(message.type === "utterance" ? message.data.id : message.data.utterance);
    if (!speech) {
      if (this.#entries.some((entry) => entry instanceof Speech && !entry.id)) this.#early.push(message);
      return;
    }
    if (message.type === "receipt") speech.last = message.data;
    else if (message.type === "mark") this.#marked(speech, message.data);
    else if (message.data.phase === "over") this.#over(speech, message.data);
  }

  #accepted(info: UtteranceInfo): void {
    this.#pausing = undefined;
    const speech = this.#asked.shift();
    if (!(speech instanceof Speech)) return;
    speech.id = info.id;
    this.#open.set(info.id, speech);
    const size = speech.size;
    speech.received(info.bytes ?? 0, info.marks);
    if (speech.size < size) this.#progress();
    const early = this.#early;
    this.#early = [];
    for (const message of early) this.#happened(message);
    if (info.phase === "over" && info.receipt && !speech.isOver) { // its events are not kept any more
      speech.last = { utterance: info.id, receipt: info.receipt };
      this.#over(speech, info);
    }
    speech.accepted.resolve(info);
    this.#wake();
  }

  #received(data: Received): void {
    this.#progress();
    this.#open.get(data.utterance)?.received(data.bytes);
    this.#wake();
  }

  #interrupted(data: Interrupted): void {
    this.#pausing = undefined;
    const interrupt = this.#entries.find((entry) => entry instanceof Interrupt);
    if (!(interrupt instanceof Interrupt)) return;
    this.#remove(interrupt);
    interrupt.receipts.resolve(data.receipts);
  }

  #failed(err: GatewayError): void {
    const asked = this.#asked.shift();
    if (!asked) return this.onerror?.(err);
    if (asked instanceof Speech) this.#remove(asked);
    else if (asked === this.#wanted) this.#wanted = this.#hearing;
    asked.fail(err);
    this.#wake();
  }

  #listening(data: Listening): void {
    const hearing = this.#asked.shift();
    if (!(hearing instanceof Hearing)) return;
    const now = Date.now();
    if (hearing.heardAt) this.onevent?.({ id: 0, type: "lost", data: { seconds: (now - hearing.heardAt) / 1000 } });
    hearing.heardAt = now;
    this.#hearing = hearing;
    hearing.begun.resolve(data);
  }

  #heard(pcm: Uint8Array): void {
    if (!this.#hearing) return;
    this.#hearing.heardAt = Date.now();
    this.#hearing.onaudio(pcm);
  }

  #marked(speech: Speech, mark: Mark): void {
    const at = speech.marks.findIndex((m) => m.name === mark.name);
    if (at < 0) return;
    speech.marks.splice(at, 1)[0]!.heard.resolve(mark);
    this.#forget(speech);
  }

  #over(speech: Speech, info: UtteranceInfo): void {
    speech.isOver = true;
    speech.forget();
    this.#wake();
    this.#forget(speech);
    if (speech.last) speech.over.resolve(info.takeovers ? { ...speech.last, takeovers: info.takeovers } : speech.last);
    else speech.fail(new Error(info.error || "the utterance ended without a receipt"));
  }

  // The connection is of use: the next loss is another one.
  #progress(): void {
    this.#lostAt = 0;
    this.#pause = firstPause;
  }

  #lost(code: number, err: Error): void {
    this.#socket = undefined;
    this.#isLive = false;
    if (Date.now() - this.#openedAt > lostTimeout) this.#progress();
    for (const asked of this.#asked.splice(0)) if (asked instanceof Speech) asked.accepted.reject(err);
    if (this.#isLeaving || finalCodes.includes(code)) return this.#end(err);
    void this.#connect(err);
  }

  // Connects again, and continues.
  async #connect(why: Error): Promise<void> {
    this.#lostAt ||= Date.now();
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, this.#pause * (0.5 + Math.random())));
      this.#pause = Math.min(2 * this.#pause, longestPause);
      if (this.#isLeaving || Date.now() - this.#lostAt > lostTimeout) return this.#end(why);
      try {
        await this.link.open(this.#seen, (socket) => this.#attach(socket));
        if (this.#isLeaving) this.#socket?.close(1000);
        return await this.#continue(this.#socket);
      } catch {} // none answers, or it refuses
      const refusal = await this.link.check().then(() => undefined, (err: unknown) => err);
      if (refusal instanceof GatewayError && refusal.problem.status < 500) return this.#end(refusal);
    }
  }

  // Asks again for what was not answered, and sends what was not received.
  async #continue(socket: WebSocket | undefined): Promise<void> {
    const done = new Set<Speech | Interrupt>();
    for (;;) {
      const entry = this.#entries.find((entry) => !done.has(entry));
      if (socket !== this.#socket) return; // it is lost again
      if (!entry) break;
      done.add(entry);
      if (entry instanceof Interrupt) this.#send({ type: "interrupt", key: this.#keyAfter(entry) });
      else await this.#repeat(entry);
    }
    this.#isLive = true;
  }

  // The gateway has obeyed an interrupt if it has begun the utterance after it.
  #keyAfter(interrupt: Interrupt): string | undefined {
    const later = this.#entries.slice(this.#entries.indexOf(interrupt));
    return later.find((entry) => entry instanceof Speech)?.key;
  }

  async #repeat(speech: Speech): Promise<void> {
    this.#begin(speech);
    const info = await speech.accepted.promise.catch(() => undefined); // it was refused, or the connection is lost
    if (!info) return;
    if (!info.open) {
      speech.forget();
      if (speech.isOver) speech.dropMarks(); // all that arrived were told of
      this.#forget(speech);
      return;
    }
    for (const part of speech.sent) {
      if (part instanceof Uint8Array) this.#socket?.send(part);
      else this.#send({ type: "mark", name: part.mark });
    }
    if (speech.hasEnded) this.#send({ type: "end" });
    speech.socket = this.#socket;
  }

  #end(err: Error): void {
    this.#closed = err;
    const open = this.#entries.filter((entry) => entry instanceof Interrupt || !entry.isOver || entry.marks.length > 0);
    for (const waiting of open) waiting.fail(err);
    this.#wanted?.fail(err);
    if (open.length > 0) this.onerror?.(err);
    this.#wake();
  }
}

interface Deferred<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (err: Error) => void;
}

function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (err: Error) => void;
  const promise = new Promise<T>((yes, no) => ([resolve, reject] = [yes, no]));
  promise.catch(() => {}); // a rejection that nobody awaits is no failure
  return { promise, resolve, reject };
}
