package voice

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"echocast/internal/renderbuffer"
	"echocast/internal/text"
)

// Summary summarises many utterances of a voice. Times are in seconds.
type Summary struct {
	Runs             int       `json:"runs"`
	Failed           int       `json:"failed"` // of those
	Audio            float64   `json:"audio_seconds"`
	FirstAudioMedian float64   `json:"first_audio_median_seconds"`
	FirstAudioMost   float64   `json:"first_audio_max_seconds"`
	FactorMedian     float64   `json:"factor_median"` // 0: all audio arrived at once
	FactorLeast      float64   `json:"factor_min"`
	Stalls           int       `json:"stalls"`       // in all runs
	RunsWithStalls   int       `json:"stalled_runs"` //
	LeadMedian       float64   `json:"lead_median_seconds"`
	LeadMost         float64   `json:"lead_max_seconds"`
	Lead             *Estimate `json:"lead,omitempty"` // nil if no run was complete
}

// Summarise returns the summary of runs. Failed runs only count as failed.
func Summarise(runs []Run) *Summary {
	s := &Summary{Runs: len(runs)}
	var first, factors, leads []float64
	for _, r := range runs {
		if r.Error != "" {
			s.Failed++
			continue
		}
		s.Audio += r.Audio
		s.Stalls += r.Stalls
		if r.Stalls > 0 {
			s.RunsWithStalls++
		}
		first, leads = append(first, r.FirstAudio), append(leads, r.Lead)
		if r.Factor > 0 {
			factors = append(factors, r.Factor)
		}
	}
	if len(leads) == 0 {
		return s
	}
	for _, all := range [][]float64{first, factors, leads} {
		slices.Sort(all)
	}
	s.FirstAudioMedian, s.FirstAudioMost = quantile(first, 0.5), first[len(first)-1]
	if len(factors) > 0 {
		s.FactorMedian, s.FactorLeast = quantile(factors, 0.5), factors[0]
	}
	s.LeadMedian, s.LeadMost = quantile(leads, 0.5), leads[len(leads)-1]
	s.Lead = EstimateLead(leads)
	return s
}

// Text returns the summary as text for people, one finding per line.
func (s *Summary) Text() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	whole := s.Runs - s.Failed
	line("runs", "%d of %d, %.1f s of audio", whole, s.Runs, s.Audio)
	if s.Lead == nil {
		return b.String()
	}
	line("first audio", "median %s, slowest %s", ms(s.FirstAudioMedian), ms(s.FirstAudioMost))
	if s.FactorMedian == 0 {
		line("speed", "all of the audio came at once")
	} else {
		line("speed", "median %.2f × real time, slowest %.2f", s.FactorMedian, s.FactorLeast)
	}
	stalls := "none, if the replica plays as soon as it can"
	if s.Stalls > 0 {
		stalls = fmt.Sprintf("%s in %d of %s, if the replica plays as soon as it can", text.Count(s.Stalls, "gap"),
			s.RunsWithStalls, text.Count(whole, "run"))
	}
	line("stalls", "%s", stalls)
	line("lead needed", "median %s, most %s", ms(s.LeadMedian), ms(s.LeadMost))
	line("", "%s for at most one underrun in 1000 utterances (90 %% of resamples: %s to %s)",
		ms(s.Lead.Seconds), ms(s.Lead.Low), ms(s.Lead.High))
	if s.Lead.IsExtrapolated {
		line("", "from %s, so its tail is a guess; --runs 1000 would see it", text.Count(whole, "run"))
	}
	line("so", "%s", s.Advice())
	return b.String()
}

// Advice returns the option of echocast send that sets the needed lead.
func (s *Summary) Advice() string {
	if s.Lead == nil {
		return ""
	}
	if s.Lead.Seconds <= renderbuffer.PreBuffer.Seconds()/2 {
		return "nothing is to be done: a replica waits for some audio before it plays"
	}
	silence := time.Duration(math.Ceil(100*s.Lead.Seconds)) * 10 * time.Millisecond
	return fmt.Sprintf("echocast send --pad-before %v begins with silence for so long, while more arrives", silence)
}

func ms(seconds float64) string {
	if seconds < 1 {
		return fmt.Sprintf("%.0f ms", 1000*seconds)
	}
	return fmt.Sprintf("%.2f s", seconds)
}
