package preset

// table lists the best-known sources first. Where the rate can be chosen, it is 24000 Hz,
// which needs no resampling. Elsewhere it is the source's only rate, or its default.
var table = []Preset{
	{
		Name: "elevenlabs", Vendor: "ElevenLabs", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask: "output_format=pcm_24000; the default is MP3 at 44100 Hz.",
		Example: `curl -sN "https://api.elevenlabs.io/v1/text-to-speech/$VOICE_ID/stream?output_format=pcm_24000" ` +
			`-H "xi-api-key: $ELEVENLABS_API_KEY" -H "Content-Type: application/json" -d '{"text":"Hello."}' ` +
			`| echocast send --preset elevenlabs -`,
		Source: "https://elevenlabs.io/docs/api-reference/websocket",
		Words: WordTimes{
			Ask:    "/stream/with-timestamps in place of /stream, or its WebSocket; pipe the JSON in.",
			Source: "https://elevenlabs.io/docs/api-reference/text-to-speech/stream-with-timestamps",
		},
	},
	{
		Name: "elevenlabs-mp3", Vendor: "ElevenLabs",
		Ask: "Any output_format that begins with mp3_; it is the default.",
		Example: `curl -sN "https://api.elevenlabs.io/v1/text-to-speech/$VOICE_ID/stream" -H "xi-api-key: ` +
			`$ELEVENLABS_API_KEY" -H "Content-Type: application/json" -d '{"text":"Hello."}' | echocast send ` +
			`--preset elevenlabs-mp3 -`,
		Source: "https://elevenlabs.io/docs/api-reference/text-to-speech/stream",
		Words: WordTimes{
			Ask:    "/stream/with-timestamps in place of /stream, or its WebSocket; pipe the JSON in.",
			Source: "https://elevenlabs.io/docs/api-reference/text-to-speech/stream-with-timestamps",
		},
	},
	{
		Name: "openai", Vendor: "OpenAI", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask: `"response_format": "pcm", which is always 24000 Hz; the default is MP3.`,
		Example: `curl -sN https://api.openai.com/v1/audio/speech -H "Authorization: Bearer $OPENAI_API_KEY" ` +
			`-H "Content-Type: application/json" -d '{"model":"gpt-4o-mini-tts","voice":"alloy","input":"Hello.",` +
			`"response_format":"pcm"}' | echocast send --preset openai -`,
		Source: "https://platform.openai.com/docs/guides/text-to-speech",
	},
	{
		Name: "openai-wav", Vendor: "OpenAI",
		Ask: `"response_format": "wav"; the lengths in its header are wrong and are ignored.`,
		Example: `curl -sN https://api.openai.com/v1/audio/speech -H "Authorization: Bearer $OPENAI_API_KEY" ` +
			`-H "Content-Type: application/json" -d '{"model":"gpt-4o-mini-tts","voice":"alloy","input":"Hello.",` +
			`"response_format":"wav"}' | echocast send --preset openai-wav -`,
		Source: "https://platform.openai.com/docs/guides/text-to-speech",
	},
	{
		Name: "openai-realtime", Vendor: "OpenAI Realtime", Encoding: "s16le", Rate: 24000, Channels: 1, Field: "delta",
		Payload: "base64", Type: "audio.delta",
		Ask:     "Session audio format pcm16 (audio/pcm); pipe in all of its server events; only audio events are spoken.",
		Example: "realtime_client | echocast send --preset openai-realtime -",
		Source:  "https://platform.openai.com/docs/api-reference/realtime-server-events",
	},
	{
		Name: "cartesia", Vendor: "Cartesia", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     `"output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}.`,
		Example: "tts_client | echocast send --preset cartesia -",
		Source:  "https://docs.cartesia.ai/2026-03-01/api-reference/tts/websocket",
		Words: WordTimes{
			Ask:    "add_timestamps true over SSE or WebSocket; pipe the events in.",
			Source: "https://docs.cartesia.ai/examples/tts-sse-with-timestamps",
		},
	},
	{
		Name: "cartesia-f32", Vendor: "Cartesia", Encoding: "f32le", Rate: 24000, Channels: 1,
		Ask:     `"output_format": {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 24000}.`,
		Example: "tts_client | echocast send --preset cartesia-f32 -",
		Source:  "https://docs.cartesia.ai/2026-03-01/api-reference/tts/websocket",
		Words: WordTimes{
			Ask:    "add_timestamps true over SSE or WebSocket; pipe the events in.",
			Source: "https://docs.cartesia.ai/examples/tts-sse-with-timestamps",
		},
	},
	{
		Name: "deepgram", Vendor: "Deepgram Aura", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask: "encoding=linear16&sample_rate=24000&container=none; without container=none the REST service " +
			"sends WAV, which is recognised.",
		Example: `curl -sN ` +
			`"https://api.deepgram.com/v1/speak?model=aura-2-thalia-en&encoding=linear16&sample_rate=24000&container=none" ` +
			`-H "Authorization: Token $DEEPGRAM_API_KEY" -H "Content-Type: application/json" -d '{"text":"Hello."}' ` +
			`| echocast send --preset deepgram -`,
		Source: "https://developers.deepgram.com/docs/tts-container",
	},
	{
		Name: "azure", Vendor: "Azure Speech", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask: "X-Microsoft-OutputFormat: raw-24khz-16bit-mono-pcm; some clients put a WAV header before " +
			"raw samples, which is recognised.",
		Example: "tts_client | echocast send --preset azure -",
		Source:  "https://learn.microsoft.com/azure/ai-services/speech-service/rest-text-to-speech",
	},
	{
		Name: "google", Vendor: "Google Cloud Text-to-Speech", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "audioEncoding PCM at sampleRateHertz 24000, which has no header.",
		Example: "tts_client | echocast send --preset google -",
		Source:  "https://cloud.google.com/text-to-speech/docs/reference/rest/Shared.Types/AudioEncoding",
	},
	{
		Name: "google-linear16", Vendor: "Google Cloud Text-to-Speech",
		Ask:     "audioEncoding LINEAR16, which has a WAV header.",
		Example: "tts_client | echocast send --preset google-linear16 -",
		Source:  "https://cloud.google.com/text-to-speech/docs/reference/rest/Shared.Types/AudioEncoding",
	},
	{
		Name: "gemini", Vendor: "Gemini", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask: "Its audio is always raw PCM in base64; pipe its JSON in as it comes, streamed or not, or " +
			"the samples themselves.",
		Example: "tts_client | echocast send --preset gemini -",
		Source:  "https://ai.google.dev/gemini-api/docs/speech-generation",
	},
	{
		Name: "polly", Vendor: "Amazon Polly", Encoding: "s16le", Rate: 16000, Channels: 1,
		Ask: "--output-format pcm --sample-rate 16000; PCM comes at 8000 or 16000 Hz only.",
		Example: `aws polly synthesize-speech --voice-id Joanna --engine neural --output-format pcm --sample-rate ` +
			`16000 --text "Hello." speech.raw && echocast send --preset polly speech.raw`,
		Source: "https://docs.aws.amazon.com/polly/latest/dg/API_SynthesizeSpeech.html",
	},
	{
		Name: "polly-mp3", Vendor: "Amazon Polly",
		Ask: "--output-format mp3 --sample-rate 24000, which needs no resampling.",
		Example: `aws polly synthesize-speech --voice-id Joanna --engine neural --output-format mp3 --sample-rate ` +
			`24000 --text "Hello." speech.mp3 && echocast send --preset polly-mp3 speech.mp3`,
		Source: "https://docs.aws.amazon.com/polly/latest/dg/API_SynthesizeSpeech.html",
	},
	{
		Name: "rime", Vendor: "Rime", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "Accept: audio/pcm with samplingRate 24000; the events of its WebSockets can be piped in as well.",
		Example: "tts_client | echocast send --preset rime -",
		Source:  "https://docs.rime.ai/api-reference/coda/websocket-v1",
		Words: WordTimes{
			Ask:    "the WebSocket /ws3 (or /ws2) sends them; pipe the events in.",
			Source: "https://docs.rime.ai/api-reference/websockets-json",
		},
	},
	{
		Name: "lmnt", Vendor: "LMNT", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "format pcm_s16le at sample_rate 24000; in older versions raw means 32-bit floats.",
		Example: "tts_client | echocast send --preset lmnt -",
		Source:  "https://github.com/lmnt-com/lmnt-python/blob/main/src/lmnt/types/speech_generate_params.py",
		Words: WordTimes{
			Ask:    "return_timestamps true of the detailed speech endpoint; pipe its JSON in.",
			Source: "https://docs.lmnt.com/build-with-lmnt/word-timestamps",
		},
	},
	{
		Name: "inworld", Vendor: "Inworld", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "audioEncoding PCM at sampleRateHertz 24000; LINEAR16 repeats a WAV header in every chunk.",
		Example: "tts_client | echocast send --preset inworld -",
		Source:  "https://github.com/inworld-ai/inworld-api-examples/blob/main/tts/python/example_websocket.py",
		Words: WordTimes{
			Ask:    `"timestampType": "WORD"; pipe the JSON in.`,
			Source: "https://docs.inworld.ai/tts/capabilities/timestamps",
		},
	},
	{
		Name: "inworld-linear16", Vendor: "Inworld",
		Ask:     "audioEncoding LINEAR16, or WAV; each chunk of LINEAR16 begins with a WAV header.",
		Example: "tts_client | echocast send --preset inworld-linear16 -",
		Source:  "https://github.com/inworld-ai/inworld-api-examples",
		Words: WordTimes{
			Ask:    `"timestampType": "WORD"; pipe the JSON in.`,
			Source: "https://docs.inworld.ai/tts/capabilities/timestamps",
		},
	},
	{
		Name: "playht", Vendor: "PlayHT", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "output_format raw at sample_rate 24000; 16-bit samples are assumed, as its documentation does not say.",
		Example: "tts_client | echocast send --preset playht -",
		Source:  "https://docs.play.ht/reference/api-generate-tts-audio-stream",
	},
	{
		Name: "groq", Vendor: "Groq",
		Ask:     "response_format wav at any sample_rate; the header states it.",
		Example: "tts_client | echocast send --preset groq -",
		Source:  "https://github.com/groq/groq-python/blob/main/src/groq/types/audio/speech_create_params.py",
	},
	{
		Name: "hume", Vendor: "Hume", Encoding: "s16le", Rate: 48000, Channels: 1,
		Ask:     "Format pcm, which is always 48000 Hz.",
		Example: "tts_client | echocast send --preset hume -",
		Source:  "https://github.com/HumeAI/hume-python-sdk/blob/main/src/hume/tts/types/snippet_audio_chunk.py",
		Words: WordTimes{
			Ask:    `"include_timestamp_types": ["word"] with "version": "2" of /v0/tts/stream/json; pipe the JSON in.`,
			Source: "https://dev.hume.ai/docs/text-to-speech-tts/timestamps",
		},
	},
	{
		Name: "gradium", Vendor: "Gradium", Encoding: "s16le", Rate: 48000, Channels: 1,
		Ask:     "output_format pcm, which is 48000 Hz; pcm_24000 needs no resampling: add --rate 24000.",
		Example: "tts_client | echocast send --preset gradium -",
		Source:  "https://github.com/gradium-ai/gradium-py/blob/main/docs/websocket_tts_description.md",
		Words: WordTimes{
			Ask:    "the WebSocket sends them in messages of type text; pipe the messages in.",
			Source: "https://github.com/gradium-ai/gradium-py/blob/main/docs/websocket_tts_description.md",
		},
	},
	{
		Name: "bland", Vendor: "Bland", Encoding: "s16le", Rate: 48000, Channels: 1,
		Ask: `/v2/tts without a container, which is 48000 Hz; "container": "wav" and the WAV of /v1/speak ` +
			`are recognised.`,
		Example: "tts_client | echocast send --preset bland -",
		Source:  "https://docs.bland.ai/api-v2/post/tts",
	},
	{
		Name: "resemble", Vendor: "Resemble", Encoding: "s16le", Rate: 32000, Channels: 1,
		Ask:     "precision PCM_16, sample_rate 32000 and no_audio_header true; it has no 24000 Hz.",
		Example: "tts_client | echocast send --preset resemble -",
		Source:  "https://docs.resemble.ai/guides/creating-clips/websocket-streaming/receiving-audio",
		Words: WordTimes{
			Ask:    "the JSON of the WebSocket and of /synthesize has them; pipe it in.",
			Source: "https://github.com/pipecat-ai/pipecat/blob/main/src/pipecat/services/resembleai/tts.py",
		},
	},
	{
		Name: "speechify", Vendor: "Speechify", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     `"output_format": "pcm_24000"; pipe the events of stream/with-timestamps or the samples in.`,
		Example: "tts_client | echocast send --preset speechify -",
		Source:  "https://docs.sws.speechify.com/tts/guides/streaming",
		Words: WordTimes{
			Ask:    "the JSON of /v1/audio/speech always has speech marks; pipe it in.",
			Source: "https://docs.sws.speechify.com/docs/features/speech-marks",
		},
	},
	{
		Name: "speechmatics", Vendor: "Speechmatics", Encoding: "s16le", Rate: 16000, Channels: 1,
		Ask:     "Output format pcm_16000.",
		Example: "tts_client | echocast send --preset speechmatics -",
		Source:  "https://github.com/speechmatics/speechmatics-python-sdk/blob/main/sdk/tts/speechmatics/tts/_models.py",
	},
	{
		Name: "minimax", Vendor: "MiniMax", Encoding: "s16le", Rate: 24000, Channels: 1, Field: "data.audio",
		Payload: "hex", Summary: "extra_info",
		Ask: `"audio_setting": {"format": "pcm", "sample_rate": 24000, "channel": 1}, "stream_options": ` +
			`{"exclude_aggregated_audio": true}, which leaves out a repetition.`,
		Example: "tts_client | echocast send --preset minimax -",
		Source:  "https://platform.minimaxi.com/document/t2a_http",
	},
	{
		Name: "fish", Vendor: "Fish Audio", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "format pcm at sample_rate 24000 over HTTP; echocast cannot read the MessagePack of its WebSocket.",
		Example: "tts_client | echocast send --preset fish -",
		Source:  "https://docs.fish.audio/api-reference/endpoint/openapi-v1/text-to-speech-stream-with-timestamps",
	},
	{
		Name: "sarvam", Vendor: "Sarvam", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask: "output_audio_codec linear16 at speech_sample_rate 24000; the default of bulbul:v2 is 22050 Hz, " +
			"which a WAV header states.",
		Example: "tts_client | echocast send --preset sarvam -",
		Source:  "https://docs.sarvam.ai/api-reference-docs/text-to-speech/stream",
	},
	{
		Name: "neuphonic", Vendor: "Neuphonic", Encoding: "s16le", Rate: 22050, Channels: 1,
		Ask:     "encoding pcm_linear at its default sampling_rate, 22050 Hz.",
		Example: "tts_client | echocast send --preset neuphonic -",
		Source:  "https://github.com/neuphonic/pyneuphonic/blob/main/pyneuphonic/models.py",
	},
	{
		Name: "smallest", Vendor: "Smallest AI", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "output_format pcm at sample_rate 24000; pipe in the events of its SSE or WebSocket, or the samples.",
		Example: "tts_client | echocast send --preset smallest -",
		Source:  "https://docs.smallest.ai/waves/api-reference/api-reference/text-to-speech/tts",
	},
	{
		Name: "soniox", Vendor: "Soniox", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "audio_format pcm_s16le at sample_rate 24000.",
		Example: "tts_client | echocast send --preset soniox -",
		Source:  "https://soniox.com/docs/api-reference/tts/websocket-api",
	},
	{
		Name: "asyncai", Vendor: "async AI", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "container raw, encoding pcm_s16le, sample_rate 24000; 44100 is the default.",
		Example: "tts_client | echocast send --preset asyncai -",
		Source:  "https://docs.async.ai/text-to-speech-websocket-3477526w0",
	},
	{
		Name: "camb", Vendor: "CAMB.AI", Encoding: "s16le", Rate: 48000, Channels: 1,
		Ask: "format wav, whose header says the rate, or pcm_s16le, which is 48000 Hz; for mars-flash and " +
			"mars-instruct add --rate 22050.",
		Example: "tts_client | echocast send --preset camb -",
		Source:  "https://github.com/Camb-ai/cambai-python-sdk/blob/main/README.md",
	},
	{
		Name: "mistral", Vendor: "Mistral", Encoding: "f32le", Rate: 24000, Channels: 1, Field: "audio_data",
		Payload: "base64",
		Ask: `"response_format": "pcm", which is 24000 Hz in 32-bit floats; with "stream": true the ` +
			`first words come sooner.`,
		Example: `curl -sN https://api.mistral.ai/v1/audio/speech -H "Authorization: Bearer $MISTRAL_API_KEY" ` +
			`-H "Content-Type: application/json" -d '{"model":"voxtral-mini-tts-2603","input":"Hello.",` +
			`"voice_id":"gb_jane_neutral","response_format":"pcm","stream":true}' | echocast send --preset mistral -`,
		Source: "https://docs.mistral.ai/studio/audio/text-to-speech/stream-speech",
	},
	{
		Name: "together", Vendor: "Together AI", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask: "response_format raw with response_encoding pcm_s16le, which is 24000 Hz; with stream " +
			"true pipe its events in.",
		Example: "tts_client | echocast send --preset together -",
		Source:  "https://docs.together.ai/docs/inference/text-to-speech/streaming",
	},
	{
		Name: "xai", Vendor: "xAI", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     `"output_format": {"codec": "pcm", "sample_rate": 24000}.`,
		Example: "tts_client | echocast send --preset xai -",
		Source:  "https://docs.x.ai/developers/rest-api-reference/inference/voice",
	},
	{
		Name: "nvidia", Vendor: "NVIDIA Riva", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "LINEAR_PCM at sample_rate_hz 24000; pipe in the events of its realtime WebSocket, or the samples.",
		Example: "tts_client | echocast send --preset nvidia -",
		Source:  "https://docs.nvidia.com/nim/riva/tts/latest/realtime-tts.html",
	},
	{
		Name: "kokoro", Vendor: "Kokoro-FastAPI", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask: `"response_format": "pcm"; WAV and MP3 are recognised.`,
		Example: `curl -sN http://localhost:8880/v1/audio/speech -H "Content-Type: application/json" -d '{"model":"kokoro",` +
			`"voice":"af_heart","input":"Hello.","response_format":"pcm"}' | echocast send --preset kokoro -`,
		Source: "https://github.com/remsky/Kokoro-FastAPI/blob/master/api/src/structures/schemas.py",
		Words: WordTimes{
			Ask:    "/dev/captioned_speech in place of /v1/audio/speech; pipe the JSON in.",
			Source: "https://github.com/remsky/Kokoro-FastAPI/blob/master/api/src/routers/development.py",
		},
	},
	{
		Name: "kokoro-f32", Vendor: "Kokoro (library)", Encoding: "f32le", Rate: 24000, Channels: 1,
		Ask:     "The arrays its pipeline yields, written as they are: sys.stdout.buffer.write(audio.numpy().tobytes()).",
		Example: "python3 speak.py | echocast send --preset kokoro-f32 -",
		Source:  "https://github.com/hexgrad/kokoro",
	},
	{
		Name: "pocket", Vendor: "Pocket TTS",
		Ask:     "Its WAV; the length in the header is wrong and is ignored.",
		Example: "tts_client | echocast send --preset pocket -",
		Source:  "https://github.com/kyutai-labs/pocket-tts/blob/main/pocket_tts/data/audio.py",
	},
	{
		Name: "piper", Vendor: "Piper", Encoding: "s16le", Rate: 22050, Channels: 1,
		Ask: "--output-raw with a voice of medium or high quality; --piper-voice VOICE.onnx.json reads " +
			"the rate of any voice.",
		Example: "echo Hello. | piper -m en_US-lessac-medium --output-raw | echocast send --preset piper -",
		Source:  "https://github.com/OHF-Voice/piper1-gpl/blob/main/docs/CLI.md",
	},
	{
		Name: "piper-low", Vendor: "Piper", Encoding: "s16le", Rate: 16000, Channels: 1,
		Ask:     "--output-raw with a voice of low or x_low quality.",
		Example: "echo Hello. | piper -m en_US-lessac-low --output-raw | echocast send --preset piper-low -",
		Source:  "https://github.com/OHF-Voice/piper1-gpl/blob/main/docs/CLI.md",
	},
	{
		Name: "espeak", Vendor: "eSpeak NG",
		Ask:     "--stdout, which is WAV; the lengths in its header are wrong and are ignored.",
		Example: `espeak-ng --stdout "Hello." | echocast send --preset espeak -`,
		Source:  "https://github.com/espeak-ng/espeak-ng/blob/master/src/espeak-ng.c",
	},
	{
		Name: "say", Vendor: "macOS say",
		Ask: "--file-format=WAVE --data-format=LEI16@24000; its default is big-endian AIFF.",
		Example: `say -o speech.wav --file-format=WAVE --data-format=LEI16@24000 "Hello." && echocast send ` +
			`--preset say speech.wav`,
		Source: "https://developer.apple.com/library/mac/documentation/Darwin/Reference/ManPages/man1/say.1.html",
	},
	{
		Name: "ulaw8k", Vendor: "telephony", Encoding: "mulaw", Rate: 8000, Channels: 1,
		Ask:     "G.711 mu-law, as Twilio and most of North America send it.",
		Example: "phone_audio | echocast send --preset ulaw8k -",
		Source:  "https://www.itu.int/rec/T-REC-G.711",
	},
	{
		Name: "alaw8k", Vendor: "telephony", Encoding: "alaw", Rate: 8000, Channels: 1,
		Ask:     "G.711 A-law, as most of the world sends it.",
		Example: "phone_audio | echocast send --preset alaw8k -",
		Source:  "https://www.itu.int/rec/T-REC-G.711",
	},
}
