package tonetest

import (
	"math"
	"slices"
	"testing"
)

// A tone has its frequency, also where pieces are missing or silent. A silence has none.
func TestHertz(t *testing.T) {
	t.Parallel()
	var tone []float32
	for i := range 48000 {
		tone = append(tone, float32(math.Sin(2*math.Pi*440*float64(i)/48000)))
	}
	tone = slices.Delete(tone, 10000, 10070)
	clear(tone[20000:21000])
	if got := Hertz(tone, 48000); math.Abs(got-440) > 0.1 {
		t.Errorf("%v Hz, not 440", got)
	}
	if got := Hertz(make([]int16, 100), 48000); got != 0 {
		t.Errorf("a silence has %v Hz", got)
	}
}
