package voice

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Estimate is an estimate of the lead for at most one underrun in a thousand
// utterances.
type Estimate struct {
	Seconds float64 `json:"seconds"`
	// Low and High bound 90 % of the estimates of resampled runs.
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Runs   int     `json:"runs"`
	Method string  `json:"method"` // how it was estimated
	// IsExtrapolated is set if there were too few runs to observe one in a thousand.
	IsExtrapolated bool `json:"is_extrapolated"`
}

// rareProbability is the allowed fraction of utterances with an underrun.
const rareProbability = 0.001

// The tail that is fitted: a tenth of the runs, at least 10 and at most 150 of them. With few
// of them the shape of the tail is mostly supposed: shapeRuns more of an exponential one.
const (
	tailShare = 0.1
	tailLeast = 10
	tailMost  = 150
	shapeRuns = 100
)

// resamples is how often the runs are drawn again for the bounds.
const resamples = 400

// EstimateLead estimates, from the leads that runs needed, the one that all but one in a
// thousand need. The highest tenth of them is fitted with a generalised Pareto distribution,
// by probability-weighted moments (Hosking and Wallis, 1987), whose shape is drawn towards an
// exponential tail as far as there are few. The bounds are a bootstrap: they say how much the
// estimate depends on chance, not what a voice does that no run has shown.
func EstimateLead(leads []float64) *Estimate {
	if len(leads) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(leads))
	e := &Estimate{Seconds: tailQuantile(sorted), Runs: len(leads)}
	e.IsExtrapolated = float64(len(leads))*rareProbability < 1
	e.Method = fmt.Sprintf("generalised Pareto tail of the highest %d, bootstrap of %d", tailOf(len(leads)), resamples)
	random := rand.New(rand.NewPCG(uint64(len(leads)), 1)) // the same runs have the same bounds
	drawn, again := make([]float64, resamples), make([]float64, len(leads))
	for i := range drawn {
		for k := range again {
			again[k] = sorted[random.IntN(len(sorted))]
		}
		slices.Sort(again)
		drawn[i] = tailQuantile(again)
	}
	slices.Sort(drawn)
	e.Low, e.High = min(quantile(drawn, 0.05), e.Seconds), max(quantile(drawn, 0.95), e.Seconds)
	return e
}

// tailOf is how many of n runs are the tail.
func tailOf(n int) int {
	share := int(math.Ceil(tailShare * float64(n)))
	return min(max(min(share, tailMost), tailLeast), max(n-1, 0))
}

// tailQuantile is the lead that one in a thousand exceeds, of sorted ones.
func tailQuantile(sorted []float64) float64 {
	n := len(sorted)
	k := tailOf(n)
	if k == 0 {
		return sorted[n-1]
	}
	threshold := sorted[n-k-1]
	shape, scale := fitTail(sorted[n-k:], threshold)
	beyond := float64(k) / float64(n) / rareProbability
	if beyond <= 1 {
		return quantile(sorted, 1-rareProbability)
	}
	if math.Abs(shape) < 1e-9 {
		return threshold + scale*math.Log(beyond)
	}
	return threshold + scale/shape*(math.Pow(beyond, shape)-1)
}

// fitTail fits a generalised Pareto distribution to what sorted values have above a threshold.
func fitTail(tail []float64, threshold float64) (shape, scale float64) {
	k := float64(len(tail))
	var mean, weighted float64 // the moments: of x, and of x·(1-F)
	for i, v := range tail {
		mean += (v - threshold) / k
		weighted += (v - threshold) * (k - 1 - float64(i)) / max(k-1, 1) / k
	}
	if mean <= 2*weighted || mean == 0 {
		return 0, mean
	}
	shape = 2 - mean/(mean-2*weighted)
	shape = min(max(shape*k/(k+shapeRuns), -0.5), 0.5)
	return shape, mean * (1 - shape)
}

// quantile interpolates between sorted values.
func quantile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	i := min(int(at), len(sorted)-1)
	next := sorted[min(i+1, len(sorted)-1)]
	return sorted[i] + (at-float64(i))*(next-sorted[i])
}
