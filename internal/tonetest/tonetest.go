// Package tonetest measures tones that tests have heard.
package tonetest

import "slices"

// Hertz returns the frequency of a tone: that of the wave of median length, because a gap or a
// packet that is lost changes the length of few. Waves are measured between upward crossings of
// zero. Without two of these, it is 0.
func Hertz[S int16 | float32](samples []S, rate int) float64 {
	var lengths []float64
	last := -1.0
	for i := 1; i < len(samples); i++ {
		if a, b := float64(samples[i-1]), float64(samples[i]); a < 0 && b >= 0 {
			at := float64(i-1) - a/(b-a)
			if last >= 0 {
				lengths = append(lengths, at-last)
			}
			last = at
		}
	}
	if len(lengths) == 0 {
		return 0
	}
	slices.Sort(lengths)
	return float64(rate) / lengths[len(lengths)/2]
}
