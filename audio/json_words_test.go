package audio_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"echocast/audio"
)

// timedJSON reads objects of JSON to their end and returns their words.
func timedJSON(t *testing.T, text string, o *audio.PrepareOptions) []audio.Word {
	t.Helper()
	options := *o
	options.Input = &audio.Options{Encoding: "s16le", TrustHeader: true, Raw: audio.Format{Rate: 24000, Channels: 1}}
	in, err := audio.Prepare(t.Context(), strings.NewReader(text), &options)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	buf := make([]float32, 4096)
	for err == nil {
		_, err = in.ReadSamples(buf)
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	return in.Words()
}

func describeTimes(words []audio.Word) string {
	var all []string
	for _, w := range words {
		all = append(all, fmt.Sprintf("%s %d-%d", w.Text, w.Start.Milliseconds(), w.End.Milliseconds()))
	}
	return strings.Join(all, ", ")
}

// The times of words are read as each service documents them: beside, before or after the
// audio, counted from the beginning of the stream or of each part.
func TestWordsInJSON(t *testing.T) {
	sound := base64.StdEncoding.EncodeToString(make([]byte, 48000))
	for name, c := range map[string]struct{ text, want string }{
		"ElevenLabs, HTTP": {
			`{"audio_base64":"AAAA","alignment":{"characters":["H","i"," ","y"],` +
				`"character_start_times_seconds":[0,0.1,0.2,0.3],` +
				`"character_end_times_seconds":[0.1,0.2,0.3,0.4]},` +
				`"normalized_alignment":{"characters":["X"],` +
				`"character_start_times_seconds":[0],"character_end_times_seconds":[1]}}` +
				"\n" + `{"audio_base64":"AAAA","alignment":{"characters":["o","u","."],` +
				`"character_start_times_seconds":[0.4,0.5,0.6],"character_end_times_seconds":[0.5,0.6,0.7]}}`,
			"Hi 0-200, you. 300-700"},
		"ElevenLabs, WebSocket": {
			`{"audio":"AAAA","isFinal":null,"normalizedAlignment":{"chars":["H","i"],"charStartTimesMs":[0,100],` +
				`"charDurationsMs":[100,100]},"alignment":null}
{"audio":"AAAA","normalizedAlignment":{"chars":[" ","y","o"],"charStartTimesMs":[0,50,100],"charDurationsMs":[50,50,100]},"alignment":null}
{"audio":"AAAA","normalizedAlignment":null}
{"audio":"AAAA","normalizedAlignment":{"chars":["u"],"charStartTimesMs":[0],"charDurationsMs":[70]}}`,
			"Hi 0-200, you 250-470"},
		"Cartesia, before the audio": {`data: {"type":"timestamps","word_timestamps":{"words":["Hello","there."],` +
			`"start":[0.02,0.5],"end":[0.4,0.9]}}` + "\n\n" + `data: {"type":"chunk","data":"AAAA"}` + "\n\n",
			"Hello 20-400, there. 500-900"},
		"Rime, after it": {`{"type":"chunk","data":"AAAA"}{"type":"timestamps",` +
			`"word_timestamps":{"words":["One"],"start":[0],"end":[0.4]}}{"type":"chunk","data":"AAAA"}` +
			`{"type":"timestamps","word_timestamps":{"words":["two"],"start":[0.5],"end":[0.7]}}`,
			"One 0-400, two 500-700"},
		"Inworld, words": {
			`{"result":{"audioContent":"AAAA","timestampInfo":{"wordAlignment":{"words":["Hello,","world!"],` +
				`"wordStartTimeSeconds":[0,0.51],"wordEndTimeSeconds":[0.51,1.04]}}}}
{"result":{"audioContent":"AAAA","timestampInfo":{"wordAlignment":{"words":["Bye"],` +
				`"wordStartTimeSeconds":[0],"wordEndTimeSeconds":[0.3]}}}}`,
			"Hello, 0-510, world! 510-1040, Bye 1040-1340"},
		"Inworld, tokens": {`{"audioContent":"AAAA","timestampInfo":{"wordAlignment":{"words":["Hello",",",` +
			`" ","half","-","time","!"],"wordStartTimeSeconds":[0,0.4,0.4,0.5,0.7,0.7,0.9],` +
			`"wordEndTimeSeconds":[0.4,0.4,0.5,0.7,0.7,0.9,0.9],"phoneticDetails":[{"wordIndex":0,` +
			`"phones":[{"phoneSymbol":"h","startTimeSeconds":0}]}]}}}`,
			"Hello, 0-400, half-time! 500-900"},
		"Hume": {`{"type":"audio","audio":"AAAA"}
{"type":"timestamp","timestamp":{"type":"phoneme","text":"h","time":{"begin":0,"end":50}}}
{"type":"timestamp","timestamp":{"type":"word","text":"Hello","time":{"begin":10,"end":512}}}
{"type":"timestamp","timestamp":{"text":"you","time":{"begin":600,"end":800},"type":"word"}}`,
			"Hello 10-512, you 600-800"},
		"Hume, whole": {`{"generations":[{"audio":"AAAA","snippets":[[{"timestamps":[{"text":"Hi",` +
			`"time":{"begin":0,"end":200},"type":"word"},{"text":"h","time":{"begin":0,"end":90},` +
			`"type":"phoneme"},{"text":"there","time":{"begin":250,"end":700},"type":"word"}]}]]}]}`,
			"Hi 0-200, there 250-700"},
		"Resemble": {`{"type":"audio","audio_content":"AAAA","audio_timestamps":{"graph_chars":["H","i"," ",` +
			`"u"],"graph_times":[[0,0.1],[0.1,0.2],[0.2,0.3],[0.3,0.4]],"phon_chars":["x"],` +
			`"phon_times":[[0,1]]}}`,
			"Hi 0-200, u 300-400"},
		"LMNT": {`{"audio":"AAAA","timestamps":[{"text":"Hello","start":0.1,"duration":0.4},{"text":" ",` +
			`"start":0.5,"duration":0.1},{"text":"you","start":0.6,"duration":0.2}]}`,
			"Hello 100-500, you 600-800"},
		"Gradium": {`{"type":"text","text":"Hello there","start_s":0,"stop_s":1.1}{"type":"audio",` +
			`"audio":"AAAA"}{"type":"text","text":"you","start_s":1.2,"stop_s":1.6}`,
			"Hello 0-500, there 600-1100, you 1200-1600"},
		"Speechify": {`{"audio_data":"AAAA","speech_marks":{"type":"sentence","value":"Hi you","start_time":0,` +
			`"end_time":900,"chunks":[{"type":"word","value":"Hi","start_time":0,"end_time":300},{"type":"word",` +
			`"value":"you","start_time":400,"end_time":900}]}}`,
			"Hi 0-300, you 400-900"},
		"Kokoro": {`{"audio":"AAAA","timestamps":[{"word":"Hello","start_time":0.3,"end_time":0.6},{"word":",` +
			`","start_time":0.6,"end_time":0.7},{"word":"you","start_time":0.8,"end_time":null},{"word":".",` +
			`"start_time":null,"end_time":null}]}`,
			"Hello, 300-700, you. 800-800"},
		"tags and scripts without spaces": {`{"audio_base64":"AAAA","alignment":{"characters":["<","b","/",` +
			`">","3"," ","<"," ","你","好"],"character_start_times_seconds":[0,0,0,0,0,0.1,0.2,0.3,0.4,0.5],` +
			`"character_end_times_seconds":[0,0,0,0,0.1,0.2,0.3,0.4,0.5,0.6]}}`,
			"3 0-100, < 200-300, 你 400-500, 好 500-600"},
		"a repetition of all": {`{"data":{"audio":"QUFBQkFBQUI="},"word_timestamps":{"words":["Hi"],"start":[0],"end":[1]}}
{"data":{"audio":"QUFBQkFBQUI="},"extra_info":{},"word_timestamps":{"words":["Hi"],"start":[0],"end":[1]}}`,
			"Hi 0-1000"},
		"no times": {`{"audio_base64":"AAAA","alignment":{"characters":["a"]}}`, ""},
		"a wrong type": {`{"audio_base64":"AAAA","alignment":{"characters":["a"],` +
			`"character_start_times_seconds":["x"],"character_end_times_seconds":[{}]}}`, "a 0-0"},
		"too many": {`{"audio":"AAAA","timestamps":[` +
			strings.TrimSuffix(strings.Repeat(`{"word":"a","start_time":0,"end_time":0},`, 1<<16), ",") + `]}`, ""},
		"a long word": {`{"audio":"AAAA","timestamps":[{"word":"` + strings.Repeat("a", 5000) +
			`","start_time":0,"end_time":1}]}`, strings.Repeat("a", 512) + " 0-1000"},
		"audio of hour": {`{"audio":"` + sound + `","timestamps":[{"word":"a","start_time":3600,"end_time":3601}]}`,
			"a 3600000-3601000"},
	} {
		if got := describeTimes(timedJSON(t, c.text, &audio.PrepareOptions{})); got != c.want {
			t.Errorf("%s: %s\nwant %s", name, got, c.want)
		}
	}
}

// Padding and trimming in Prepare shift the times of words.
func TestPrepareShiftsWordTimes(t *testing.T) {
	quiet, loud := make([]byte, 48000), []byte(strings.Repeat("\x00\x40", 24000))
	text := fmt.Sprintf(`{"audio":"%s","timestamps":[{"word":"a","start_time":1,`+
		`"end_time":1.5}]}`, base64.StdEncoding.EncodeToString(append(quiet, loud...)))
	for want, o := range map[string]audio.PrepareOptions{
		"a 1250-1750": {PadBefore: 250 * time.Millisecond},
		"a 50-550":    {TrimSilence: true},
		"a 300-800":   {TrimSilence: true, PadBefore: 250 * time.Millisecond},
	} {
		if got := describeTimes(timedJSON(t, text, &o)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
