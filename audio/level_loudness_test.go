package audio

import (
	"math"
	"os"
	"slices"
	"testing"
)

// part is a sine of 997 Hz at a level in dBFS.
type part struct{ decibels, seconds float64 }

func sine(rate int, parts ...part) (pcm []float32) {
	for _, p := range parts {
		for range int(p.seconds * float64(rate)) {
			v := Amplitude(p.decibels) * math.Sin(2*math.Pi*997*float64(len(pcm))/float64(rate))
			pcm = append(pcm, float32(v))
		}
	}
	return pcm
}

func loudness(rate int, pcm []float32, step int) float64 {
	l := NewLoudness(rate)
	for len(pcm) > 0 {
		n := min(step, len(pcm))
		l.Add(pcm[:n])
		pcm = pcm[n:]
	}
	return l.Integrated()
}

// The table of BS.1770-4 for 48 kHz.
func TestKWeightingCoefficients(t *testing.T) {
	for _, c := range []struct{ got, want biquad }{
		{kShelf(48000), biquad{b0: 1.53512485958697, b1: -2.69169618940638, b2: 1.19839281085285, a1: -1.69065929318241,
			a2: 0.73248077421585}},
		{kHighPass(48000), biquad{b0: 1, b1: -2, b2: 1, a1: -1.99004745483398, a2: 0.99007225036621}},
	} {
		for _, d := range []float64{c.got.b0 - c.want.b0, c.got.b1 - c.want.b1, c.got.b2 - c.want.b2, c.got.a1 - c.want.a1,
			c.got.a2 - c.want.a2} {
			if math.Abs(d) > 1e-10 {
				t.Errorf("%+v, want %+v", c.got, c.want)
				break
			}
		}
	}
}

// A sine of 997 Hz at 0 dBFS in one channel has -3.01 LUFS (BS.1770-4, annex 1),
// whatever the sampling rate.
func TestLoudnessOfASine(t *testing.T) {
	for _, rate := range []int{8000, 11025, 16000, 22050, 24000, 44100, 48000, 96000} {
		for _, level := range []float64{0, -20, -40} {
			got := loudness(rate, sine(rate, part{level, 5}), 1000)
			if want := level - 3.01; math.Abs(got-want) > 0.05 {
				t.Errorf("%d Hz: a sine at %v dBFS has %.3f LUFS, want %.2f", rate, level, got, want)
			}
		}
	}
}

// The cases of EBU Tech 3341 (minimum requirements) that fit one channel: of
// two channels with the same sine one has 3.01 LU less.
func TestLoudnessGates(t *testing.T) {
	for name, c := range map[string]struct {
		want  float64
		parts []part
	}{
		"1: one level":           {-23, []part{{-23, 20}}},
		"2: another":             {-33, []part{{-33, 20}}},
		"3: relative gate":       {-23, []part{{-36, 10}, {-23, 60}, {-36, 10}}},
		"4: both gates":          {-23, []part{{-72, 10}, {-36, 10}, {-23, 60}, {-36, 10}, {-72, 10}}},
		"5: within the gates":    {-23, []part{{-26, 20}, {-20, 20.1}, {-26, 20}}},
		"the gate is a gate":     {-36, []part{{-36, 10}, {-140, 60}}},
		"all under the gate":     {math.Inf(-1), []part{{-70, 10}}},
		"less than one block":    {math.Inf(-1), []part{{-20, 0.399}}},
		"silence and two levels": {10 * math.Log10((math.Pow(10, -2)+math.Pow(10, -2.8))/2), []part{{-20, 30}, {-28, 30}}},
	} {
		got := loudness(8000, sine(8000, c.parts...), 8000)
		if want := c.want - 3.01; !(math.Abs(got-want) <= 0.1 || got == want) {
			t.Errorf("%s: %.3f LUFS, want %.2f", name, got, want)
		}
	}
}

func TestLoudnessDoesNotDependOnCalls(t *testing.T) {
	pcm := sine(22050, part{-36, 1}, part{-23, 2.345}, part{-50, 1})
	want := loudness(22050, pcm, len(pcm))
	for _, step := range []int{1, 7, 2205, 2206} {
		if got := loudness(22050, pcm, step); math.Abs(got-want) > 1e-9 {
			t.Errorf("by %d samples: %v, want %v", step, got, want)
		}
	}
}

func TestLoudnessAllocatesNothing(t *testing.T) {
	l, pcm := NewLoudness(24000), sine(24000, part{-20, 1})
	if n := testing.AllocsPerRun(10, func() { l.Add(pcm) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Speech, against what the ebur128 filter of ffmpeg 5.1.9 says in its metadata
// (ebur128=metadata=1,ametadata=print:key=lavfi.r128.I).
func TestLoudnessAgainstFFmpeg(t *testing.T) {
	speech := s16File(t, "../testdata/speech.wav")[22:]
	for name, c := range map[string]struct {
		rate int
		lufs float64
		pcm  []float32
	}{
		"8000 Hz":      {8000, -21.747, s16File(t, "../testdata/mp3/speech_8000hz_mono.s16")},
		"16000 Hz":     {16000, -21.840, s16File(t, "../testdata/mp3/speech_16000hz_mono.s16")},
		"22050 Hz":     {22050, -21.873, s16File(t, "../testdata/mp3/speech_22050hz_mono.s16")},
		"24000 Hz":     {24000, -21.876, s16File(t, "../testdata/mp3/speech_24000hz_mono.s16")},
		"44100 Hz":     {44100, -21.720, s16File(t, "../testdata/mp3/speech_44100hz_mono.s16")},
		"7 s":          {22050, -20.244, speech},
		"three levels": {22050, -22.853, slices.Concat(speech, scaled(speech, -12), scaled(speech, -26))},
	} {
		got := loudness(c.rate, c.pcm, 4096)
		t.Logf("%s: %.3f LUFS, ffmpeg %.3f", name, got, c.lufs)
		if math.Abs(got-c.lufs) > 0.1 {
			t.Errorf("%s: %.3f LUFS, ffmpeg says %.3f", name, got, c.lufs)
		}
	}
}

// s16File reads a file as 16-bit samples, whatever it begins with.
func s16File(t *testing.T, name string) []float32 {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]float32, len(data)/2)
	decodeS16LE(pcm, data)
	return pcm
}

func scaled(pcm []float32, decibels float64) []float32 {
	out := slices.Clone(pcm)
	for i := range out {
		out[i] *= float32(Amplitude(decibels))
	}
	return out
}

func BenchmarkLoudness(b *testing.B) {
	l, pcm := NewLoudness(24000), sine(24000, part{-20, 1})
	b.SetBytes(int64(2 * len(pcm)))
	b.ReportAllocs()
	for b.Loop() {
		l.Add(pcm)
	}
}
