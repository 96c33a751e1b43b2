package audio

import (
	"math"
	"testing"
)

const toneAmplitude = 0.5

// resampledTone resamples a tone that fades in and out to 24 kHz, and returns the middle third of
// the output, which is steady.
func resampledTone(tb testing.TB, in int, hz float64) []float64 {
	tb.Helper()
	const seconds, fade = 0.15, 0.02
	n := int(seconds * float64(in))
	samples := make([]float32, n)
	for i := range samples {
		edge := min(1, float64(min(i, n-1-i))/(fade*float64(in)))
		level := toneAmplitude * (1 - math.Cos(math.Pi*edge)) / 2
		samples[i] = float32(level * math.Sin(2*math.Pi*hz*float64(i)/float64(in)))
	}
	out := collectFIR(tb, openFIR(tb, samples, in, 24000))
	middle := make([]float64, len(out)/3)
	for i := range middle {
		middle[i] = float64(out[len(out)/3+i])
	}
	return middle
}

// fitTone takes the sine of that frequency that fits best out of the samples.
// It returns the sine's level and what remains, both in dB of the tone that
// went in.
func fitTone(samples []float64, hz float64) (level, rest float64) {
	w := 2 * math.Pi * hz / 24000
	var ss, sc, cc, xs, xc float64
	for i, x := range samples {
		s, c := math.Sincos(w * float64(i))
		ss, sc, cc = ss+s*s, sc+s*c, cc+c*c
		xs, xc = xs+x*s, xc+x*c
	}
	determinant := ss*cc - sc*sc
	a, b := (xs*cc-xc*sc)/determinant, (xc*ss-xs*sc)/determinant
	remains := make([]float64, len(samples))
	for i, x := range samples {
		s, c := math.Sincos(w * float64(i))
		remains[i] = x - a*s - b*c
	}
	return 20 * math.Log10(math.Hypot(a, b)/toneAmplitude), toneLevel(remains)
}

// toneLevel is the level of the samples in dB of the tone that went in.
func toneLevel(samples []float64) float64 {
	sum := 1e-30
	for _, x := range samples {
		sum += x * x
	}
	return 10 * math.Log10(sum/float64(len(samples))/(toneAmplitude*toneAmplitude/2))
}

func TestFIRPassband(t *testing.T) {
	for _, in := range []int{8000, 11127, 16000, 22050, 44099, 44100, 48000, 96000} {
		nyquist := float64(min(in, 24000)) / 2
		ripple, noise := 0.0, math.Inf(-1)
		for _, share := range []float64{0.03, 0.1, 0.27, 0.41, 0.6, 0.73, 0.81, 0.85} {
			level, rest := fitTone(resampledTone(t, in, share*nyquist), share*nyquist)
			ripple, noise = max(ripple, math.Abs(level)), max(noise, rest)
		}
		t.Logf("%6d Hz: ripple %.5f dB, distortion and noise %.1f dB", in, ripple, noise)
		if ripple > 0.001 {
			t.Errorf("%d Hz: the passband ripples by %.4f dB, want at most 0.001", in, ripple)
		}
		if noise > -105 {
			t.Errorf("%d Hz: distortion and noise of a tone are at %.1f dB, want at most -105", in, noise)
		}
	}
}

// Tones between 0.85 of the input's Nyquist frequency and that itself are
// damped more or less; their images above it must not appear.
func TestFIRImages(t *testing.T) {
	for _, in := range []int{8000, 11127, 16000, 22050} {
		worst := math.Inf(-1)
		for _, share := range []float64{0.87, 0.9, 0.93, 0.96, 0.985} {
			hz := share * float64(in) / 2
			_, rest := fitTone(resampledTone(t, in, hz), hz)
			worst = max(worst, rest)
		}
		t.Logf("%6d Hz: images %.1f dB", in, worst)
		if worst > -100 {
			t.Errorf("%d Hz: an image is at %.1f dB, want at most -100", in, worst)
		}
	}
}

// Tones above 12 kHz are not in the output: what remains of them is an alias.
func TestFIRAliases(t *testing.T) {
	for _, in := range []int{32000, 44099, 44100, 48000, 96000} {
		worst := math.Inf(-1)
		for _, hz := range []float64{12050, 12400, 12900, 13500, 13950, 15100, 0.49 * float64(in)} {
			worst = max(worst, toneLevel(resampledTone(t, in, hz)))
		}
		t.Logf("%6d Hz: aliases %.1f dB", in, worst)
		if worst > -100 {
			t.Errorf("%d Hz: an alias is at %.1f dB, want at most -100", in, worst)
		}
	}
}
