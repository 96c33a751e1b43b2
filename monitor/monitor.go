// Package monitor lets a person hear what a replica gets: it writes the audio of a session to
// a WAV file, or plays it through a program of this machine, in time with the replica.
//
// Give Observe to a session as Options.Observe. Samples are what is on the wire: 16 bits,
// mono. Where an utterance is interrupted, the monitor ends at the sample at which the replica
// fell silent, as far as the receipt knows it, so the file holds what was heard.
package monitor

import (
	"math"
	"slices"
	"time"

	"echocast/echo"
	"echocast/internal/pcm"
)

// utterance is one whose end is not written yet.
type utterance struct {
	id      string
	rate    int     // Hz
	samples []int16 // not passed on yet
	passed  int64   // samples that were passed on
	// end is how many samples it has in all; negative while that is not known.
	end int64

	// For a Player:
	first  time.Time // when the first chunk came
	begin  time.Time // when the player plays its first sample; zero: not known yet
	isHeld bool      // an interrupt was sent: what is heard yet, the receipt tells
}

// utterances are those that are not over, in their order.
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

// note takes what a moment says about the audio.
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
		if heard := heardOf(m.Receipt, u.rate); heard >= 0 {
			u.end = min(u.end, heard)
		}
	}
}

// heardOf is how many samples of an utterance were heard; negative: all that were sent.
func heardOf(r *echo.Receipt, rate int) int64 {
	if r == nil || r.Outcome != echo.Interrupted && r.Outcome != echo.Failed {
		return -1
	}
	if r.SpokenBy == "" {
		return r.HeardSamples
	}
	return int64(math.Round(r.SpokenSeconds * float64(rate)))
}
