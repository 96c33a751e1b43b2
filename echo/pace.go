package echo

import (
	"context"
	"fmt"
	"time"
)

// Mode is how fast an utterance is sent.
type Mode string

// The modes of sending.
const (
	// LeadMode keeps the replica a fixed time ahead of playout, so that a
	// stall is not heard and an interrupt costs no more than that. It builds
	// the lead up at the highest message rate allowed.
	LeadMode Mode = "lead"
	// RealTimeMode sends every chunk when its playout is due.
	RealTimeMode Mode = "realtime"
	// BurstMode sends as fast as the connection takes it.
	BurstMode Mode = "burst"
)

// Pace says how fast an utterance is sent. The zero value is LeadMode with
// DefaultLead.
type Pace struct {
	Mode Mode          // empty: LeadMode
	Lead time.Duration // in LeadMode; 0: DefaultLead
	// MaxRate is the most messages a second. 0 means twice as many as play in
	// a second, and no limit in BurstMode. Less than play in a second is
	// refused: the replica would starve.
	MaxRate float64
}

// patience is how late a chunk may be before the clock is set anew where the
// lead is smaller than it: the jitter of a live input must not add up, and what
// a long stall has cost cannot be caught up.
const patience = 200 * time.Millisecond

// Pacer tells when each chunk of one utterance is due, on the monotonic clock:
//
//	start + position − lead
//
// so that what is late is caught up and delays never add up. A chunk that comes
// after the moment it should have been heard (its lead is used up) sets the
// clock anew. No two messages are closer than the highest rate allows, but for
// one that was late.
type Pacer struct {
	rate   int           // Hz
	lead   time.Duration // 0 in RealTimeMode
	every  time.Duration // between messages; 0: no limit
	burst  bool
	start  time.Time // when position 0 is to be heard
	slot   time.Time // when the message before this one was due
	last   time.Time // when the last chunk was due
	stalls int
	timer  *time.Timer
}

// NewPacer prepares the pace of one utterance at rate Hz in chunks of chunk
// samples.
func NewPacer(pace Pace, rate, chunk int) (*Pacer, error) {
	p := &Pacer{rate: rate, lead: pace.Lead}
	realTime := float64(rate) / float64(chunk)
	perSecond := pace.MaxRate
	switch pace.Mode {
	case LeadMode, "":
		if p.lead == 0 {
			p.lead = DefaultLead
		}
	case RealTimeMode:
		p.lead = 0
	case BurstMode:
		p.burst = true
	default:
		return nil, fmt.Errorf("echo: no pace is called %q; there are lead, realtime and burst", pace.Mode)
	}
	if perSecond == 0 && !p.burst {
		perSecond = 2 * realTime
	}
	if p.lead < 0 {
		return nil, fmt.Errorf("echo: a lead of %v", p.lead)
	}
	if perSecond != 0 {
		if !(perSecond >= realTime*(1-1e-9)) { // NaN too
			return nil, fmt.Errorf("echo: at most %g messages a second, but %g are needed to play in real time", perSecond, realTime)
		}
		p.every = time.Duration(float64(time.Second) / perSecond)
	}
	return p, nil
}

// Wait returns when the chunk that starts at this position, in samples, is due,
// or with the cause of ctx. It is called for each chunk, in order, once the
// chunk is there.
func (p *Pacer) Wait(ctx context.Context, position int64) error {
	now := time.Now()
	due := p.due(now, durationOf(position, p.rate))
	p.last = due
	if !due.After(now) {
		return context.Cause(ctx)
	}
	if p.timer == nil {
		p.timer = time.NewTimer(due.Sub(now))
	} else {
		p.timer.Reset(due.Sub(now))
	}
	select {
	case <-p.timer.C:
		return nil
	case <-ctx.Done():
		p.timer.Stop()
		return context.Cause(ctx)
	}
}

// due moves the schedule on to the chunk at position.
func (p *Pacer) due(now time.Time, position time.Duration) time.Time {
	if p.start.IsZero() {
		p.start = now
		p.slot = now
		return now
	}
	due := p.slot
	if !p.burst {
		if late := now.Sub(p.start.Add(position - p.lead)); late > max(p.lead, patience) {
			p.start = now.Add(-position)
			p.stalls++
		}
		due = p.start.Add(position - p.lead)
	}
	if slot := p.slot.Add(p.every); due.Before(slot) {
		due = slot
	}
	p.slot = due
	if behind := now.Add(-p.every); p.slot.Before(behind) {
		p.slot = behind
	}
	return due
}

// Due is when the chunk of the last Wait was due.
func (p *Pacer) Due() time.Time { return p.last }

func (p *Pacer) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// Stalls is how often the clock was set anew because a chunk came after the
// moment it should have been heard.
func (p *Pacer) Stalls() int { return p.stalls }
