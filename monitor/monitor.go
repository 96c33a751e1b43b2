// Package monitor lets a person hear the audio that a replica gets: it writes the audio of a
// session to a WAV file, or plays it through a program on this machine, in time with the
// replica.
//
// Use Observe as Options.Observe of a session. Samples are those on the wire: 16 bits, mono.
// After an interrupt, the monitor ends at the sample at which the replica fell silent, as far
// as the receipt knows it, so the file contains what was heard.
package monitor

import (
	"math"
	"slices"
	"time"

	"echocast/echo"
	"echocast/internal/pcm"
)

// utterance is an utterance whose end is not written yet.
type utterance struct {
	id      string
	rate    int     // Hz
	samples []int16 // not passed on yet
	passed  int64   // samples that were passed on
	// end is the total number of samples; negative: not known yet.
	end int64

	// For a Player:
	first  time.Time // when the first chunk came
	begin  time.Time // when the player plays its first sample; zero: not known yet
	isHeld bool      // an interrupt was sent: the receipt will say what was heard
}

// utterances are the unfinished utterances, in order.
type utterances []*utterance

// find returns the utterance with an id. It adds an unknown one.
func (all *utterances) find(id string) *utterance {
	for _, u := range *all {
		if u.id == id {
			return u
		}
	}
	u := &utterance{id: id, rate: echo.DefaultRate, end: -1}
	*all = append(*all, u)
	return u
}

// note updates the utterances with a moment.
func (all *utterances) note(m echo.Moment) {
	switch m.Kind {
	case echo.MomentBegin:
		if m.Rate > 0 {
			all.find(m.InferenceID).rate = m.Rate
		}
	case echo.MomentChunk:
		u := all.find(m.InferenceID)
		n := len(u.samples)
		u.samples = slices.Grow(u.samples, len(m.PCM))[:n+len(m.PCM)]
		pcm.Quantise(u.samples[n:], m.PCM)
		if u.first.IsZero() {
			u.first = m.At
		}
	case echo.MomentReceipt:
		u := all.find(m.InferenceID)
		u.end = u.passed + int64(len(u.samples))
		if heard := heardSamples(m.Receipt, u.rate); heard >= 0 {
			u.end = min(u.end, heard)
		}
	}
}

// heardSamples returns how many samples of an utterance were heard; negative: all that were
// sent.
func heardSamples(r *echo.Receipt, rate int) int64 {
	if r == nil || r.Outcome != echo.Interrupted && r.Outcome != echo.Failed {
		return -1
	}
	if r.SpokenBy == "" {
		return r.HeardSamples
	}
	return int64(math.Round(r.SpokenSeconds * float64(rate)))
}
