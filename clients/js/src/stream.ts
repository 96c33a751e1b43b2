import { GatewayError, type GatewayEvent } from "./index.js";
import type { Interrupted, Mark, Order, Problem, SpokenPart, UtteranceInfo } from "./types.js";

/** How an utterance begins; what is missing is as in `connect`. */
export type StartOptions = Pick<Order, "name" | "text" | "format" | "rate" | "channels" | "queue">;

// How much audio is in one message, and waits in the socket before write waits.
const mostInMessage = 64 * 1024;
const mostBuffered = 4 * mostInMessage;
// How often write checks, in ms, whether it has left: there is no event for it.
const bufferInterval = 10;

/** What comes back for an order, beside the events. */
type Answer =
  | { type: "accepted"; data: UtteranceInfo }
  | { type: "interrupted"; data: Interrupted }
  | { type: "error"; data: Problem };

/** What happens to an utterance; it may come before the utterance is accepted. */
type Happening = Extract<GatewayEvent, { type: "receipt" | "mark" | "utterance" }>;

/** An utterance on its way. */
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

/** A WebSocket of a conversation, for audio that is made while it is spoken. */
export class Stream {
  #socket: WebSocket;
  #speech: Speech | undefined; // that takes audio
  #begun: Speech[] = []; // those that were not accepted yet, in order
  #open = new Map<string, Speech>();
  #early: Happening[] = []; // of utterances that may be accepted yet
  #interrupts: Deferred<SpokenPart[]>[] = [];
  #closed: Error | undefined;
  /** Is called with each event of the conversation. */
  onevent: ((event: GatewayEvent) => void) | undefined;
  /** Is called with an error that belongs to no utterance, and when the connection is lost. */
  onerror: ((error: Error) => void) | undefined;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = (message) => this.#told(JSON.parse(String(message.data)));
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

  /** Begins an utterance. Audio begins one by itself; this says more of it. */
  start(options: StartOptions = {}): void {
    if (this.#closed) throw this.#closed;
    this.#leave();
    this.#begin();
    this.#order({ type: "start", ...options });
  }

  /**
   * Sends audio, and resolves when there is room for more. Audio of an utterance that was
   * interrupted is dropped until `end`; that of one that was refused rejects with the reason.
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

  /** Marks the end of the audio so far: resolves when it was heard, or dropped. */
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

  /** Stops the replica, drops what waits, and resolves with the receipts. */
  interrupt(): Promise<SpokenPart[]> {
    this.#order({ type: "interrupt" });
    this.#leave();
    const receipts = deferred<SpokenPart[]>();
    this.#interrupts.push(receipts);
    return receipts.promise;
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

  // The utterance takes no more audio.
  #leave(): void {
    const speech = this.#speech;
    this.#speech = undefined;
    if (speech) this.#forget(speech);
  }

  // Forgets an utterance of which nothing more comes.
  #forget(speech: Speech): void {
    if (speech.isOver && speech !== this.#speech && speech.marks.length === 0) this.#open.delete(speech.id);
  }

  #begin(): void {
    this.#speech = new Speech();
    this.#begun.push(this.#speech);
  }

  #order(order: Order): void {
    if (this.#closed) throw this.#closed;
    this.#socket.send(JSON.stringify(order));
  }

  #told(message: GatewayEvent | Answer): void {
    switch (message.type) {
      case "accepted":
        return this.#accepted(message.data.id);
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
      if (this.#begun.length > 0) this.#early.push(message);
      return;
    }
    if (message.type === "receipt") speech.last = message.data;
    else if (message.type === "mark") this.#marked(speech, message.data);
    else if (message.data.phase === "over") this.#over(speech, message.data);
  }

  #accepted(id: string): void {
    const speech = this.#begun.shift();
    if (!speech) return;
    speech.id = id;
    this.#open.set(id, speech);
    const early = this.#early;
    this.#early = [];
    for (const message of early) this.#happened(message);
  }

  #failed(err: GatewayError): void {
    const speech = this.#begun.shift();
    if (!speech) return this.onerror?.(err);
    speech.fail(err);
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
    const all = [...this.#begun, ...this.#open.values()].filter((speech) => !speech.isOver || speech.marks.length > 0);
    for (const speech of all) speech.fail(err);
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
