package preset

// table is in the order of the sources' fame. Rates that can be asked for are
// 24000 Hz, which needs no resampling; the others are the only one there is, or
// the default.
var table = []Preset{
	{
		Name: "elevenlabs", Vendor: "ElevenLabs", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "output_format=pcm_24000; the default is MP3 at 44100 Hz.",
		Example: `curl -sN "https://api.elevenlabs.io/v1/text-to-speech/$VOICE_ID/stream?output_format=pcm_24000" -H "xi-api-key: $ELEVENLABS_API_KEY" -H "Content-Type: application/json" -d '{"text":"Hello."}' | echocast send --preset elevenlabs -`,
	},
	{
		Name: "elevenlabs-mp3", Vendor: "ElevenLabs",
		Ask:     "Any output_format that begins with mp3_; it is the default.",
		Example: `curl -sN "https://api.elevenlabs.io/v1/text-to-speech/$VOICE_ID/stream" -H "xi-api-key: $ELEVENLABS_API_KEY" -H "Content-Type: application/json" -d '{"text":"Hello."}' | echocast send --preset elevenlabs-mp3 -`,
	},
	{
		Name: "openai", Vendor: "OpenAI", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     `"response_format": "pcm", which is always 24000 Hz; the default is MP3.`,
		Example: `curl -sN https://api.openai.com/v1/audio/speech -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" -d '{"model":"gpt-4o-mini-tts","voice":"alloy","input":"Hello.","response_format":"pcm"}' | echocast send --preset openai -`,
	},
	{
		Name: "openai-wav", Vendor: "OpenAI",
		Ask:     `"response_format": "wav"; the lengths in its header are not real and are not believed.`,
		Example: `curl -sN https://api.openai.com/v1/audio/speech -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" -d '{"model":"gpt-4o-mini-tts","voice":"alloy","input":"Hello.","response_format":"wav"}' | echocast send --preset openai-wav -`,
	},
	{
		Name: "openai-realtime", Vendor: "OpenAI Realtime", Encoding: "s16le", Rate: 24000, Channels: 1, Field: "delta", Payload: "base64",
		Ask:     "Session audio format pcm16; pipe its response.audio.delta events in, one JSON object a line.",
		Example: "realtime_client | echocast send --preset openai-realtime -",
	},
	{
		Name: "cartesia", Vendor: "Cartesia", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     `"output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}.`,
		Example: "tts_client | echocast send --preset cartesia -",
	},
	{
		Name: "cartesia-f32", Vendor: "Cartesia", Encoding: "f32le", Rate: 24000, Channels: 1,
		Ask:     `"output_format": {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 24000}.`,
		Example: "tts_client | echocast send --preset cartesia-f32 -",
	},
	{
		Name: "deepgram", Vendor: "Deepgram Aura", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "encoding=linear16&sample_rate=24000&container=none; without container=none the REST service sends WAV, which is recognised.",
		Example: `curl -sN "https://api.deepgram.com/v1/speak?model=aura-2-thalia-en&encoding=linear16&sample_rate=24000&container=none" -H "Authorization: Token $DEEPGRAM_API_KEY" -H "Content-Type: application/json" -d '{"text":"Hello."}' | echocast send --preset deepgram -`,
	},
	{
		Name: "azure", Vendor: "Azure Speech", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "X-Microsoft-OutputFormat: raw-24khz-16bit-mono-pcm; some clients put a WAV header before raw samples, which is recognised.",
		Example: "tts_client | echocast send --preset azure -",
	},
	{
		Name: "google", Vendor: "Google Cloud Text-to-Speech", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "audioEncoding PCM at sampleRateHertz 24000, which has no header.",
		Example: "tts_client | echocast send --preset google -",
	},
	{
		Name: "google-linear16", Vendor: "Google Cloud Text-to-Speech",
		Ask:     "audioEncoding LINEAR16, which has a WAV header.",
		Example: "tts_client | echocast send --preset google-linear16 -",
	},
	{
		Name: "gemini", Vendor: "Gemini", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "Its audio is always raw PCM; the rate stands only in the MIME type (audio/L16;rate=24000).",
		Example: "tts_client | echocast send --preset gemini -",
	},
	{
		Name: "polly", Vendor: "Amazon Polly", Encoding: "s16le", Rate: 16000, Channels: 1,
		Ask:     "--output-format pcm --sample-rate 16000; PCM comes at 8000 or 16000 Hz only.",
		Example: `aws polly synthesize-speech --voice-id Joanna --engine neural --output-format pcm --sample-rate 16000 --text "Hello." speech.raw && echocast send --preset polly speech.raw`,
	},
	{
		Name: "polly-mp3", Vendor: "Amazon Polly",
		Ask:     "--output-format mp3 --sample-rate 24000, the highest rate it has.",
		Example: `aws polly synthesize-speech --voice-id Joanna --engine neural --output-format mp3 --sample-rate 24000 --text "Hello." speech.mp3 && echocast send --preset polly-mp3 speech.mp3`,
	},
	{
		Name: "rime", Vendor: "Rime", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "Accept: audio/pcm with samplingRate 24000.",
		Example: "tts_client | echocast send --preset rime -",
	},
	{
		Name: "lmnt", Vendor: "LMNT", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "format pcm_s16le at sample_rate 24000.",
		Example: "tts_client | echocast send --preset lmnt -",
	},
	{
		Name: "inworld", Vendor: "Inworld", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "audioEncoding PCM at sampleRateHertz 24000; LINEAR16 repeats a WAV header in every chunk.",
		Example: "tts_client | echocast send --preset inworld -",
	},
	{
		Name: "inworld-linear16", Vendor: "Inworld",
		Ask:     "audioEncoding LINEAR16, or WAV; each chunk of LINEAR16 begins with a WAV header.",
		Example: "tts_client | echocast send --preset inworld-linear16 -",
	},
	{
		Name: "playht", Vendor: "PlayHT", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "output_format raw at sample_rate 24000; this was not checked against the service.",
		Example: "tts_client | echocast send --preset playht -",
	},
	{
		Name: "groq", Vendor: "Groq",
		Ask:     "response_format wav; its header is right where other sources say 48000 Hz.",
		Example: "tts_client | echocast send --preset groq -",
	},
	{
		Name: "hume", Vendor: "Hume", Encoding: "s16le", Rate: 48000, Channels: 1,
		Ask:     "Format pcm, which is always 48000 Hz.",
		Example: "tts_client | echocast send --preset hume -",
	},
	{
		Name: "gradium", Vendor: "Gradium", Encoding: "s16le", Rate: 48000, Channels: 1,
		Ask:     "Format pcm, which is always 48000 Hz.",
		Example: "tts_client | echocast send --preset gradium -",
	},
	{
		Name: "bland", Vendor: "Bland", Encoding: "s16le", Rate: 48000, Channels: 1,
		Ask:     "container raw with pcm_s16le; the rate is 48000 Hz unless another is asked for.",
		Example: "tts_client | echocast send --preset bland -",
	},
	{
		Name: "resemble", Vendor: "Resemble", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "precision PCM_16, sample_rate 24000 and no_audio_header true.",
		Example: "tts_client | echocast send --preset resemble -",
	},
	{
		Name: "speechify", Vendor: "Speechify", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "Format pcm_24000; it sends 24000 Hz even where another rate was asked for and its header says so.",
		Example: "tts_client | echocast send --preset speechify -",
	},
	{
		Name: "speechmatics", Vendor: "Speechmatics", Encoding: "s16le", Rate: 16000, Channels: 1,
		Ask:     "Output format pcm_16000.",
		Example: "tts_client | echocast send --preset speechmatics -",
	},
	{
		Name: "minimax", Vendor: "MiniMax", Encoding: "s16le", Rate: 24000, Channels: 1, Field: "data.audio", Payload: "hex",
		Ask:     `"audio_setting": {"format": "pcm", "sample_rate": 24000}; pipe the data lines of its event stream in, one JSON object a line.`,
		Example: "sed -un 's/^data: *//p' events | echocast send --preset minimax -",
	},
	{
		Name: "fish", Vendor: "Fish Audio", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "format pcm at sample_rate 24000.",
		Example: "tts_client | echocast send --preset fish -",
	},
	{
		Name: "sarvam", Vendor: "Sarvam", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "output_audio_codec linear16 at speech_sample_rate 24000; older models deliver 22050 Hz, which a WAV header says.",
		Example: "tts_client | echocast send --preset sarvam -",
	},
	{
		Name: "neuphonic", Vendor: "Neuphonic", Encoding: "s16le", Rate: 22050, Channels: 1,
		Ask:     "encoding pcm_linear at its default sampling_rate, 22050 Hz.",
		Example: "tts_client | echocast send --preset neuphonic -",
	},
	{
		Name: "smallest", Vendor: "Smallest AI", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "output_format pcm at sample_rate 24000.",
		Example: "tts_client | echocast send --preset smallest -",
	},
	{
		Name: "soniox", Vendor: "Soniox", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "audio_format pcm_s16le at sample_rate 24000.",
		Example: "tts_client | echocast send --preset soniox -",
	},
	{
		Name: "asyncai", Vendor: "async AI", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "container raw, encoding pcm_s16le, sample_rate 24000.",
		Example: "tts_client | echocast send --preset asyncai -",
	},
	{
		Name: "camb", Vendor: "CAMB.AI", Encoding: "s16le", Rate: 22050, Channels: 1,
		Ask:     "format pcm_s16le; mars-flash has 22050 Hz, for mars-pro add --rate 48000.",
		Example: "tts_client | echocast send --preset camb -",
	},
	{
		Name: "mistral", Vendor: "Mistral", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "Raw PCM, which is 24000 Hz.",
		Example: "tts_client | echocast send --preset mistral -",
	},
	{
		Name: "together", Vendor: "Together AI", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "response_format raw with pcm_s16le, which is 24000 Hz.",
		Example: "tts_client | echocast send --preset together -",
	},
	{
		Name: "xai", Vendor: "xAI", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     `"output_format": {"codec": "pcm", "sample_rate": 24000}.`,
		Example: "tts_client | echocast send --preset xai -",
	},
	{
		Name: "nvidia", Vendor: "NVIDIA Riva", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     "encoding LINEAR_PCM at sample_rate_hz 24000.",
		Example: "tts_client | echocast send --preset nvidia -",
	},
	{
		Name: "kokoro", Vendor: "Kokoro-FastAPI", Encoding: "s16le", Rate: 24000, Channels: 1,
		Ask:     `"response_format": "pcm"; WAV and MP3 are recognised.`,
		Example: `curl -sN http://localhost:8880/v1/audio/speech -H "Content-Type: application/json" -d '{"model":"kokoro","voice":"af_heart","input":"Hello.","response_format":"pcm"}' | echocast send --preset kokoro -`,
	},
	{
		Name: "kokoro-f32", Vendor: "Kokoro (library)", Encoding: "f32le", Rate: 24000, Channels: 1,
		Ask:     "The arrays its pipeline yields, written as they are: sys.stdout.buffer.write(audio.numpy().tobytes()).",
		Example: "python3 speak.py | echocast send --preset kokoro-f32 -",
	},
	{
		Name: "pocket", Vendor: "Pocket TTS",
		Ask:     "Its WAV; the length in the header is not real and is not believed.",
		Example: "tts_client | echocast send --preset pocket -",
	},
	{
		Name: "piper", Vendor: "Piper", Encoding: "s16le", Rate: 22050, Channels: 1,
		Ask:     "--output-raw with a voice of medium or high quality; --piper-voice VOICE.onnx.json reads the rate of any voice.",
		Example: "echo Hello. | piper -m en_US-lessac-medium --output-raw | echocast send --preset piper -",
	},
	{
		Name: "piper-low", Vendor: "Piper", Encoding: "s16le", Rate: 16000, Channels: 1,
		Ask:     "--output-raw with a voice of low or x_low quality.",
		Example: "echo Hello. | piper -m en_US-lessac-low --output-raw | echocast send --preset piper-low -",
	},
	{
		Name: "espeak", Vendor: "eSpeak NG",
		Ask:     "--stdout, which is WAV; the lengths in its header are not real and are not believed.",
		Example: `espeak-ng --stdout "Hello." | echocast send --preset espeak -`,
	},
	{
		Name: "say", Vendor: "macOS say",
		Ask:     "--file-format=WAVE --data-format=LEI16@24000; its default is big-endian AIFF.",
		Example: `say -o speech.wav --file-format=WAVE --data-format=LEI16@24000 "Hello." && echocast send --preset say speech.wav`,
	},
	{
		Name: "ulaw8k", Vendor: "telephony", Encoding: "mulaw", Rate: 8000, Channels: 1,
		Ask:     "G.711 mu-law, as Twilio and most of North America send it.",
		Example: "phone_audio | echocast send --preset ulaw8k -",
	},
	{
		Name: "alaw8k", Vendor: "telephony", Encoding: "alaw", Rate: 8000, Channels: 1,
		Ask:     "G.711 A-law, as most of the world sends it.",
		Example: "phone_audio | echocast send --preset alaw8k -",
	},
}
