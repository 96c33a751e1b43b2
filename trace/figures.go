package trace

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"echocast/echo"
)

// Figures summarises sessions.
type Figures struct {
	Utterances int
	Outcomes   string  // such as "3 heard in full, 1 interrupted"
	Worst      string  // the worst outcome: good, fair or bad
	Seconds    float64 // audio sent
	Chunks     int
	FirstAudio []float64 // seconds, of utterances that were heard, sorted
	Late       []float64 // seconds, of chunks with a known due time, sorted
	Underruns  int
	Interrupts int
	Lost       int
}

// FiguresOf summarises sessions.
func FiguresOf(sessions []*Session) *Figures {
	f := &Figures{}
	outcomes := map[string]int{}
	for _, s := range sessions {
		f.Utterances += len(s.Utterances)
		f.Chunks += len(s.Chunks)
		f.Underruns += len(s.Underruns)
		f.Lost += len(s.Away)
		for i := range s.Utterances {
			u := &s.Utterances[i]
			f.Seconds += u.seconds(u.Samples)
			outcomes[u.Outcome()]++
			if u.hasInterrupt {
				f.Interrupts++
			}
			if r := u.Receipt; r != nil && r.FirstAudioSeconds >= 0 && r.Chunks > 0 {
				f.FirstAudio = append(f.FirstAudio, r.FirstAudioSeconds)
			}
		}
		for _, c := range s.Chunks {
			if !math.IsNaN(c.Late) {
				f.Late = append(f.Late, c.Late)
			}
		}
	}
	slices.Sort(f.FirstAudio)
	slices.Sort(f.Late)
	f.Outcomes, f.Worst = sumOutcomes(outcomes)
	return f
}

// noReceipt is the outcome of an utterance without a receipt.
const noReceipt = "no receipt"

// Outcome returns how the utterance ended.
func (u *Utterance) Outcome() string {
	if u.Receipt == nil || u.Receipt.Outcome == "" {
		return noReceipt
	}
	return string(u.Receipt.Outcome)
}

// outcomeClass returns the class of an outcome: good, fair or bad.
func outcomeClass(outcome string) string {
	switch echo.Outcome(outcome) {
	case echo.Finished, echo.Sent:
		return "good"
	case echo.Interrupted, echo.Unverified:
		return "fair"
	}
	return "bad"
}

// sumOutcomes lists the outcomes with their counts, the most frequent first.
func sumOutcomes(outcomes map[string]int) (text, worst string) {
	names := slices.Collect(func(yield func(string) bool) {
		for name := range outcomes {
			if !yield(name) {
				return
			}
		}
	})
	slices.SortFunc(names, func(a, b string) int {
		if outcomes[a] != outcomes[b] {
			return outcomes[b] - outcomes[a]
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%d %s", outcomes[name], echo.Outcome(name).Words()))
	}
	worst = "good"
	for _, level := range []string{"fair", "bad"} {
		if slices.ContainsFunc(names, func(name string) bool { return outcomeClass(name) == level }) {
			worst = level
		}
	}
	return strings.Join(parts, ", "), worst
}

// Percentile returns the smallest of the sorted values that at least p percent of them do
// not exceed (nearest rank). It returns NaN if there are no values.
func Percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	rank := int(math.Ceil(p * float64(len(sorted)) / 100))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
