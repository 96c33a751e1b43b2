package audio

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
)

// The table in docs/inputs.md: what each method of resampling does to a tone, and
// how much live input it takes before its first output.
//
//	go test ./audio -run ResamplerTable -v
func TestResamplerTable(t *testing.T) {
	methods := []Method{FIR}
	if haveSoxr {
		methods = []Method{Soxr, FIR}
	}
	var table strings.Builder
	for _, method := range methods {
		for _, rate := range []int{8000, 16000, 22050, 44100, 48000} {
			ripple, noise := passband(t, method, rate)
			stray := loudestStray(t, method, rate)
			fmt.Fprintf(&table, "| %s | %d | %.4f dB | %.0f dB | %.0f dB | %.0f ms |\n", method, rate, ripple,
				noise, stray, wait(t, method, rate))
			if ripple > 0.01 || noise > -90 || stray > -90 {
				t.Errorf("%s at %d Hz: ripple %.4f dB, noise %.1f dB, aliases and images %.1f dB", method, rate,
					ripple, noise, stray)
			}
		}
	}
	t.Log("\n" + table.String())
	if haveSoxr {
		compareWaits(t, table.String())
	}
}

// compareWaits fails where docs/inputs.md says another delay than was measured, which
// is a count of samples. The decibels depend on the processor.
func compareWaits(t *testing.T, measured string) {
	t.Helper()
	page, err := os.ReadFile("../docs/inputs.md")
	if err != nil {
		t.Fatal(err)
	}
	for row := range strings.Lines(measured) {
		cells := strings.Split(row, "|")
		start, delay := strings.Join(cells[:3], "|")+"|", cells[6]
		_, rest, found := strings.Cut(string(page), "\n"+start)
		line, _, _ := strings.Cut(rest, "\n")
		if written := strings.Split(line, "|"); !found || len(written) < 4 || written[3] != delay {
			t.Errorf("docs/inputs.md says %q of %s; measured is %s", line, start, delay)
		}
	}
}

// passband is what tones below 0.85 of the lower Nyquist frequency suffer.
func passband(t *testing.T, method Method, rate int) (ripple, noise float64) {
	noise = math.Inf(-1)
	nyquist := float64(min(rate, 24000)) / 2
	for _, share := range []float64{0.03, 0.1, 0.27, 0.41, 0.6, 0.73, 0.81, 0.85} {
		level, rest := fitTone(toneBy(t, method, rate, share*nyquist), share*nyquist)
		ripple, noise = max(ripple, math.Abs(level)), max(noise, rest)
	}
	return ripple, noise
}

// loudestStray is the loudest alias of tones from 13.9 kHz, or the loudest image of
// tones up to the input's Nyquist frequency.
func loudestStray(t *testing.T, method Method, rate int) float64 {
	worst := math.Inf(-1)
	if rate > 24000 {
		for _, hz := range []float64{13950, 15100, 17000, 0.49 * float64(rate)} {
			worst = max(worst, toneLevel(toneBy(t, method, rate, hz)))
		}
		return worst
	}
	for _, share := range []float64{0.87, 0.9, 0.93, 0.96} {
		hz := share * float64(rate) / 2
		_, rest := fitTone(toneBy(t, method, rate, hz), hz)
		worst = max(worst, rest)
	}
	return worst
}

// toneSource is a tone that fades in and out.
type toneSource struct {
	rate, n, at int
	hz          float64
	step        int
}

func (s *toneSource) Format() Format { return Format{Rate: s.rate, Channels: 1} }

func (s *toneSource) ReadSamples(p []float32) (int, error) {
	n := min(len(p), s.n-s.at, s.step)
	if n == 0 {
		return 0, io.EOF
	}
	const fade = 0.02
	for i := range p[:n] {
		k := s.at + i
		edge := min(1, float64(min(k, s.n-1-k))/(fade*float64(s.rate)))
		p[i] = float32(toneAmplitude * (1 - math.Cos(math.Pi*edge)) / 2 * math.Sin(2*math.Pi*s.hz*float64(k)/float64(s.rate)))
	}
	s.at += n
	return n, nil
}

// toneBy is the steady middle of a tone at 24 kHz.
func toneBy(t *testing.T, method Method, rate int, hz float64) []float64 {
	t.Helper()
	src, err := ResampleBy(method, &toneSource{rate: rate, n: rate * 3 / 20, hz: hz, step: 4096}, 24000)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var out []float64
	buf := make([]float32, 4096)
	for {
		n, err := src.ReadSamples(buf)
		for _, v := range buf[:n] {
			out = append(out, float64(v))
		}
		if err != nil {
			return out[len(out)/3 : 2*len(out)/3]
		}
	}
}

// wait is how many milliseconds of live input come before the first output.
func wait(t *testing.T, method Method, rate int) float64 {
	t.Helper()
	input := &toneSource{rate: rate, n: rate, hz: 440, step: 1}
	src, err := ResampleBy(method, input, 24000)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if _, err := src.ReadSamples(make([]float32, 1)); err != nil {
		t.Fatal(err)
	}
	return 1000 * float64(input.at) / float64(rate)
}
