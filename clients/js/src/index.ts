/**
 * Speaks audio through a live video replica, with a gateway (`echocast serve`), from a
 * browser or Node.js. It needs only `fetch` and `WebSocket`. Node.js before 22 has no
 * WebSocket: pass the one of the package `ws`.
 *
 *     const gateway = new Gateway("http://127.0.0.1:8880");
 *     const conversation = await gateway.create({ to: "rehearsal" });
 *     const { receipt } = await conversation.speak(await readFile("speech.mp3"));
 */
import type { Bot, BotInfo, Info, Interrupted, Lost, Mark, Problem, Spec, SpokenPart, Takeover, UtteranceInfo } from "./types.js";

export type * from "./types.js";
export { pcm16 } from "./pcm.js";
export { Stream } from "./stream.js";
export type { Spoken, StartOptions } from "./stream.js";
import { Stream } from "./stream.js";

/** The gateway refused a request: `problem` says what to do. */
export class GatewayError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail || problem.title);
    this.name = "GatewayError";
  }
}

/** Something that happened in a conversation. The ids count from 1. */
export type GatewayEvent =
  | { id: number; type: "state"; data: Info }
  | { id: number; type: "utterance"; data: UtteranceInfo }
  | { id: number; type: "receipt"; data: SpokenPart }
  | { id: number; type: "mark"; data: Mark }
  | { id: number; type: "bot"; data: BotInfo }
  | { id: number; type: "bot_mark"; data: { name: string; heard: boolean } }
  | { id: number; type: "lost"; data: Lost }
  | { id: number; type: "takeover"; data: Takeover }
  | { id: number; type: "event" | "complaint" | "warning" | "bot_clear"; data: Record<string, unknown> }
  | { id: number; type: "gap"; data: { missed: number } };

/** Options for a gateway. */
export interface GatewayOptions {
  /** A bearer token, or the token of one conversation. */
  token?: string;
  fetch?: typeof fetch;
  WebSocket?: typeof WebSocket;
}

/** How to speak audio. Without `format`, its first bytes tell the format. */
export interface SpeakOptions {
  /** The format of samples without a header, such as `s16le`; add `rate` and `channels`. */
  format?: string;
  rate?: number;
  channels?: number;
  /** Its name in receipts. */
  name?: string;
  /** Its text, so that the receipt of an interrupted utterance has the heard words. */
  text?: string;
  /** What happens while another utterance is spoken; the default is `queue`. */
  queue?: "queue" | "replace" | "reject";
  /** A repeated request with the same key speaks only once. */
  idempotencyKey?: string;
  /** Interrupts the utterance. */
  signal?: AbortSignal;
}

/** What to listen to. */
export interface ListenOptions {
  /** Who to hear; the default is everybody whom the conversation hears. */
  from?: "user" | "replica" | "all";
  /** In Hz: 8000, 12000, 16000, 24000 (default) or 48000. */
  rate?: number;
  /** Ends the listening. */
  signal?: AbortSignal;
}

/** A gateway. If it has several nodes, give all their addresses: when one is lost, the next is asked. */
export class Gateway {
  readonly urls: string[];
  #at = 0; // of the node that is asked

  constructor(url: string | string[] = "http://127.0.0.1:8880", readonly options: GatewayOptions = {}) {
    this.urls = [url].flat().map((one) => one.replace(/\/+$/, ""));
    if (this.urls.length === 0) throw new Error("a gateway needs an address");
  }

  /** The address that is asked now. */
  get url(): string {
    return this.urls[this.#at]!;
  }

  /** @internal Asks the next node after one was lost. */
  next(): void {
    this.#at = (this.#at + 1) % this.urls.length;
  }

  /** Creates a conversation, and waits until it has joined its room. */
  async create(spec: Spec, options: { idempotencyKey?: string; signal?: AbortSignal } = {}): Promise<Conversation> {
    const info = await this.json<Info>("/v1/conversations", { ...options, method: "POST", body: JSON.stringify(spec) });
    return new Conversation(this, info.id, info.token);
  }

  /** Lists the conversations that have not ended. */
  async list(): Promise<Info[]> {
    return (await this.json<{ conversations: Info[] }>("/v1/conversations")).conversations;
  }

  /** An existing conversation; `token` is the one from its creation. */
  conversation(id: string, token?: string): Conversation {
    return new Conversation(this, id, token);
  }

  /** @internal */
  async request(path: string, init: Request = {}): Promise<Response> {
    const { idempotencyKey, token = this.options.token, prefer, ...rest } = init;
    const headers: Record<string, string> = {};
    if (token) headers["Authorization"] = `Bearer ${token}`;
    if (idempotencyKey) headers["Idempotency-Key"] = idempotencyKey;
    if (prefer) headers["Prefer"] = prefer;
    const response = await (this.options.fetch ?? fetch)(this.url + path, { ...rest, headers }).catch((err: unknown) => {
      if (!rest.signal?.aborted) this.next();
      throw err;
    });
    if (!response.ok) throw new GatewayError(await problemOf(response));
    return response;
  }

  /** @internal */
  async json<T>(path: string, init: Request = {}): Promise<T> {
    return (await (await this.request(path, init)).json()) as T;
  }
}

interface Request {
  method?: string;
  body?: BodyInit;
  duplex?: "half";
  signal?: AbortSignal;
  token?: string;
  idempotencyKey?: string;
  prefer?: string;
}

async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text();
  try {
    return JSON.parse(text) as Problem;
  } catch {
    return { type: "about:blank", title: response.statusText, status: response.status, detail: text.slice(0, 200), kind: "" };
  }
}

/** A room with a replica. */
export class Conversation {
  #seen = 0; // the last event that was read

  constructor(readonly gateway: Gateway, readonly id: string, readonly token = gateway.options.token) {}

  get #path(): string {
    return `/v1/conversations/${encodeURIComponent(this.id)}`;
  }

  #json<T>(what: string, init: Request = {}): Promise<T> {
    return this.gateway.json<T>(this.#path + what, { ...init, token: this.token });
  }

  /** The state of the conversation. */
  info(): Promise<Info> {
    return this.#json("");
  }

  /**
   * Speaks audio, and resolves with the receipt when the replica has said it. Bytes or a
   * Blob are sent at once, and an iterable piece by piece. In browsers the latter needs
   * HTTP/2: use `connect` there.
   */
  async speak(audio: BodyInit | AsyncIterable<Uint8Array>, options: SpeakOptions = {}): Promise<SpokenPart> {
    const { format, rate, channels, name, text, queue, idempotencyKey, signal } = options;
    const path = `/speech${query({ format, rate, channels, name, text, queue })}`;
    const init = { method: "POST", idempotencyKey, signal };
    if (isIterable(audio)) {
      return this.#json(path, { ...init, body: streamOf(audio), duplex: "half" });
    }
    if (audio instanceof ReadableStream) return this.#json(path, { ...init, body: audio, duplex: "half" });
    // fetch gives up after five minutes without an answer; a long file takes longer.
    const accepted = await this.#json<UtteranceInfo>(path, { ...init, body: audio, prefer: "respond-async" });
    return this.#over(accepted, signal);
  }

  async #over(utterance: UtteranceInfo, signal?: AbortSignal): Promise<SpokenPart> {
    const ask = () => this.#json<UtteranceInfo>(`/utterances/${utterance.id}`, { signal });
    try {
      while (utterance.phase !== "over") {
        for await (const e of this.events({ after: this.#seen, signal })) {
          this.#seen = Math.max(this.#seen, e.id ?? 0);
          if (e.type === "gap" || (e.type === "utterance" && e.data.id === utterance.id && e.data.phase === "over")) break;
        }
        utterance = await ask();
      }
    } catch (err) {
      if (signal?.aborted) await this.interrupt();
      throw err;
    }
    const { receipt, error } = utterance;
    if (!receipt || (error && receipt.outcome === "failed")) {
      throw new GatewayError({ type: "about:blank", title: "failed", status: 0, detail: error ?? "", kind: "", receipt });
    }
    return { utterance: utterance.id, receipt };
  }

  /** Lets the replica say a text in its own voice. */
  say(text: string, queue?: SpeakOptions["queue"], signal?: AbortSignal): Promise<SpokenPart> {
    return this.#json("/say", { method: "POST", body: JSON.stringify({ text, queue }), signal });
  }

  /** Stops the replica, drops the waiting utterances, and resolves with the receipts. */
  async interrupt(): Promise<SpokenPart[]> {
    return (await this.#json<Interrupted>("/interrupt", { method: "POST" })).receipts;
  }

  pause(): Promise<Info> {
    return this.#json("/pause", { method: "POST" });
  }

  /** Continues from where the replica was last heard. */
  resume(): Promise<Info> {
    return this.#json("/resume", { method: "POST" });
  }

  /** Sends another message of the Interactions Protocol. */
  async send(message: Record<string, unknown>): Promise<void> {
    await this.#json("/messages", { method: "POST", body: JSON.stringify(message) });
  }

  /** Interrupts what is spoken, leaves the room, and ends what was created for it. */
  async end(): Promise<void> {
    await this.gateway.request(this.#path, { method: "DELETE", token: this.token });
  }

  /**
   * Yields the events after the id `after`; with `Infinity` only new ones. When the connection
   * is lost, it connects again and continues after the last event, so none is lost or repeated.
   */
  async *events(options: { after?: number; signal?: AbortSignal } = {}): AsyncGenerator<GatewayEvent> {
    const { signal } = options;
    let after = options.after;
    for (let hasEnded = false; ; hasEnded ||= await this.#hasEnded(signal)) {
      const before = after;
      const path = `${this.#path}/events?after=${cursor(after)}`;
      const body = await this.gateway.request(path, { signal, token: this.token }).then((answer) => answer.body!, unlessRefused(signal));
      if (body) {
        for await (const event of parseEvents(body, signal)) {
          if (event.id) after = event.id;
          yield event;
        }
      }
      if (hasEnded && after === before) return;
      if (after === before) await lostFor(lostPause);
    }
  }

  async #hasEnded(signal?: AbortSignal): Promise<boolean> {
    const giveUp = Date.now() + lostTimeout;
    for (;;) {
      const info = await this.#json<Info>("", { signal }).catch(unlessRefused(signal, giveUp));
      if (info) return info.state === "ended";
      await lostFor(lostPause);
    }
  }

  /**
   * Yields what is said in the room, in real time, as signed 16-bit little-endian mono samples
   * at `rate`, until the conversation ends. The conversation must be created with `hear`.
   */
  async *listen(options: ListenOptions = {}): AsyncGenerator<Uint8Array> {
    const { from, rate, signal } = options;
    const path = `${this.#path}/listen${query({ from, rate, format: "s16le" })}`;
    const reader = (await this.gateway.request(path, { signal, token: this.token })).body!.getReader();
    let odd: Uint8Array = new Uint8Array(); // half a sample
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        const all = new Uint8Array(odd.length + value.length);
        all.set(odd);
        all.set(value, odd.length);
        const whole = all.length - (all.length % 2);
        odd = all.slice(whole);
        if (whole > 0) yield all.subarray(0, whole);
      }
    } finally {
      await reader.cancel().catch(() => {});
    }
  }

  /** In a rehearsal: lets the user say audio, and resolves when they have finished. */
  async speakAsUser(audio: BodyInit, options: Pick<SpeakOptions, "format" | "rate" | "channels"> = {}): Promise<number> {
    return (await this.#json<{ seconds: number }>(`/user${query({ ...options })}`, { method: "POST", body: audio })).seconds;
  }

  /**
   * Calls a voice bot made for the telephone, and resolves when it was reached. The conversation
   * has to be created with `hear` of user or all. It needs the token of the gateway, not that of
   * the conversation.
   */
  callBot(bot: Bot): Promise<BotInfo> {
    return this.gateway.json(`${this.#path}/bot`, { method: "POST", body: JSON.stringify(bot) });
  }

  /** Ends the call of the bot; the conversation continues. */
  hangUpBot(): Promise<BotInfo> {
    return this.#json("/bot", { method: "DELETE" });
  }

  /** Opens a WebSocket for audio in pieces, marks, interrupts, and the sound of the room. */
  connect(options: { format?: string; rate?: number; channels?: number; after?: number } = {}): Promise<Stream> {
    const { after = Infinity, format = "s16le", rate, channels } = options;
    const Socket = this.gateway.options.WebSocket ?? globalThis.WebSocket;
    if (!Socket) {
      throw new Error("there is no WebSocket here: new Gateway(url, { WebSocket }) with that of the package ws");
    }
    const protocols = ["echocast.v1", ...(this.token ? [`echocast.token.${this.token}`] : [])];
    const dial = (seen: number) => {
      const path = `${this.#path}/socket${query({ format, rate, channels, after: cursor(seen) })}`;
      return new Socket(this.gateway.url.replace(/^http/, "ws") + path, protocols);
    };
    const open = async (seen: number, attach: (socket: WebSocket) => void): Promise<void> => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await opened(dial(seen), attach);
        } catch (err) {
          this.gateway.next();
          if (attempt >= this.gateway.urls.length) throw err;
        }
      }
    };
    const check = () => this.#json("", { signal: AbortSignal.timeout(connectTimeout) });
    return Stream.open({ open, check }, after);
  }
}

// How long, in ms, a node may take to answer that it opens a WebSocket, or that it refuses one.
const connectTimeout = 10_000;

// Waits until a socket is open. attach is called before any message comes.
function opened(socket: WebSocket, attach: (socket: WebSocket) => void): Promise<void> {
  socket.binaryType = "arraybuffer";
  return new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`the gateway does not answer within ${connectTimeout / 1000} s: is the address right?`));
      socket.onopen = null;
      socket.close();
    }, connectTimeout);
    socket.onopen = () => {
      clearTimeout(timer);
      resolve(attach(socket));
    };
    socket.onerror = () => {
      clearTimeout(timer);
      reject(new Error("the gateway refuses the WebSocket: is the address right, and the token?"));
    };
  });
}

// How long, in ms, no node may answer, and how long each attempt waits.
const lostTimeout = 30_000;
const lostPause = 200;

function lostFor(pause: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, pause));
}

/** Ignores errors of a lost connection, and of a node that holds no conversation yet. */
function unlessRefused(signal: AbortSignal | undefined, giveUp = Infinity): (err: unknown) => undefined {
  return (err) => {
    const isRefused = err instanceof GatewayError && err.problem.status < 500;
    if (isRefused || signal?.aborted || Date.now() > giveUp) throw err;
    return undefined;
  };
}

function cursor(after = 0): number {
  return Math.min(after, Number.MAX_SAFE_INTEGER);
}

function query(values: Record<string, string | number | undefined>): string {
  const all = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== "") all.set(name, String(value));
  }
  const text = all.toString();
  return text && `?${text}`;
}

function isIterable(audio: unknown): audio is AsyncIterable<Uint8Array> {
  return typeof audio === "object" && audio !== null && Symbol.asyncIterator in audio;
}

function streamOf(audio: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const from = audio[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await from.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await from.return?.();
    },
  });
}

async function* parseEvents(body: ReadableStream<Uint8Array>, signal?: AbortSignal): AsyncGenerator<GatewayEvent> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((err: unknown) => {
        if (signal?.aborted) throw err;
        return { done: true as const, value: undefined }; // it was cut
      });
      if (done) return;
      const parts = (text + value).split("\n\n");
      text = parts.pop()!;
      for (const part of parts) {
        const event = parseEvent(part);
        if (event) yield event;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function parseEvent(text: string): GatewayEvent | undefined {
  const fields: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
  }
  if (fields["data"] === undefined) return undefined; // only a sign of life
  return { id: Number(fields["id"] ?? 0), type: fields["event"], data: JSON.parse(fields["data"]) } as GatewayEvent;
}
