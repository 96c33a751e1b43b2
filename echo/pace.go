package echo

import (
	"context"
	"fmt"
	"time"
)

// Mode says how fast an utterance is sent.
type Mode string

// The modes of sending.
const (
	// LeadMode keeps the replica a fixed time, the lead, ahead of playout: a shorter
	// stall is not heard, and an interrupt discards no more than the lead. The lead
	// builds up at the highest message rate allowed.
	LeadMode Mode = "lead"
	// RealTimeMode sends each chunk when its playout is due.
	RealTimeMode Mode = "realtime"
	// BurstMode sends as fast as the connection accepts it.
	BurstMode Mode = "burst"
)

// Pace says how fast an utterance is sent. The zero value is LeadMode with
// DefaultLead.
type Pace struct {
	Mode Mode          // empty: LeadMode
	Lead time.Duration // in LeadMode; 0: DefaultLead
	// MaxRate is the highest number of messages a second. 0 limits audio to twice real
	// time, and sets no limit in BurstMode. A rate below real time is an error, because the
	// replica would run out of audio.
	MaxRate float64
}

// rebaseThreshold is the lateness beyond which the schedule is re-based, unless the lead is
// larger. Shorter delays, such as the jitter of a live input, are caught up, so they do not
// add up. A longer stall cannot be caught up.
const rebaseThreshold = 200 * time.Millisecond

// Pacer computes when each chunk of one utterance is due, on the monotonic clock:
//
//	start + position − lead
//
// so that late chunks catch up and delay does not accumulate. If a chunk is late by more
// than the lead and by more than 200 ms, the schedule is re-based: it restarts at that
// chunk. Messages are never closer together than the highest rate allows, except after a
// late one.
type Pacer struct {
	rate     int           // Hz
	lead     time.Duration // 0 in RealTimeMode
	every    time.Duration // between messages; 0: half the playing time of the one before
	interval time.Duration // the shortest time between messages that the room allows
	isBurst  bool
	start    time.Time     // when position 0 is to be heard
	before   time.Duration // position of the message before this one
	slot     time.Time     // when that message was due
	last     time.Time     // when the last chunk was due
	timer    *time.Timer
}

// NewPacer returns the pacer of one utterance at rate Hz, in chunks of chunk
// samples.
func NewPacer(pace Pace, rate, chunk int) (*Pacer, error) {
	p := &Pacer{rate: rate, lead: pace.Lead}
	switch pace.Mode {
	case LeadMode, "":
		if p.lead == 0 {
			p.lead = DefaultLead
		}
	case RealTimeMode:
		p.lead = 0
	case BurstMode:
		p.isBurst = true
	default:
		return nil, fmt.Errorf("echo: no pace mode is called %q; use lead, realtime or burst", pace.Mode)
	}
	if p.lead < 0 {
		return nil, fmt.Errorf("echo: the lead must not be negative, and is %v", p.lead)
	}
	if pace.MaxRate != 0 {
		realTime := float64(rate) / float64(chunk)
		if !(pace.MaxRate >= realTime*(1-1e-9)) { // NaN too
			return nil, fmt.Errorf("echo: at most %g messages a second, but %g are needed to play in real time",
				pace.MaxRate, realTime)
		}
		p.every = time.Duration(float64(time.Second) / pace.MaxRate)
	}
	return p, nil
}

// Wait waits until the chunk at this position, in samples, is due. Its error is the
// cause of ctx. Call it for each chunk, in order, once the chunk is ready.
func (p *Pacer) Wait(ctx context.Context, position int64) error {
	_, err := p.wait(ctx, time.Now(), position)
	return err
}

// wait is Wait for a caller that has just read the clock. It returns the time after the wait,
// to save another reading, which costs a hundredth of the time of building a message.
func (p *Pacer) wait(ctx context.Context, now time.Time, position int64) (time.Time, error) {
	due := p.due(now, durationOf(position, p.rate))
	p.last = due
	if !due.After(now) {
		return now, context.Cause(ctx)
	}
	if p.timer == nil {
		p.timer = time.NewTimer(due.Sub(now))
	} else {
		p.timer.Reset(due.Sub(now))
	}
	select {
	case <-p.timer.C:
		return time.Now(), nil
	case <-ctx.Done():
		p.timer.Stop()
		return now, context.Cause(ctx)
	}
}

// due moves the schedule on to the chunk at position.
func (p *Pacer) due(now time.Time, position time.Duration) time.Time {
	if p.start.IsZero() {
		p.start = now
		p.slot = now
		return now
	}
	spacing := p.spacing(position)
	due := p.slot
	if !p.isBurst {
		if late := now.Sub(p.start.Add(position - p.lead)); late > max(p.lead, rebaseThreshold) {
			p.start = now.Add(-position)
		}
		due = p.start.Add(position - p.lead)
	}
	if slot := p.slot.Add(spacing); due.Before(slot) {
		due = slot
	}
	p.slot = due
	if behind := now.Add(-spacing); p.slot.Before(behind) {
		p.slot = behind
	}
	return due
}

// spacing returns the shortest time between the previous message and the one at
// position.
func (p *Pacer) spacing(position time.Duration) time.Duration {
	every := p.every
	if every == 0 && !p.isBurst {
		every = (position - p.before) / 2
	}
	p.before = position
	return max(every, p.interval)
}

// Due returns when the chunk of the last Wait was due.
func (p *Pacer) Due() time.Time { return p.last }

func (p *Pacer) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
}
