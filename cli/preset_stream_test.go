package cli_test

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"echocast/internal/testwait"
	"echocast/preset"
)

// eventStream is all that a service sends for one speech, as the source of its preset
// documents it: what comes before the audio, an event with audio, what comes between two
// of them, what comes behind, and how it reports an error.
type eventStream struct {
	preset, name string
	options      []string
	sections     map[string]string
}

// readStreams reads testdata/streams.txt. A stream begins with "=== PRESET: NAME" and
// options: hex, for audio that is not in base64; header, where each piece of it begins
// with a WAV header; whole, where all of it comes in one event; crlf, for the ends of
// lines. Its sections begin with "--- begin", audio, between, end, error or short, which
// has a line for each way in which it says that the speech was cut short, with the words
// to be quoted in front; in them, %s is audio.
func readStreams(t *testing.T) (all []*eventStream) {
	t.Helper()
	text, err := os.ReadFile("testdata/streams.txt")
	if err != nil {
		t.Fatal(err)
	}
	section := ""
	for line := range strings.Lines(string(text)) {
		if title, ok := strings.CutPrefix(line, "=== "); ok {
			title, options, _ := strings.Cut(strings.TrimSpace(title), "; ")
			name, of, _ := strings.Cut(title, ": ")
			all = append(all, &eventStream{name, of, strings.Split(options, ", "), map[string]string{}})
			continue
		}
		s := all[len(all)-1]
		if name, ok := strings.CutPrefix(line, "--- "); ok {
			section = strings.TrimSpace(name)
			continue
		}
		if s.is("crlf") {
			line = strings.TrimSuffix(line, "\n") + "\r\n"
		}
		s.sections[section] += line
	}
	return all
}

func (s *eventStream) is(option string) bool { return slices.Contains(s.options, option) }

// sendBytes are the presets of services that send audio only as plain bytes.
var sendBytes = []string{"alaw8k", "azure", "camb", "deepgram", "elevenlabs-mp3", "espeak", "groq",
	"kokoro-f32", "lmnt", "openai-wav", "piper", "piper-low", "playht", "pocket", "polly", "polly-mp3", "say",
	"speechmatics", "ulaw8k"}

// Each preset has an event stream in the file, or sends plain bytes.
func TestEveryPresetHasStreamFixture(t *testing.T) {
	streams := readStreams(t)
	for _, p := range preset.All() {
		hasStream := slices.ContainsFunc(streams, func(s *eventStream) bool { return s.preset == p.Name })
		if hasStream == slices.Contains(sendBytes, p.Name) {
			t.Errorf("%s: has an event stream: %v, sends bytes: %v", p.Name, hasStream, !hasStream)
		}
	}
}

// If a service answers with an error instead of audio, the error is quoted.
func TestPresetsQuoteErrors(t *testing.T) {
	t.Parallel()
	for i, p := range preset.All() {
		for j, body := range []string{
			`{"error":{"message":"the voice broke"}}`, `{"detail":{"status":"quota","message":"the voice broke"}}`,
			`{"err_code":"DATA","err_msg":"the voice broke","request_id":"r"}`, "the voice broke: 401\n",
			"<ErrorResponse><Error><Message>the voice broke</Message></Error></ErrorResponse>",
		} {
			if (i+j)%5 > 0 && testwait.Trials(10) < 10 {
				continue // another preset gets it
			}
			r := run(t, strings.NewReader(body), "encode", "--preset", p.Name, "-")
			if r.code != 3 || r.stdout != "" || !strings.Contains(r.stderr, "the voice broke") ||
				strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("%s: %s: code %d: %s", p.Name, body, r.code, r.stderr)
			}
		}
	}
}

// text returns the stream. If there is a failure, it comes in the middle and ends the stream.
func (s *eventStream) text(pcm []byte, failure string) string {
	encode := base64.StdEncoding.EncodeToString
	if s.is("hex") {
		encode = hex.EncodeToString
	}
	piece := 1001 // cuts samples
	switch {
	case s.is("whole"):
		piece = len(pcm)
	case s.is("header"):
		piece = 1000
	}
	text := s.sections["begin"]
	for from := 0; from < len(pcm); from += piece {
		if from > 0 {
			text += s.sections["between"]
		}
		if failure != "" && from > len(pcm)/2 {
			break
		}
		part := pcm[from:min(from+piece, len(pcm))]
		if s.is("header") {
			head, _ := wav(24000, 1, len(part)/2)
			part = append(bytes.Clone(head[:44]), part...)
		}
		text += strings.ReplaceAll(s.sections["audio"], "%s", encode(part))
	}
	if failure != "" {
		return text + failure
	}
	return text + strings.ReplaceAll(s.sections["end"], "%s", encode(pcm))
}

// From the whole stream of a service its audio is decoded, once and nothing else. An error in
// the stream is quoted and ends it with an interrupt.
func TestPresetsReadWholeStreams(t *testing.T) {
	t.Parallel()
	for _, s := range readStreams(t) {
		t.Run(s.preset+" "+s.name, func(t *testing.T) {
			p, err := preset.Find(s.preset)
			if err != nil {
				t.Fatal(err)
			}
			pcm := recode(p.Encoding, tonePCM(cmp.Or(p.Rate, 24000)))
			for _, step := range []int{1 << 20, 7} {
				r := run(t, &stepReader{[]byte(s.text(pcm, "")), step}, "encode", "--preset", s.preset, "-")
				got := audioOf(messages(t, r.stdout))
				if r.code != 0 || len(got) != 2*7200 {
					t.Fatalf("by %d bytes: code %d, %d samples: %s", step, r.code, len(got)/2, r.stderr)
				}
				checkTone(t, got)
			}
			s.checkFailure(t, pcm, s.sections["error"], "the voice broke")
			for line := range strings.Lines(s.sections["short"]) {
				reason, event, _ := strings.Cut(line, "\t")
				s.checkFailure(t, pcm, event, reason)
			}
		})
	}
}

// checkFailure checks that half of a stream with a failure ends with an interrupt, and that
// the reason is quoted.
func (s *eventStream) checkFailure(t *testing.T, pcm []byte, failure, reason string) {
	t.Helper()
	r := run(t, strings.NewReader(s.text(pcm, failure)), "encode", "--preset", s.preset, "-")
	if r.code != 3 || !strings.Contains(r.stderr, reason) ||
		!strings.Contains(r.stdout, "conversation.interrupt") || strings.Contains(r.stdout, `"done":true`) {
		t.Errorf("%s: code %d: %s; %d bytes of messages", reason, r.code, r.stderr, len(r.stdout))
	}
}

// --field overrides the field of a preset, and the preset gives the samples' format.
func TestPresetWithField(t *testing.T) {
	pcm := tonePCM(24000)
	text := fmt.Sprintf(`{"speech":{"bytes":"%s"}}`, base64.StdEncoding.EncodeToString(pcm))
	r := run(t, strings.NewReader(text), "encode", "--preset", "openai", "--field", "speech.bytes", "-")
	if got := audioOf(messages(t, r.stdout)); r.code != 0 || string(got) != string(pcm) {
		t.Errorf("code %d, %d bytes: %s", r.code, len(got), r.stderr)
	}
}
