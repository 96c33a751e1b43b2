package cli_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"echocast/preset"
)

// eventStream is all that a service sends for one speech: what comes before the
// audio, one event with audio, what comes between two of them, what comes behind,
// and how it reports an error.
type eventStream struct {
	preset, name                    string
	begin, audio, between, end, err string
	hex                             bool
}

// The streams are as the sources of the presets document them.
var eventStreams = []eventStream{
	{preset: "openai-realtime", name: "GA",
		begin: `{"type":"session.created","event_id":"e1","session":{"type":"realtime",` +
			`"audio":{"output":{"format":{"type":"audio/pcm","rate":24000}}}}}
{"type":"response.created","response":{"status":"in_progress","output":[],"error":null}}
{"type":"response.output_item.added","item":{"type":"message","content":[]}}
`,
		audio: `{"type":"response.output_audio.delta","event_id":"e2","item_id":"i","output_index":0,"content_index":0,` +
			`"delta":"%s"}` + "\n",
		between: `{"type":"response.output_audio_transcript.delta","delta":"Hello "}` + "\n" +
			`{"type":"response.output_text.delta","delta":"AAAA"}` + "\n",
		end: `{"type":"response.output_audio.done"}
{"type":"response.output_audio_transcript.done","transcript":"Hello there."}
{"type":"response.done","response":{"status":"completed","usage":{"total_tokens":9},"status_details":null}}
`,
		err: `{"type":"error","event_id":"e3","error":{"type":"server_error","code":null,"message":"the ` +
			`voice broke"}}` + "\n"},
	{preset: "openai-realtime", name: "beta",
		audio: `{"type":"response.audio.delta","delta":"%s"}` + "\n",
		between: `{"type":"response.audio_transcript.delta","delta":"Hi"}` + "\n" +
			`{"type":"response.function_call_arguments.delta","delta":"{\"a\":"}` + "\n",
		end: `{"type":"response.audio.done"}` + "\n" + `{"type":"response.done","response":{"status":"completed"}}`,
		err: `{"type":"response.done","response":{"status":"failed","status_details":{"error":{"message":"the ` +
			`voice broke"}}}}`},
	{preset: "openai", name: "SSE",
		audio: "data: {\"type\":\"speech.audio.delta\",\"audio\":\"%s\"}\n\n",
		end:   "data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":1}}\n\n",
		err:   "data: {\"type\":\"error\",\"message\":\"the voice broke\"}\n\n"},
	{preset: "mistral", name: "SSE",
		audio: "event: speech.audio.delta\ndata: {\"type\": \"speech.audio.delta\", \"audio_data\": \"%s\"}\n\n",
		end: "event: speech.audio.done\ndata: {\"type\": \"speech.audio.done\", \"usage\": {\"prompt_tokens\": 5}}\n" +
			"\ndata: [DONE]\n\n",
		err: "data: {\"object\":\"error\",\"error\":{\"message\":\"the voice broke\"}}\n\n"},
	{preset: "minimax", name: "SSE", hex: true,
		audio: `data: {"data":{"audio":"%s","status":1,"ced":""},"trace_id":"t","base_resp":{"status_code":0,` +
			`"status_msg":""}}` + "\n\n",
		end: `data: {"data":{"audio":"%[1]s","status":2,"ced":""},"extra_info":{"audio_length":300,` +
			`"audio_sample_rate":24000},"trace_id":"t","base_resp":{"status_code":0,"status_msg":"success"}}` + "\n\n",
		err: `data: {"data":null,"base_resp":{"status_code":1042,"status_msg":"the voice broke"}}` + "\n\n"},
	{preset: "minimax", name: "without the repetition", hex: true,
		audio: `data: {"data":{"audio":"%s","status":1},"base_resp":{"status_code":0}}` + "\n\n",
		end: `data: {"data":{"audio":"","status":2},"extra_info":{"audio_length":300},"base_resp":{"status_code":0}}` +
			"\n\n",
		err: `data: {"type":"x","status":"error","message":"the voice broke"}` + "\n\n"},
	{preset: "gemini", name: "SSE",
		audio: `data: {"candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000",` +
			`"data": "%s"}}],"role": "model"},"index": 0}],"modelVersion": "gemini"}` + "\r\n\r\n",
		end: `data: {"candidates": [{"content": {"parts": [{"text": ""}]},"finishReason": "STOP"}],"usageMetadata": ` +
			`{"totalTokenCount": 9}}` + "\r\n\r\n",
		err: `data: {"error": {"code": 503, "message": "the voice broke", "status": "UNAVAILABLE"}}` + "\r\n\r\n"},
	{preset: "gemini", name: "array", begin: "[",
		audio: "{\n  \"candidates\": [\n    {\n      \"content\": {\n        \"parts\": [\n" +
			"          {\"inlineData\": {\"mimeType\": \"audio/L16\", \"data\": \"%s\"}}\n        ]\n      }\n    }\n  ]\n}\n",
		between: ",\n", end: "]\n", err: `,{"error": {"message": "the voice broke"}}]`},
	{preset: "gemini", name: "Live", begin: `{"setupComplete":{}}`,
		audio:   `{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"audio/pcm;rate=24000","data":"%s"}}]}}}`,
		between: `{"serverContent":{"outputTranscription":{"text":"Hi"}}}`,
		end:     `{"serverContent":{"turnComplete":true},"usageMetadata":{}}`,
		err:     `{"error":{"message":"the voice broke"}}`},
	{preset: "elevenlabs", name: "WebSocket",
		audio: `{"audio":"%s","isFinal":null,"normalizedAlignment":{"chars":["a"],"charStartTimesMs":[0]},` +
			`"alignment":null}` + "\n",
		end: `{"audio":null,"isFinal":true}` + "\n", err: `{"message":"the voice broke","error":"quota_exceeded",` +
			`"code":1008}` + "\n"},
	{preset: "elevenlabs", name: "with timestamps",
		audio: `{"audio_base64":"%s","alignment":{"characters":["a"]},"normalized_alignment":null}` + "\n",
		err:   `{"detail":{"status":"quota"},"error":"the voice broke"}`},
	{preset: "cartesia", name: "SSE",
		audio: "event: chunk\n" +
			"data: {\"type\":\"chunk\",\"data\":\"%s\",\"done\":false,\"status_code\":206,\"step_time\":1.2}\n\n",
		between: "event: timestamps\n" +
			"data: {\"type\":\"timestamps\",\"word_timestamps\":{\"words\":[\"Hi\"]},\"done\":false}\n\n",
		end: "event: done\ndata: {\"type\":\"done\",\"done\":true,\"status_code\":200}\n\n",
		err: "event: error\ndata: {\"type\":\"error\",\"done\":true,\"status_code\":500,\"error\":\"the " +
			"voice broke\"}\n\n"},
	{preset: "together", name: "SSE",
		audio:   "data: {\"type\":\"conversation.item.audio_output.delta\",\"item_id\":\"tts_1\",\"delta\":\"%s\"}\n\n",
		between: "data: {\"type\":\"conversation.item.word_timestamps\",\"words\":[\"Hello\"]}\n\n",
		end:     "data: {\"type\":\"conversation.item.audio_output.done\"}\n\ndata: [DONE]\n\n",
		err:     "data: {\"type\":\"conversation.item.tts.failed\",\"error\":{\"message\":\"the voice broke\"}}\n\n"},
	{preset: "together", name: "chunks",
		audio: "data: {\"object\":\"audio.tts.chunk\",\"model\":\"m\",\"b64\":\"%s\"}\n\n",
		end:   "data: [DONE]\n\n", err: "data: {\"error\":\"the voice broke\"}\n\n"},
	{preset: "google", name: "REST", audio: "{\n  \"audioContent\": \"%s\"\n}\n",
		err: `{"error":{"code":429,"message":"the voice broke"}}`},
	{preset: "inworld", name: "streamed",
		audio: `{"result":{"audioContent":"%s","usage":{"processedCharactersCount":5}}}` + "\n",
		err:   `{"error":{"code":13,"message":"the voice broke"}}` + "\n"},
	{preset: "neuphonic", name: "SSE",
		audio: "event: message\n" +
			"data: {\"status_code\":200,\"data\":{\"text\":\"Hi\",\"audio\":\"%s\",\"sampling_rate\":22050}}\n\n",
		err: "data: {\"status_code\":500,\"errors\":[],\"error\":\"the voice broke\"}\n\n"},
	{preset: "smallest", name: "WebSocket", audio: `{"request_id":"r","status":"chunk","data":{"audio":"%s"}}` + "\n",
		end: `{"request_id":"r","status":"complete","done":true}` + "\n",
		err: `{"status":"error","message":"the voice broke"}`},
	{preset: "sarvam", name: "REST", audio: `{"request_id":"r","audios":["%s"]}`,
		err: `{"error":{"message":"the voice broke"}}`},
	{preset: "hume", name: "streamed", audio: `{"request_id":"r","audio":"%s","generation_id":"g","is_last_chunk":false,` +
		`"type":"audio"}` + "\n", err: `{"type":"error","message":"the voice broke"}`},
	{preset: "rime", name: "WebSocket", audio: `{"type":"chunk","data":"%s","contextId":null}`,
		between: `{"type":"timestamps","word_timestamps":{"words":["Hi"]}}`,
		end:     `{"type":"done"}`, err: `{"type":"error","message":"the voice broke"}`},
	{preset: "asyncai", name: "WebSocket", audio: `{"context_id":"c","audio":"%s","final":false}`,
		end: `{"context_id":"c","audio":"","final":true}`, err: `{"error_code":"x","error":"the voice broke"}`},
	{preset: "xai", name: "WebSocket", audio: `{"type":"audio.delta","delta":"%s"}`, end: `{"type":"audio.done"}`,
		err: `{"type":"error","message":"the voice broke"}`},
	{preset: "resemble", name: "WebSocket", audio: `{"type":"audio","audio_content":"%s","request_id":0}`,
		end: `{"type":"audio_end"}`, err: `{"type":"error","error_name":"x","message":"the voice broke"}`},
	{preset: "speechify", name: "REST", audio: `{"audio_data":"%s","audio_format":"pcm","speech_marks":{"value":"Hi"}}`,
		err: `{"error":"the voice broke"}`},
}

// text is the stream, with the error in its middle where broken.
func (s *eventStream) text(pcm []byte, broken bool) string {
	encode := base64.StdEncoding.EncodeToString
	if s.hex {
		encode = hex.EncodeToString
	}
	var text strings.Builder
	text.WriteString(s.begin)
	for from := 0; from < len(pcm); from += 1001 {
		if from > 0 {
			text.WriteString(s.between)
		}
		if broken && from > len(pcm)/2 {
			return text.String() + s.err
		}
		fmt.Fprintf(&text, s.audio, encode(pcm[from:min(from+1001, len(pcm))]))
	}
	if strings.Contains(s.end, "%[1]s") {
		fmt.Fprintf(&text, s.end, encode(pcm))
	} else {
		text.WriteString(s.end)
	}
	return text.String()
}

// The whole stream of a service is its audio and nothing else, once, and an error
// in it is quoted and ends in an interrupt.
func TestPresetsReadWholeStreams(t *testing.T) {
	for _, s := range eventStreams {
		t.Run(s.preset+" "+s.name, func(t *testing.T) {
			p, err := preset.Find(s.preset)
			if err != nil {
				t.Fatal(err)
			}
			pcm := recode(p.Encoding, tonePCM(p.Rate))
			for _, step := range []int{1 << 20, 7} {
				r := run(t, &steps{[]byte(s.text(pcm, false)), step}, "encode", "--preset", s.preset, "-")
				got := audioOf(messages(t, r.stdout))
				if r.code != 0 || len(got) != 2*7200 {
					t.Fatalf("by %d bytes: code %d, %d samples: %s", step, r.code, len(got)/2, r.stderr)
				}
				checkTone(t, got)
			}
			r := run(t, strings.NewReader(s.text(pcm, true)), "encode", "--preset", s.preset, "-")
			if r.code != 3 || !strings.Contains(r.stderr, "the voice broke") ||
				!strings.Contains(r.stdout, "conversation.interrupt") || strings.Contains(r.stdout, `"done":true`) {
				t.Errorf("with an error: code %d: %s; %d bytes of messages", r.code, r.stderr, len(r.stdout))
			}
		})
	}
}

// --field and --preset go together: the field of the one, the samples of the
// other.
func TestPresetWithField(t *testing.T) {
	pcm := tonePCM(24000)
	text := fmt.Sprintf(`{"speech":{"bytes":"%s"}}`, base64.StdEncoding.EncodeToString(pcm))
	r := run(t, strings.NewReader(text), "encode", "--preset", "openai", "--field", "speech.bytes", "-")
	if got := audioOf(messages(t, r.stdout)); r.code != 0 || string(got) != string(pcm) {
		t.Errorf("code %d, %d bytes: %s", r.code, len(got), r.stderr)
	}
}
