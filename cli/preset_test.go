package cli_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"echocast/preset"
)

func TestPresetList(t *testing.T) {
	r := run(t, nil, "preset", "list")
	if lines := strings.Count(r.stdout, "\n"); r.code != 0 || lines != 1+len(preset.All()) ||
		!strings.Contains(r.stdout, "\npolly ") {
		t.Errorf("code %d, %d lines: %s", r.code, lines, r.stdout)
	}
	r = run(t, nil, "preset", "list", "--json")
	var got []preset.Preset
	for line := range strings.Lines(r.stdout) {
		var p preset.Preset
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(err)
		}
		got = append(got, p)
	}
	if !reflect.DeepEqual(got, preset.All()) {
		t.Errorf("the JSON says something else: %s", r.stdout)
	}
}

func TestPresetShow(t *testing.T) {
	r := run(t, nil, "preset", "show", "polly")
	for _, want := range []string{"Amazon Polly", "16000 Hz mono", "--output-format pcm", "echocast send --preset polly"} {
		if r.code != 0 || !strings.Contains(r.stdout, want) {
			t.Errorf("code %d, no %q: %s", r.code, want, r.stdout)
		}
	}
	if r := run(t, nil, "preset", "show", "--json", "polly"); !strings.Contains(r.stdout, `"rate":16000`) ||
		strings.Count(r.stdout, "\n") != 1 {
		t.Errorf("as JSON: %s", r.stdout)
	}
	for _, args := range [][]string{{"preset"}, {"preset", "show"}, {"preset", "list", "polly"},
		{"preset", "show", "poly"}} {
		if r := run(t, nil, args...); r.code != 2 || r.stdout != "" {
			t.Errorf("%q: code %d, %s", args, r.code, r.stdout)
		}
	}
}

// A preset describes raw samples and does not change audio with a header.
func TestPresetOption(t *testing.T) {
	file, pcm := wav(24000, 1, 24000)
	slow, _ := wav(16000, 1, 16000)
	voice := write(t, "voice.onnx.json", []byte(`{"audio":{"sample_rate":12000}}`))
	for _, c := range []struct {
		data    []byte
		args    []string
		samples int
	}{
		{pcm, []string{"--preset", "openai"}, 24000},
		{pcm, []string{"--preset", "polly"}, 36000},
		{pcm, []string{"--preset", "hume"}, 12000},
		{pcm, []string{"--preset", "hume", "--rate", "24000"}, 24000},
		{pcm, []string{"--preset", "openai", "--channels", "2"}, 12000},
		{pcm, []string{"--piper-voice", voice}, 48000},
		{pcm, []string{"--piper-voice", strings.TrimSuffix(voice, ".json"), "--preset", "piper-low"}, 48000},
		{file, []string{"--preset", "openai"}, 24000},
		{file, []string{"--preset", "espeak"}, 24000},
		{slow, []string{"--preset", "openai-wav"}, 24000},
		{file, []string{"--preset", "mistral"}, 24000},
		{slow, []string{"--preset", "speechify", "--force-format"}, 16000},
		{slow, []string{"--rate", "8000", "--force-format"}, 48000},
	} {
		r := run(t, bytes.NewReader(c.data), append(append([]string{"encode"}, c.args...), "-")...)
		if got := len(audioOf(messages(t, r.stdout))) / 2; r.code != 0 || got != c.samples {
			t.Errorf("%q: code %d, %d samples, want %d: %s", c.args, r.code, got, c.samples, r.stderr)
		}
	}
}

func TestPresetRefusals(t *testing.T) {
	slow, pcm := wav(16000, 1, 16000)
	wavFile, raw := write(t, "slow.wav", slow), write(t, "x.raw", pcm)
	voice := write(t, "voice.onnx.json", []byte(`{}`))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--preset", "speechify", wavFile}, 3, "its WAV header says 16000 Hz, --preset speechify says 24000 Hz"},
		{[]string{"--preset", "espeak", "--rate", "22050", wavFile}, 3, "its WAV header says 16000 Hz, --rate says 22050 Hz"},
		{[]string{"--preset", "elevenlbas", raw}, 2, "there are elevenlabs, elevenlabs-mp3"},
		{[]string{"--preset", "openai", "-f", "s16le", raw}, 2, "give one of them"},
		{[]string{"--force-format", wavFile}, 2, "--force-format needs"},
		{[]string{"--force-format", "-f", "s16le", "--rate", "8000", "--channels", "1", raw}, 2, "--force-format needs"},
		{[]string{"--piper-voice", voice, raw}, 3, "voice.onnx.json: this does not describe a Piper voice"},
		{[]string{"--piper-voice", "nothing.onnx", raw}, 3, "nothing.onnx.json: no such file"},
		{[]string{"--piper-voice", voice, "--preset", "openai", raw}, 2, "--piper-voice is for Piper"},
		{[]string{"--preset", "espeak", raw}, 3, "no known audio format"},
	} {
		r := run(t, nil, append([]string{"encode"}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.want) || r.stdout != "" {
			t.Errorf("%q: code %d, want %d with %q: %s", c.args, r.code, c.code, c.want, r.stderr)
		}
	}
}

// If an option overrides a header, a message says so.
func TestForcedRateIsReported(t *testing.T) {
	slow, _ := wav(16000, 1, 16000)
	r := run(t, bytes.NewReader(slow), "encode", "--preset", "speechify", "--force-format", "-")
	if !strings.Contains(r.stderr, "read as 24000 Hz because of --preset speechify, although its header says 16000 Hz") {
		t.Errorf("stderr: %s", r.stderr)
	}
}
