// Written by: go test ./clients -run TestTypeScriptTypesMatchGateway -update

/** The conversation to create. */
export interface Spec {
  to?: string;
  pal?: string;
  face?: string;
  max_minutes?: number;
  via?: string;
  avatar?: string;
  microphone?: boolean;
  label?: string;
  bot?: Bot;
  hear?: string;
  barge_in?: boolean;
  resume?: boolean;
  on_loss?: "abandon" | "restart" | "resume";
  lead_seconds?: number;
  gap_seconds?: number;
}

/** A voice bot made for the telephone, which holds the conversation. */
export interface Bot {
  carrier?: string;
  url: string;
  rate?: number;
  parameters?: { [name: string]: string };
  on_hangup?: string;
}

/** The state of a conversation. */
export interface Info {
  id: string;
  state: "starting" | "open" | "draining" | "ending" | "ended";
  kind: string;
  label?: string;
  created: string;
  error?: string;
  replica?: string;
  lead_seconds: number;
  waiting: number;
  utterances: number;
  interrupted: number;
  failed: number;
  underruns: number;
  last_text?: string;
  bot?: BotInfo;
  token?: string;
  events: string;
  speech: string;
}

/** The state of a bot's call. */
export interface BotInfo {
  carrier: string;
  state: "connected" | "hung_up" | "lost" | "stopped";
  error?: string;
}

/** A takeover: another node of the cluster continued the conversation. */
export interface Takeover {
  from: string;
  utterance?: string;
  at_seconds: number;
  repeated_seconds: number;
}

/** The state of an utterance. */
export interface UtteranceInfo {
  id: string;
  name?: string;
  phase: "waiting" | "speaking" | "over";
  receipt?: Receipt;
  error?: string;
  key?: string;
  takeovers?: Takeover[];
  bytes?: number;
  marks?: number;
  open?: boolean;
}

/** The receipt of an utterance, or of a part of one that was continued. */
export interface SpokenPart {
  utterance: string;
  receipt: Receipt;
  takeover?: Takeover;
}

/** What an interrupt ended. */
export interface Interrupted {
  receipts: SpokenPart[];
}

/** A place in an utterance, which was heard or dropped. */
export interface Mark {
  utterance: string;
  name: string;
  seconds: number;
  heard: boolean;
  by: string;
}

/** The first message on a WebSocket: the id of the event before the first one that follows. */
export interface Connected {
  after: number;
}

/** How many bytes of an utterance's audio have arrived and are stored. */
export interface Received {
  utterance: string;
  bytes: number;
}

/** The format of the binary messages after the command listen. */
export interface Listening {
  from: string;
  format: string;
  rate: number;
  channels: number;
}

/** Audio that a listener has lost, because it was slow. */
export interface Lost {
  seconds: number;
}

/** A command of a client on a WebSocket. */
export interface Order {
  type: "start" | "end" | "continue" | "mark" | "say" | "message" | "interrupt" | "pause" | "resume" | "listen" | "unlisten";
  key?: string;
  name?: string;
  text?: string;
  format?: string;
  rate?: number;
  channels?: number;
  queue?: "queue" | "replace" | "reject";
  utterance?: string;
  from?: string;
  message?: unknown;
}

/** An error, in the form of RFC 9457. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  kind: string;
  receipt?: Receipt;
}

/** What was sent of an utterance, and what was heard. */
export interface Receipt {
  inference_id: string;
  resumes?: string;
  source?: string;
  outcome: "finished" | "interrupted" | "sent" | "unverified" | "failed";
  samples: number;
  sent_seconds: number;
  chunks: number;
  bytes: number;
  clipped: number;
  characters?: number;
  first_message_seconds: number;
  first_audio_seconds: number;
  spoken_seconds: number;
  spoken_by: string;
  spoken_at_most?: boolean;
  heard_samples: number;
  words?: HeardWords;
  underruns: number;
  underruns_by: string;
  gap_seconds: number;
  gaps_by?: string;
  lead_seconds: number;
  delivery?: string;
  acknowledged_samples: number;
  uncertain_samples?: number;
  input?: FeedStats;
  error?: string;
}

/** The words that were heard, and the rest. */
export interface HeardWords {
  text: string;
  rest: string;
  words: number;
  of: number;
  by: string;
  error_words: number;
}

/** How fast the audio arrived. */
export interface FeedStats {
  factor: number;
  stalls: number;
  stalled_seconds: number;
  silence_samples: number;
}
