// A program that speaks with OpenAI's own library, and knows nothing of echocast: only
// OPENAI_BASE_URL says where the service is. It asks for speech, as a whole and as
// events, and then holds a Realtime session. What it gets it prints, one JSON object
// per line.
import { createHash } from "node:crypto";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const tell = line => console.log(JSON.stringify(line));
const hash = data => createHash("sha256").update(data).digest("hex");
const client = new OpenAI();

const speech = await client.audio.speech.create({ model: "gpt-4o-mini-tts", voice: "coral", input: "Hello there.", response_format: "pcm" });
tell({ event: "speech", sha256: hash(Buffer.from(await speech.arrayBuffer())) });

const events = await client.audio.speech.create({
  model: "gpt-4o-mini-tts", voice: "coral", input: "Hello again.", response_format: "pcm", stream_format: "sse",
});
tell({ event: "sse", sha256: hash(Buffer.from(await events.arrayBuffer())) });

const rt = new OpenAIRealtimeWS({ model: "gpt-realtime" }, client);
const audio = [];
rt.on("error", error => tell({ event: "error", text: String(error) }));
rt.on("session.created", () => {
  rt.send({ type: "session.update", session: { type: "realtime", instructions: "Be brief." } });
  rt.send({ type: "response.create" });
});
rt.on("response.output_audio.delta", event => audio.push(Buffer.from(event.delta, "base64")));
rt.on("response.done", event => tell({ event: "done", status: event.response.status, sha256: hash(Buffer.concat(audio)) }));
rt.on("conversation.item.truncated", event => {
  tell({ event: "truncated", item: event.item_id, milliseconds: event.audio_end_ms });
  rt.close();
});
rt.socket.on("close", code => tell({ event: "closed", code }));
