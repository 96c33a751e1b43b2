package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// probeReport has the fields of a report that these tests read.
type probeReport struct {
	Source, Error, Container, Codec string
	Rate, Channels, Bits            int
	Seconds                         float64
	Frames                          int64
	Declared                        *float64 `json:"declared_seconds"`
	Peak                            *float64 `json:"peak_dbfs"`
	RMS                             *float64 `json:"rms_dbfs"`
	Loudness                        *float64 `json:"loudness_lufs"`
	Clipped                         int64    `json:"clipped_samples"`
	Offset                          float64  `json:"dc_offset"`
	Leading                         float64  `json:"leading_silence_seconds"`
	Trailing                        float64  `json:"trailing_silence_seconds"`
	Pitch                           float64  `json:"pitch_hz"`
	Suspicions, Warnings            []string
	Plan                            *struct{ Messages, Samples int }
	Verdict                         string
}

func probe(t *testing.T, stdin io.Reader, args ...string) (probeReport, result) {
	t.Helper()
	r := run(t, stdin, append([]string{"probe", "--json"}, args...)...)
	var p probeReport
	if err := json.Unmarshal([]byte(r.stdout), &p); err != nil {
		t.Fatalf("%v: %s%s", err, r.stdout, r.stderr)
	}
	return p, r
}

func near(v *float64, want, within float64) bool { return v != nil && math.Abs(*v-want) <= within }

func TestProbe(t *testing.T) {
	p, r := probe(t, bytes.NewReader(pulse(12000, 48000, 24000, 0.1)), "-")
	if r.code != 0 || p.Source != "-" || p.Container != "wav" || p.Codec != "pcm_s16le" || p.Rate != 24000 ||
		p.Channels != 1 || p.Bits != 16 {
		t.Errorf("code %d, %+v: %s", r.code, p, r.stderr)
	}
	if p.Frames != 84000 || p.Seconds != 3.5 || !near(p.Declared, 3.5, 0) {
		t.Errorf("%d frames, %v s, declared %v", p.Frames, p.Seconds, p.Declared)
	}
	if !near(p.Peak, -20, 0.01) || !near(p.RMS, -23.01-2.43, 0.01) || p.Clipped != 0 || math.Abs(p.Offset) > 1e-4 {
		t.Errorf("levels %+v", p)
	}
	// 17 blocks hold nothing but the tone, and three at each end a part of it.
	if !near(p.Loudness, -23.01+10*math.Log10(20.0/23), 0.05) {
		t.Errorf("loudness %v", *p.Loudness)
	}
	if math.Abs(p.Leading-0.5) > 1e-3 || math.Abs(p.Trailing-1) > 1e-3 {
		t.Errorf("silence %v s in front, %v s behind", p.Leading, p.Trailing)
	}
	if p.Plan == nil || p.Plan.Messages != 70 || p.Plan.Samples != 84000 ||
		p.Verdict != "echocast sends it bit for bit, already 24 kHz mono, in 70 messages of at most 50 ms" {
		t.Errorf("plan %+v, %s", p.Plan, p.Verdict)
	}
	if len(p.Suspicions) != 1 || !strings.Contains(p.Suspicions[0], "unusual for speech") || len(p.Warnings) != 0 {
		t.Errorf("suspicions %q, warnings %q", p.Suspicions, p.Warnings)
	}
}

func TestProbeFiles(t *testing.T) {
	for name, want := range map[string]string{
		"../testdata/speech.wav": "resamples it from 22050 to 24000 Hz and sends 147 messages",
		"../testdata/mp3/speech_44100hz_joint_cbr160.mp3": "mixes its 2 channels, resamples from 44100 to " +
			"24000 Hz and sends 6 messages",
		"../testdata/mp3/speech_24000hz_mono_cbr64.mp3": "sends it unchanged, already 24 kHz mono, in",
	} {
		p, r := probe(t, nil, name)
		if r.code != 0 || !strings.Contains(p.Verdict, want) || len(p.Suspicions) != 0 {
			t.Errorf("%s: code %d, %q, suspicions %q: %s", name, r.code, p.Verdict, p.Suspicions, r.stderr)
		}
	}
	p, _ := probe(t, nil, "../testdata/speech.wav")
	if !near(p.Loudness, -20.24, 0.1) || p.Pitch < 75 || p.Pitch > 140 {
		t.Errorf("loudness %v, pitch %v", p.Loudness, p.Pitch)
	}
}

func TestProbeSuspicions(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../testdata/speech.wav")
	if err != nil {
		t.Fatal(err)
	}
	speech := file[44:]
	swapped := bytes.Clone(speech)
	for i := 0; i+1 < len(swapped); i += 2 {
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
	}
	var left, opposite, offset []byte
	for i := 0; i+1 < len(speech); i += 2 {
		v := int16(uint16(speech[i]) | uint16(speech[i+1])<<8)
		minus := uint16(-v)
		left = append(left, speech[i], speech[i+1], 0, 0)
		opposite = append(opposite, speech[i], speech[i+1], byte(minus), byte(minus>>8))
		up := uint16(v/2 + 3277)
		offset = append(offset, byte(up), byte(up>>8))
	}
	for name, c := range map[string]struct {
		data           []byte
		rate, channels string
		want           string
	}{
		"as it is":           {speech, "22050", "1", ""},
		"twice too fast":     {speech, "44100", "1", ""}, // a woman's pitch: nobody can tell
		"swapped":            {swapped, "22050", "1", "very likely the bytes of the samples are swapped"},
		"a byte late":        {speech[1:], "22050", "1", "very likely a byte is missing"},
		"slow":               {speech, "8000", "1", "perhaps the rate is not 8000 Hz"},
		"one channel":        {left, "22050", "2", "the right channel is silent; --channel left"},
		"opposite channels":  {opposite, "22050", "2", "cancel each other"},
		"not centred":        {offset, "22050", "1", "off centre by 10.0 %"},
		"noise has no order": {noise(200000), "22050", "1", ""},
		"silence":            {make([]byte, 100000), "22050", "1", "all of it is silent"},
	} {
		p, r := probe(t, bytes.NewReader(c.data), "-f", "s16le", "--rate", c.rate, "--channels", c.channels, "-")
		all := strings.Join(p.Suspicions, "\n")
		if r.code != 0 || !strings.Contains(all, c.want) || c.want == "" && all != "" || strings.Contains(all, "\n") {
			t.Errorf("%s: code %d, suspicions %q, want %q: %s", name, r.code, p.Suspicions, c.want, r.stderr)
		}
	}
}

// noise returns random bytes.
func noise(n int) []byte {
	data, state := make([]byte, n), uint32(1)
	for i := range data {
		state = state*1664525 + 1013904223
		data[i] = byte(state >> 24)
	}
	return data
}

func TestProbeSilence(t *testing.T) {
	p, r := probe(t, bytes.NewReader(pulse(48000, 0, 0, 0)), "-")
	if r.code != 0 || p.Peak != nil || p.Loudness != nil || p.Leading != 2 || p.Trailing != 0 {
		t.Errorf("code %d, %+v", r.code, p)
	}
}

// An input that cannot be read fails, and the others are still probed. If an input breaks, the
// report covers the part before.
func TestProbeFailures(t *testing.T) {
	good := write(t, "good.wav", pulse(0, 24000, 0, 0.5))
	r := run(t, nil, "probe", "nothing.wav", write(t, "x.txt", []byte("Hello there.")), good)
	if r.code != 3 || strings.Count(r.stderr, "echocast: ") != 2 || !strings.HasPrefix(r.stdout, good) {
		t.Errorf("code %d, stdout %s, stderr %s", r.code, r.stdout, r.stderr)
	}
	p, r := probe(t, nil, "nothing.wav")
	if r.code != 3 || !strings.Contains(p.Error, "no such file") {
		t.Errorf("code %d, %+v", r.code, p)
	}
	file := pulse(0, 48000, 0, 0.5)
	p, r = probe(t, io.MultiReader(bytes.NewReader(file[:44+48000]), iotest.ErrReader(errors.New("input/output error"))),
		"-")
	if r.code != 3 || p.Frames != 24000 || !near(p.Peak, -6.02, 0.01) ||
		!strings.Contains(p.Error, "broke off at 1.000 s") || p.Plan != nil || !strings.Contains(p.Verdict, "interrupts") {
		t.Errorf("code %d, %+v", r.code, p)
	}
	if p, r := probe(t, bytes.NewReader(file[:44]), "-"); r.code != 3 || !strings.Contains(p.Verdict, "refuses") {
		t.Errorf("code %d, %+v", r.code, p)
	}
	for _, args := range [][]string{{"probe"}, {"probe", "-", "-"}, {"probe", "--preset", "?", good},
		{"probe", "--gain", "3", good}} {
		if r := run(t, nil, args...); r.code != 2 {
			t.Errorf("%q: code %d: %s", args, r.code, r.stderr)
		}
	}
}

func TestProbeText(t *testing.T) {
	file := pulse(0, 24000, 0, 0.1)
	r := run(t, bytes.NewReader(file[:len(file)-3]), "probe", "-")
	for _, want := range []string{
		"-\n  input     wav, pcm_s16le, 24000 Hz mono, 16 bits\n",
		"  length    1.000 s, 23998 frames; its header says 1.000 s\n",
		"  level     peak -20.0 dBFS, RMS -23.0 dBFS, loudness -23.0 LUFS\n",
		"  clipped   0 samples; offset ",
		"  messages  20 of 50 ms, at most ",
		"  note      ignored the last 1 byte: not a whole 2-byte frame\n",
		"  echocast  sends it bit for bit, already 24 kHz mono, in 20 messages of at most 50 ms\n",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q in\n%s", want, r.stdout)
		}
	}
	if strings.ContainsAny(r.stdout, "█▇\x1b") {
		t.Errorf("a waveform where no terminal is: %s", r.stdout)
	}
}

// A picture is drawn if an option asks for it, and never over an input.
func TestProbePictures(t *testing.T) {
	good, dir := write(t, "good.wav", pulse(0, 24000, 0, 0.5)), t.TempDir()
	png, svg := filepath.Join(dir, "a.png"), filepath.Join(dir, "a.svg")
	r := run(t, nil, "probe", "--png", png, "--svg", svg, good)
	if r.code != 0 || !strings.Contains(r.stdout, "24 kHz mono") || strings.Contains(r.stdout, "█") {
		t.Errorf("code %d, %s%s", r.code, r.stdout, r.stderr)
	}
	for name, begin := range map[string]string{png: "\x89PNG", svg: "<svg "} {
		if data, err := os.ReadFile(name); err != nil || !strings.HasPrefix(string(data), begin) {
			t.Errorf("%s: %v, %.10q", name, err, data)
		}
	}
	for _, args := range [][]string{
		{"--png", png, good, good}, {"--svg", good, good}, {"--png", png, "--svg", png, good},
	} {
		if r := run(t, nil, append([]string{"probe"}, args...)...); r.code != 2 {
			t.Errorf("%q: code %d: %s", args, r.code, r.stderr)
		}
	}
	nowhere := filepath.Join(dir, "no", "a.png")
	if r := run(t, nil, "probe", "--png", nowhere, good); r.code != 2 || !strings.Contains(r.stderr, nowhere) {
		t.Errorf("code %d, %s", r.code, r.stderr)
	}
}

// The waveform has exactly the requested width.
func TestProbeDraw(t *testing.T) {
	t.Setenv("COLUMNS", "40")
	good := write(t, "good.wav", pulse(0, 24000, 0, 1))
	r := run(t, nil, "probe", "--draw", good)
	drawn := 0
	for line := range strings.Lines(r.stdout) {
		if strings.Contains(line, "█") {
			drawn++
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n != 39 {
				t.Errorf("a line of %d columns: %q", n, line)
			}
		}
	}
	if r.code != 0 || drawn != 2 {
		t.Errorf("code %d, %d lines drawn:\n%s", r.code, drawn, r.stdout)
	}
	if plain := run(t, nil, "probe", "--draw", "--json", good); strings.Contains(plain.stdout, "█") {
		t.Errorf("JSON: %s", plain.stdout)
	}
}
