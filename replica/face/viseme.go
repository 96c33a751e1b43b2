package face

import "math"

// Viseme is a shape of the mouth.
type Viseme string

// The shapes of the mouth, with sounds that have this shape.
const (
	VisemeRest  Viseme = "rest"  // silence
	VisemeOpen  Viseme = "open"  // a
	VisemeWide  Viseme = "wide"  // e, i
	VisemeRound Viseme = "round" // o, u
	VisemeTeeth Viseme = "teeth" // s, f
)

// Mouth is the shape of the mouth at one moment.
type Mouth struct {
	Viseme Viseme  `json:"viseme"`
	Open   float64 `json:"open"` // from 0, closed, to 1
}

// Limits of loudness (root mean square, relative to full scale). Below the first the mouth
// is closed, and from the second on it is wide open.
const (
	quietest = 0.008
	loudest  = 0.2
)

// Shares of the energy that distinguish the shapes. Fricatives have most of their energy
// above teethAbove. Of the vowels, a rounded one has nearly all of its energy below
// roundBelow, and a spread one has a second formant above wideAbove. The frequencies are in
// Hz.
const (
	roundBelow = 900
	wideAbove  = 1600
	teethAbove = 3000
)

// MouthOf returns the shape of the mouth for some milliseconds of sound at a rate in Hz.
func MouthOf(samples []int16, rate int) Mouth {
	loudness := rms(samples)
	if loudness < quietest || rate <= 0 {
		return Mouth{Viseme: VisemeRest}
	}
	open := min(1, math.Log(loudness/quietest)/math.Log(loudest/quietest))
	low, high, teeth, total := spectrum(samples, rate)
	switch {
	case teeth > 0.4*total:
		return Mouth{VisemeTeeth, round(min(open, 0.3))}
	case low > 0.9*total:
		return Mouth{VisemeRound, round(0.7 * open)}
	case high > 0.1*total:
		return Mouth{VisemeWide, round(0.6 * open)}
	}
	return Mouth{VisemeOpen, round(open)}
}

func round(v float64) float64 { return math.Round(100*v) / 100 }

func rms(samples []int16) float64 {
	sum := 0.0
	for _, s := range samples {
		v := float64(s) / 32768
		sum += v * v
	}
	return math.Sqrt(sum / float64(max(len(samples), 1)))
}

// The frequencies at which a spectrum is measured, in Hz. They are evenly spaced on a
// logarithmic scale.
const (
	lowestBand  = 100
	highestBand = 8000
	bands       = 32
)

// spectrum estimates the energy below roundBelow, from wideAbove to teethAbove,
// above teethAbove, and all of it.
func spectrum(samples []int16, rate int) (low, high, teeth, total float64) {
	shaped := windowed(samples)
	step := math.Pow(highestBand/lowestBand, 1.0/bands)
	for hertz := float64(lowestBand); hertz < min(highestBand, 0.45*float64(rate)); hertz *= step {
		energy := goertzel(shaped, rate, hertz) * hertz * (step - 1)
		total += energy
		switch {
		case hertz < roundBelow:
			low += energy
		case hertz > teethAbove:
			teeth += energy
		case hertz > wideAbove:
			high += energy
		}
	}
	return low, high, teeth, total
}

// windowed scales samples to full scale 1 and applies a Hann window.
func windowed(samples []int16) []float64 {
	v := make([]float64, len(samples))
	for i, sample := range samples {
		v[i] = float64(sample) / 32768 * (0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(samples))))
	}
	return v
}

// goertzel returns the power of samples at a frequency in Hz.
func goertzel(samples []float64, rate int, hertz float64) float64 {
	c, s1, s2 := 2*math.Cos(2*math.Pi*hertz/float64(rate)), 0.0, 0.0
	for _, v := range samples {
		s1, s2 = v+c*s1-s2, s1
	}
	return s1*s1 + s2*s2 - c*s1*s2
}
