package preset

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// encodings are what raw samples may be declared as.
var encodings = []string{"s16le", "s16be", "u8", "s24le", "s32le", "f32le", "f64le", "mulaw", "alaw"}

func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range All() {
		if seen[p.Name] || !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)?$`).MatchString(p.Name) {
			t.Errorf("%q is no good name, or there twice", p.Name)
		}
		seen[p.Name] = true
		if p.Raw() != (p.Rate > 0) || p.Raw() != (p.Channels > 0) {
			t.Errorf("%s: raw samples need encoding, rate and channels, and nothing else does: %+v", p.Name, p)
		}
		if p.Raw() && (!slices.Contains(encodings, p.Encoding) || p.Rate < 8000 || p.Rate > 48000 || p.Channels != 1) {
			t.Errorf("%s: %s", p.Name, p)
		}
		if (p.Field == "") != (p.Payload == "") || p.Payload != "" && p.Payload != "base64" && p.Payload != "hex" {
			t.Errorf("%s: field %q, payload %q", p.Name, p.Field, p.Payload)
		}
		if !strings.HasPrefix(p.Source, "https://") {
			t.Errorf("%s: the source %q is no page", p.Name, p.Source)
		}
		if w := p.Words; w.Ask != "" && (!strings.HasSuffix(w.Ask, ".") || !strings.HasPrefix(w.Source, "https://")) {
			t.Errorf("%s: times of words: %+v", p.Name, w)
		}
		if p.Vendor == "" || !strings.HasSuffix(p.Ask, ".") || len(p.Ask) > 160 {
			t.Errorf("%s: what to ask for is one sentence: %q", p.Name, p.Ask)
		}
		if !regexp.MustCompile(`echocast send --preset `+p.Name+` (-|speech\.\w+)$`).MatchString(p.Example) ||
			strings.Contains(p.Example, "\n") {
			t.Errorf("%s: the example speaks something else: %s", p.Name, p.Example)
		}
	}
}

func TestAllIsSortedAndACopy(t *testing.T) {
	all := All()
	if !slices.IsSortedFunc(all, func(a, b Preset) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not sorted by name")
	}
	name := all[0].Name
	all[0].Name = "changed"
	if All()[0].Name != name {
		t.Error("a change of the slice changes the table")
	}
}

// These rates are what people rely on, so they must not change unnoticed.
func TestFind(t *testing.T) {
	for name, want := range map[string]string{
		"elevenlabs":      "s16le, 24000 Hz mono",
		"openai":          "s16le, 24000 Hz mono",
		"openai-realtime": "s16le, 24000 Hz mono, base64 in the JSON field delta",
		"cartesia":        "s16le, 24000 Hz mono",
		"cartesia-f32":    "f32le, 24000 Hz mono",
		"polly":           "s16le, 16000 Hz mono",
		"polly-mp3":       "as its header says",
		"mistral":         "f32le, 24000 Hz mono, base64 in the JSON field audio_data",
		"hume":            "s16le, 48000 Hz mono",
		"resemble":        "s16le, 32000 Hz mono",
		"minimax":         "s16le, 24000 Hz mono, hex in the JSON field data.audio",
		"piper":           "s16le, 22050 Hz mono",
		"piper-low":       "s16le, 16000 Hz mono",
		"espeak":          "as its header says",
		"ulaw8k":          "mulaw, 8000 Hz mono",
	} {
		p, err := Find(name)
		if err != nil || p.String() != want {
			t.Errorf("%s: %q, %v, want %q", name, p, err, want)
		}
	}
	for name, want := range map[string]string{"elevnlabs": "there are elevenlabs, elevenlabs-mp3",
		"": `no preset is called ""`, "?": `no preset is called "?"`} {
		if _, err := Find(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestPiperRate(t *testing.T) {
	rate, err := PiperRate(strings.NewReader(`{"audio": {"sample_rate": 16000, "quality": "low"}, "espeak": ` +
		`{"voice": "en-us"}}`))
	if err != nil || rate != 16000 {
		t.Errorf("%d, %v", rate, err)
	}
	for _, text := range []string{"", "{}", `{"audio":{}}`, `{"audio":{"sample_rate":-1}}`,
		`{"audio":{"sample_rate":"16000"}}`, "RIFF"} {
		if rate, err := PiperRate(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "Piper voice") {
			t.Errorf("%q: %d, %v", text, rate, err)
		}
	}
}
