package cli_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
)

// pulse is a 24 kHz WAV file: silence, a tone of this amplitude, silence.
func pulse(before, tone, after int, amplitude float64) []byte {
	file, _ := wav(24000, 1, before+tone+after)
	for i := range before + tone + after {
		var v float64
		if i >= before && i < before+tone {
			v = 32767 * amplitude * math.Sin(2*math.Pi*997*float64(i-before)/24000)
		}
		binary.LittleEndian.PutUint16(file[44+2*i:], uint16(int16(math.RoundToEven(v))))
	}
	return file
}

func samplesOf(pcm []byte) (all []int16) {
	for i := 0; i < len(pcm); i += 2 {
		all = append(all, int16(binary.LittleEndian.Uint16(pcm[i:])))
	}
	return all
}

func encoded(t *testing.T, file []byte, args ...string) ([]int16, string) {
	t.Helper()
	r := run(t, nil, append(append([]string{"encode"}, args...), write(t, "in.wav", file))...)
	if r.code != 0 {
		t.Fatalf("%q: code %d: %s", args, r.code, r.stderr)
	}
	return samplesOf(audioOf(messages(t, r.stdout))), r.stderr
}

func TestGainOption(t *testing.T) {
	file := pulse(0, 24000, 0, 0.25)
	plain, _ := encoded(t, file)
	double, _ := encoded(t, file, "--gain", "6.0206")
	for i, v := range plain {
		if d := int(double[i]) - 2*int(v); d < -1 || d > 1 {
			t.Fatalf("sample %d is %d, twice %d", i, double[i], v)
		}
	}
	loud, stderr := encoded(t, file, "--gain", "20")
	if slices.Max(loud) != math.MaxInt16 || slices.Min(loud) != math.MinInt16 {
		t.Errorf("clipped to %d and %d: nothing may wrap around", slices.Min(loud), slices.Max(loud))
	}
	if !strings.Contains(stderr, "samples are clipped") {
		t.Errorf("clipping is not said: %s", stderr)
	}
}

func TestChannelOption(t *testing.T) {
	file, pcm := wav(24000, 2, 3000)
	for channel, want := range map[string]func(l, r int16) float64{
		"left":  func(l, _ int16) float64 { return float64(l) },
		"right": func(_, r int16) float64 { return float64(r) },
		"mix":   func(l, r int16) float64 { return (float64(l) + float64(r)) / 2 },
	} {
		got, _ := encoded(t, file, "--channel", channel)
		in := samplesOf(pcm)
		for i, v := range got {
			if w := int16(math.RoundToEven(want(in[2*i], in[2*i+1]))); v != w {
				t.Fatalf("%s: sample %d is %d, want %d", channel, i, v, w)
			}
		}
		if len(got) != 3000 {
			t.Errorf("%s: %d samples", channel, len(got))
		}
	}
}

// Silence is trimmed before padding is added, and padding has the exact length.
func TestTrimAndPadOptions(t *testing.T) {
	file := pulse(12000, 4800, 24000, 0.5)
	got, stderr := encoded(t, file, "--trim-silence", "--pad", "100ms", "--pad-before", "30ms")
	if want := 720 + 1200 + 4800 + 1200 + 2400; len(got) < want-4 || len(got) > want {
		t.Errorf("%d samples, want about %d", len(got), want)
	}
	if !strings.Contains(stderr, "removed 0.450 s of silence at the start and 0.950 s at the end") {
		t.Errorf("what was left out is not said: %s", stderr)
	}
	for i, v := range slices.Concat(got[:720], got[len(got)-2400:]) {
		if v != 0 {
			t.Fatalf("sample %d of the padding is %d", i, v)
		}
	}
}

func TestLoudnessOption(t *testing.T) {
	t.Parallel()
	amplitude := func(pcm []int16) float64 { return 20 * math.Log10(float64(slices.Max(pcm))/32768) }
	// A sine at -20 dBFS has -23.0 LUFS: 4 dB bring it to -19.
	got, stderr := encoded(t, pulse(0, 48000, 0, 0.1), "--loudness", "-19")
	if math.Abs(amplitude(got)+16) > 0.1 ||
		!strings.Contains(stderr, "its loudness is -23.0 LUFS; +4.0 dB bring it to -19.0 LUFS") {
		t.Errorf("peak %.2f dBFS: %s", amplitude(got), stderr)
	}
	// Padding does not count.
	_, stderr = encoded(t, pulse(0, 48000, 0, 0.1), "--loudness", "-19", "--pad", "1s", "--pad-before", "1s")
	if !strings.Contains(stderr, "its loudness is -23.0 LUFS") {
		t.Errorf("padded: %s", stderr)
	}
	// To -6 LUFS it would have to peak at -3 dBFS; a click leaves no room.
	file := pulse(0, 48000, 0, 0.1)
	binary.LittleEndian.PutUint16(file[44+2*20000:], 16384) // -6 dBFS
	got, stderr = encoded(t, file, "--loudness", "-6")
	if peak := amplitude(got); math.Abs(peak+1) > 0.01 || !strings.Contains(stderr, "only +5.0 dB") {
		t.Errorf("peak %.3f dBFS, want -1: %s", peak, stderr)
	}
	_, stderr = encoded(t, pulse(0, 2400, 0, 0.1), "--loudness", "-16")
	if !strings.Contains(stderr, "level is unchanged") {
		t.Errorf("a tenth of a second: %s", stderr)
	}
	for _, how := range [][]string{{"send", "--dry-run"}, {"send"}} {
		args := append(how, "--pace", "burst", "--loudness", "-19", write(t, "x.wav", pulse(0, 48000, 0, 0.1)))
		if r := run(t, nil, args...); r.code != 0 || !strings.Contains(r.stdout+r.stderr, "+4.0 dB bring") {
			t.Errorf("%q: code %d: %s%s", how, r.code, r.stdout, r.stderr)
		}
	}
}

func TestLevelRefusals(t *testing.T) {
	good := write(t, "good.wav", pulse(0, 24000, 0, 0.5))
	silent := write(t, "silent.wav", pulse(24000, 0, 0, 0))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--loudness", "-16", "-"}, 2, "give --gain for standard input"},
		{[]string{"--loudness", "-3", good}, 2, "between -60 and -5 LUFS"},
		{[]string{"--loudness", "-16", "--gain", "3", good}, 2, "give one of them"},
		{[]string{"--gain", "90", good}, 2, "between -60 and 60 dB"},
		{[]string{"--gain", "NaN", good}, 2, "between -60 and 60 dB"},
		{[]string{"--channel", "centre", good}, 2, "left, right or mix"},
		{[]string{"--channel", "right", good}, 3, "it has no right channel: it is 24000 Hz mono"},
		{[]string{"--pad", "-1s", good}, 2, "--pad"},
		{[]string{"--pad", "2h", good}, 2, "--pad"},
		{[]string{"--trim-silence", "--pad", "1s", silent}, 3, "no audio"},
		{[]string{"--loudness", "-16", "nothing.wav"}, 3, "nothing.wav: no such file"},
	} {
		r := run(t, bytes.NewReader(nil), append([]string{"encode"}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.want) || r.stdout != "" {
			t.Errorf("%q: code %d, want %d with %q: %s", c.args, r.code, c.code, c.want, r.stderr)
		}
	}
}
