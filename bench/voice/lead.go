package voice

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Estimate is an estimate of the lead with which at most one utterance in a thousand has an
// underrun.
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

// The tail that is fitted: a tenth of the runs, at least 10 and at most 150. If there are
// few, the shape of the tail is mostly assumed, as if shapeRuns more runs had an
// exponential tail.
const (
	tailShare = 0.1
	tailLeast = 10
	tailMost  = 150
	shapeRuns = 100
)

// resamples is how often the runs are resampled for the bounds.
const resamples = 400

// EstimateLead estimates, from the leads that runs needed, the lead that is enough for all
// but one run in a thousand. It fits a generalised Pareto distribution to the highest tenth
// of the leads, by probability-weighted moments (Hosking and Wallis, 1987). The fewer runs
// there are, the closer the shape is drawn to an exponential tail. The bounds come from a
// bootstrap. They show how much the estimate depends on chance, but not behaviour of a
// voice that occurred in no run.
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

// tailOf returns how many of n runs belong to the tail.
func tailOf(n int) int {
	share := int(math.Ceil(tailShare * float64(n)))
	return min(max(min(share, tailMost), tailLeast), max(n-1, 0))
}

// tailQuantile returns the lead that one in a thousand exceeds. sorted holds the leads in
// order.
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

// fitTail fits a generalised Pareto distribution to the excesses of sorted values over a
// threshold.
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

// quantile returns the quantile for p from 0 to 1, by interpolation between sorted values.
func quantile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	i := min(int(at), len(sorted)-1)
	next := sorted[min(i+1, len(sorted)-1)]
	return sorted[i] + (at-float64(i))*(next-sorted[i])
}
