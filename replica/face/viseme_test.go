package face

import (
	"math"
	"math/rand/v2"
	"testing"
)

// vowel is 20 ms of a voice of 120 Hz with formants in Hz.
func vowel(rate int, level float64, formants ...float64) []int16 {
	samples := make([]int16, rate/50)
	for i := range samples {
		at, v := float64(i)/float64(rate), 0.0
		for h := 120.0; h < 5000; h += 120 {
			gain := 0.0
			for n, f := range formants {
				gain += math.Exp(-math.Pow((h-f)/120, 2)) / float64(1+n/2)
			}
			v += gain * math.Sin(2*math.Pi*h*at)
		}
		samples[i] = int16(max(-32768, min(32767, level*32768*v)))
	}
	return samples
}

func noise(rate int, level float64) []int16 {
	random := rand.New(rand.NewPCG(1, 2))
	samples, last := make([]int16, rate/50), 0.0
	for i := range samples {
		v := random.Float64()*2 - 1
		samples[i] = int16(level * 16384 * (v - last)) // more at high frequencies
		last = v
	}
	return samples
}

func TestMouthOf(t *testing.T) {
	for _, rate := range []int{16000, 24000, 48000} {
		for name, c := range map[string]struct {
			samples []int16
			want    Viseme
		}{
			"silence":      {make([]int16, rate/50), VisemeRest},
			"nothing":      {nil, VisemeRest},
			"a whisper":    {vowel(rate, 0.002, 700, 1200), VisemeRest},
			"a, as in car": {vowel(rate, 0.1, 750, 1200), VisemeOpen},
			"i, as in see": {vowel(rate, 0.1, 300, 2300), VisemeWide},
			"u, as in too": {vowel(rate, 0.1, 300, 600), VisemeRound},
			"s":            {noise(rate, 0.3), VisemeTeeth},
		} {
			if got := MouthOf(c.samples, rate); got.Viseme != c.want || got.Open < 0 || got.Open > 1 {
				t.Errorf("%d Hz: %s is %+v, want %s", rate, name, got, c.want)
			}
		}
	}
	if quiet, loud := MouthOf(vowel(24000, 0.02, 750, 1200), 24000),
		MouthOf(vowel(24000, 0.2, 750, 1200), 24000); !(quiet.Open < loud.Open) {
		t.Errorf("the mouth of a quiet vowel is open by %v, of a loud one by %v", quiet.Open, loud.Open)
	}
}

func BenchmarkMouthOf(b *testing.B) {
	samples := vowel(24000, 0.1, 750, 1200)
	for b.Loop() {
		MouthOf(samples, 24000)
	}
}
