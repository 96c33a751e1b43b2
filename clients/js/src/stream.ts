import { GatewayError, type GatewayEvent, type ListenOptions } from "./index.js";
import type { Interrupted, Listening, Mark, Order, Problem, SpokenPart, UtteranceInfo } from "./types.js";

/** Options of an utterance; the defaults are those of `connect`. */
export type StartOptions = Pick<Order, "name" | "text" | "format" | "rate" | "channels" | "queue">;

// How much audio one message has, and how much may wait in the socket before write waits.
const mostInMessage = 64 * 1024;
const mostBuffered = 4 * mostInMessage;
// How often write checks, in ms, whether it has left: there is no event for it.
const bufferInterval = 10;

/** The answers to commands, besides the events. */
type Answer =
  | { type: "accepted"; data: UtteranceInfo }
  | { type: "interrupted"; data: Interrupted }
  | { type: "listening"; data: Listening }
  | { type: "error"; data: Problem };

/** An event of an utterance; it may arrive before the utterance is accepted. */
type Happening = Extract<GatewayEvent, { type: "receipt" | "mark" | "utterance" }>;

/** An utterance that is not over. */
class Speech {
  readonly over = deferred<SpokenPart>();
  id = ""; // once it is accepted
  isOver = false;
  error: Error | undefined; // why it was refused
  last: SpokenPart | undefined;
  marks: { name: string; heard: Deferred<Mark> }[] = [];

  fail(err: Error): void {
    this.error = err;
    this.over.reject(err);
    for (const mark of this.marks) mark.heard.reject(err);
    this.marks = [];
  }
}

/** A command to listen that is not answered yet. */
class Hearing {
  readonly begun = deferred<Listening>();

  constructor(readonly onaudio: (pcm: Uint8Array) => void) {}

  fail(err: Error): void {
    this.begun.reject(err);
  }
}

/** A WebSocket of a conversation, for audio that is spoken while you make it. */
export class Stream {
  #socket: WebSocket;
  #speech: Speech | undefined; // that takes audio
  #asked: (Speech | Hearing)[] = []; // what was not answered yet, in order
  #open = new Map<string, Speech>();
  #early: Happening[] = []; // of utterances that may be accepted yet
  #interrupts: Deferred<SpokenPart[]>[] = [];
  #closed: Error | undefined;
  #onaudio: ((pcm: Uint8Array) => void) | undefined;
  /** Called with each event of the conversation. */
  onevent: ((event: GatewayEvent) => void) | undefined;
  /** Called with an error that belongs to no utterance, and when the connection is lost. */
  onerror: ((error: Error) => void) | undefined;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.#told(JSON.parse(data));
      else this.#onaudio?.(new Uint8Array(data as ArrayBuffer));
    };
    socket.onclose = (e) => this.#end(new Error(`the connection ended: ${e.reason || e.code}`));
    socket.onerror = () => {}; // a close follows
  }

  /** @internal */
  static open(socket: WebSocket): Promise<Stream> {
    socket.binaryType = "arraybuffer";
    return new Promise((resolve, reject) => {
      socket.onopen = () => resolve(new Stream(socket));
      socket.onerror = () => reject(new Error("the gateway refuses the WebSocket: is the address right, and the token?"));
    });
  }

  /** Begins an utterance with options. Without it, the first audio begins one. */
  start(options: StartOptions = {}): void {
    if (this.#closed) throw this.#closed;
    this.#leave();
    this.#begin();
    this.#order({ type: "start", ...options });
  }

  /**
   * Sends audio, and resolves when there is room for more. If the utterance was interrupted,
   * its audio is dropped until `end`; if it was refused, this rejects with the reason.
   */
  async write(audio: Uint8Array | ArrayBuffer): Promise<void> {
    if (this.#closed) throw this.#closed;
    if (!this.#speech) this.#begin();
    if (this.#speech!.error) throw this.#speech!.error;
    const bytes = audio instanceof Uint8Array ? audio : new Uint8Array(audio);
    for (let at = 0; at < bytes.length; at += mostInMessage) {
      this.#socket.send(bytes.slice(at, at + mostInMessage));
      await this.#room();
    }
  }

  async #room(): Promise<void> {
    while (this.#socket.bufferedAmount > mostBuffered && !this.#closed) {
      await new Promise((resolve) => setTimeout(resolve, bufferInterval));
    }
    if (this.#closed) throw this.#closed;
  }

  /** Marks the end of the audio so far, and resolves when it was heard or dropped. */
  mark(name: string): Promise<Mark> {
    if (!this.#speech) return Promise.reject(new Error("a mark comes after audio"));
    this.#order({ type: "mark", name });
    const heard = deferred<Mark>();
    this.#speech.marks.push({ name, heard });
    return heard.promise;
  }

  /** Ends the utterance, and resolves with its receipt when the replica has said it. */
  end(): Promise<SpokenPart> {
    const speech = this.#speech;
    if (!speech) return Promise.reject(new Error("there is no utterance to end"));
    this.#order({ type: "end" });
    this.#leave();
    return speech.over.promise;
  }

  /** Stops the replica, drops the waiting utterances, and resolves with the receipts. */
  interrupt(): Promise<SpokenPart[]> {
    this.#order({ type: "interrupt" });
    this.#leave();
    const receipts = deferred<SpokenPart[]>();
    this.#interrupts.push(receipts);
    return receipts.promise;
  }

  /**
   * Hears what is said in the room: `onaudio` is called with at most 20 ms of signed 16-bit
   * little-endian mono samples. It resolves with the rate when listening has begun, and ends
   * earlier listening. An event `lost` says that audio is missing before what follows.
   */
  listen(onaudio: (pcm: Uint8Array) => void, options: Omit<ListenOptions, "signal"> = {}): Promise<Listening> {
    this.#order({ type: "listen", ...options });
    const hearing = new Hearing(onaudio);
    this.#asked.push(hearing);
    return hearing.begun.promise;
  }

  /** Ends the listening. */
  unlisten(): void {
    this.#onaudio = undefined;
    this.#order({ type: "unlisten" });
  }

  pause(): void {
    this.#order({ type: "pause" });
  }

  resume(): void {
    this.#order({ type: "resume" });
  }

  /** Closes the connection. An utterance that was not ended is cut off. */
  close(): void {
    this.#socket.close();
  }

  // Marks that the utterance takes no more audio.
  #leave(): void {
    const speech = this.#speech;
    this.#speech = undefined;
    if (speech) this.#forget(speech);
  }

  // Forgets an utterance without further events.
  #forget(speech: Speech): void {
    if (speech.isOver && speech !== this.#speech && speech.marks.length === 0) this.#open.delete(speech.id);
  }

  #begin(): void {
    this.#speech = new Speech();
    this.#asked.push(this.#speech);
  }

  #order(order: Order): void {
    if (this.#closed) throw this.#closed;
    this.#socket.send(JSON.stringify(order));
  }

  #told(message: GatewayEvent | Answer): void {
    switch (message.type) {
      case "accepted":
        return this.#accepted(message.data.id);
      case "listening":
        return this.#listening(message.data);
      case "interrupted":
        return this.#interrupts.shift()?.resolve(message.data.receipts);
      case "error":
        return this.#failed(new GatewayError(message.data));
      case "receipt":
      case "mark":
      case "utterance":
        this.#happened(message);
    }
    this.onevent?.(message);
  }

  #happened(message: Happening): void {
    const speech = this.#open.get(message.type === "utterance" ? message.data.id : message.data.utterance);
    if (!speech) {
      if (this.#asked.some((asked) => asked instanceof Speech)) this.#early.push(message);
      return;
    }
    if (message.type === "receipt") speech.last = message.data;
    else if (message.type === "mark") this.#marked(speech, message.data);
    else if (message.data.phase === "over") this.#over(speech, message.data);
  }

  #accepted(id: string): void {
    const speech = this.#asked.shift();
    if (!(speech instanceof Speech)) return;
    speech.id = id;
    this.#open.set(id, speech);
    const early = this.#early;
    this.#early = [];
    for (const message of early) this.#happened(message);
  }

  #failed(err: GatewayError): void {
    const asked = this.#asked.shift();
    if (!asked) return this.onerror?.(err);
    asked.fail(err);
  }

  #listening(data: Listening): void {
    const hearing = this.#asked.shift();
    if (!(hearing instanceof Hearing)) return;
    this.#onaudio = hearing.onaudio;
    hearing.begun.resolve(data);
  }

  #marked(speech: Speech, mark: Mark): void {
    const at = speech.marks.findIndex((m) => m.name === mark.name);
    if (at < 0) return;
    speech.marks.splice(at, 1)[0]!.heard.resolve(mark);
    this.#forget(speech);
  }

  #over(speech: Speech, info: UtteranceInfo): void {
    speech.isOver = true;
    this.#forget(speech);
    if (speech.last) speech.over.resolve(speech.last);
    else speech.fail(new Error(info.error || "the utterance ended without a receipt"));
  }

  #end(err: Error): void {
    this.#closed = err;
    const open = [...this.#open.values()].filter((speech) => !speech.isOver || speech.marks.length > 0);
    const all = [...this.#asked, ...open];
    for (const waiting of all) waiting.fail(err);
    for (const receipts of this.#interrupts) receipts.reject(err);
    if (all.length + this.#interrupts.length > 0) this.onerror?.(err);
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
