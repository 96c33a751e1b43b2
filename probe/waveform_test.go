package probe

import (
	"slices"
	"testing"
)

func TestWaveform(t *testing.T) {
	w := newWaveform()
	for _, level := range []float32{0, 1, -1, 0.05, 0.0001, 0.25} {
		samples := make([]float32, 24*10)
		for i := range samples {
			samples[i] = level
		}
		w.add(samples)
	}
	want := []string{
		" ██  ▁",
		" ██▄ █",
	}
	if got := w.Render(6); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := w.Render(0); got != nil {
		t.Errorf("no room: %q", got)
	}
	if got := newWaveform().Render(80); len(got) != 0 {
		t.Errorf("nothing to draw: %q", got)
	}
}

// Audio of any length fits the bins, and a peak keeps its position.
func TestWaveformIsBounded(t *testing.T) {
	w := newWaveform()
	quiet := make([]float32, 24000)
	for second := range 3600 {
		quiet[7] = 0
		if second == 1800 {
			quiet[7] = 1
		}
		w.add(quiet)
	}
	if len(w.peaks) >= waveformBins || cap(w.peaks) != waveformBins {
		t.Errorf("%d peaks of room for %d", len(w.peaks), cap(w.peaks))
	}
	lines := w.Render(100)
	at := slices.Index([]rune(lines[0]), '█')
	if n := len([]rune(lines[0])); n != 100 || at < 49 || at > 50 {
		t.Errorf("the peak of the middle is at %d of %d: %q", at, n, lines[0])
	}
}
