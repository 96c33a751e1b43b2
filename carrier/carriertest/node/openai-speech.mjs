// A program that knows nothing of echocast: OPENAI_BASE_URL says where the service is.
import OpenAI from "openai";

const speech = await new OpenAI().audio.speech.create({ model: "gpt-4o-mini-tts", voice: "coral", input: "Hello there.", response_format: "pcm" });
console.log(`bytes: ${(await speech.arrayBuffer()).byteLength}`);
