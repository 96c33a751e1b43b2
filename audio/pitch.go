package audio

import "math"

// The range in which the median pitch of a speaker is expected, in Hz. Men speak at about 85 to
// 155 Hz, women at 165 to 255, children up to 400. The range has a margin for low voices.
const (
	LowestPitch  = 65
	HighestPitch = 400
)

// Pitch estimates the pitch of a voice over the whole input, to check whether speech plays at
// its true rate. It decimates to about 4 kHz, and calculates the autocorrelation of every 50
// ms. Frames that are not clearly voiced do not count. The estimate has an error of about 5 %,
// and is sometimes an octave off.
type Pitch struct {
	rate   float64 // after decimation
	every  int     // how many samples are averaged to one
	sum    float64
	summed int
	frame  []float64
	counts []int64 // voiced frames by period in samples
	voiced int64
}

const (
	pitchRate  = 4000
	pitchFrame = pitchRate / 20
	// Pitch looks for periods of 800 Hz to 40 Hz.
	shortestPeriod = pitchRate / 800
	longestPeriod  = pitchRate / 40
)

// NewPitch returns a Pitch for mono samples at rate Hz.
func NewPitch(rate int) *Pitch {
	every := max(1, (rate+pitchRate/2)/pitchRate)
	return &Pitch{
		rate: float64(rate) / float64(every), every: every,
		frame: make([]float64, 0, pitchFrame), counts: make([]int64, longestPeriod+1),
	}
}

// Add analyses more samples. It allocates nothing.
func (p *Pitch) Add(samples []float32) {
	for _, v := range samples {
		p.sum += float64(v)
		if p.summed++; p.summed < p.every {
			continue
		}
		p.frame = append(p.frame, p.sum/float64(p.every))
		p.sum, p.summed = 0, 0
		if len(p.frame) == pitchFrame {
			p.look()
			p.frame = p.frame[:0]
		}
	}
}

// look determines the period of the frame, and counts the frame if it is voiced.
func (p *Pitch) look() {
	const quiet = 1e-5 // mean square: -50 dBFS
	var correlations [longestPeriod + 2]float64
	centre(p.frame)
	if meanSquare(p.frame) < quiet {
		return
	}
	best := 0.0
	for period := shortestPeriod - 1; period <= longestPeriod+1; period++ {
		correlations[period] = similarity(p.frame, period)
		if period >= shortestPeriod && period <= longestPeriod {
			best = max(best, correlations[period])
		}
	}
	const voiced, nearlyBest = 0.7, 0.9
	if best < voiced {
		return
	}
	for period := shortestPeriod; period <= longestPeriod; period++ {
		c := correlations[period]
		if c >= nearlyBest*best && c >= correlations[period-1] && c >= correlations[period+1] {
			p.counts[period]++
			p.voiced++
			return
		}
	}
}

// centre removes the offset of x, which would correlate at every period.
func centre(x []float64) {
	var sum float64
	for _, v := range x {
		sum += v
	}
	for i := range x {
		x[i] -= sum / float64(len(x))
	}
}

func meanSquare(x []float64) (sum float64) {
	for _, v := range x {
		sum += v * v
	}
	return sum / float64(len(x))
}

// similarity returns the correlation of x with itself shifted by later samples, from -1 to 1.
func similarity(x []float64, later int) float64 {
	head, tail := x[:len(x)-later], x[later:]
	var product, heads, tails float64
	for i, v := range head {
		product += v * tail[i]
		heads += v * v
		tails += tail[i] * tail[i]
	}
	if heads == 0 || tails == 0 {
		return 0
	}
	return product / math.Sqrt(heads*tails)
}

// Median returns the median pitch of the voiced frames in Hz, and how many seconds of voice it
// is based on. Both are 0 if there was no voice.
func (p *Pitch) Median() (hertz, seconds float64) {
	var passed int64
	for period, count := range p.counts {
		if passed += count; count > 0 && 2*passed >= p.voiced {
			return p.rate / float64(period), float64(p.voiced) * pitchFrame / p.rate
		}
	}
	return 0, 0
}
