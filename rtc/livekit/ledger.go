package livekit

import (
	"slices"
	"time"
)

// Tolerances of what an avatar reports: its frames, and its clock.
const (
	slackPlayed = 250 * time.Millisecond
	slackClock  = 100 * time.Millisecond
)

// maxPending bounds the ledger where an avatar never reports.
const maxPending = 64

// ledger knows which streams the avatar has yet to report on. Its reports name
// no stream, are in the order of the streams, and may get lost. So each goes to
// the newest stream it can be about, and settles those before it too: a lost
// report costs its own stream's and no other.
type ledger struct {
	pending []*entry
}

// entry is one stream.
type entry struct {
	id         string
	rate       int       // Hz
	opened     time.Time // when its header was sent
	samples    int64     // sent
	isClosed   bool      // its trailer was sent
	isCleared  bool      // the avatar was told to stop
	hasStarted bool      // the avatar said that it plays
}

func (e *entry) duration() time.Duration {
	rate := int64(e.rate)
	return time.Duration(e.samples/rate)*time.Second + time.Duration(e.samples%rate)*time.Second/time.Duration(rate)
}

// open adds the stream id. The one before it is over, for the sender.
func (l *ledger) open(id string, rate int, now time.Time) *entry {
	if len(l.pending) == maxPending {
		l.pending = slices.Delete(l.pending, 0, 1)
	}
	e := &entry{id: id, rate: rate, opened: now}
	l.pending = append(l.pending, e)
	return e
}

// awaits reports whether the stream id is not yet reported as finished.
func (l *ledger) awaits(id string) bool {
	return slices.ContainsFunc(l.pending, func(e *entry) bool { return e.id == id })
}

// started returns the id of the stream that the avatar began to play; "" where
// it can be none.
func (l *ledger) started() string {
	if len(l.pending) == 0 {
		return ""
	}
	newest := l.pending[len(l.pending)-1]
	if newest.hasStarted {
		return ""
	}
	newest.hasStarted = true
	return newest.id
}

// finished returns the id of the stream that the avatar has played up to
// position (negative: not known); "" where none is pending.
func (l *ledger) finished(position time.Duration, interrupted bool, now time.Time) string {
	at := l.find(func(e *entry) bool { return e.fits(position, interrupted, now) && e.expects(position, interrupted) })
	if at < 0 {
		at = l.find(func(e *entry) bool { return e.fits(position, interrupted, now) })
	}
	if at < 0 {
		at = l.closest(position)
	}
	if at < 0 {
		return ""
	}
	id := l.pending[at].id
	l.pending = slices.Delete(l.pending, 0, at+1)
	return id
}

// fits reports whether the report can be about e at all: no more is played than
// was sent, nor faster than time passes, and only what was closed or cut off
// comes to an end.
func (e *entry) fits(position time.Duration, interrupted bool, now time.Time) bool {
	return position <= e.duration()+slackPlayed && position <= now.Sub(e.opened)+slackClock && (interrupted || e.isClosed)
}

// expects reports whether it is what e should come to.
func (e *entry) expects(position time.Duration, interrupted bool) bool {
	return interrupted == e.isCleared && (interrupted || (e.duration()-position).Abs() <= slackPlayed)
}

// find is the index of the newest stream that matches; -1 where none does.
func (l *ledger) find(matches func(*entry) bool) int {
	for at, e := range slices.Backward(l.pending) {
		if matches(e) {
			return at
		}
	}
	return -1
}

// closest is the index of the newest stream whose length is nearest to
// position: avatars in tests play faster than time passes.
func (l *ledger) closest(position time.Duration) int {
	best := -1
	for at, e := range slices.Backward(l.pending) {
		if best < 0 || (e.duration()-position).Abs() < (l.pending[best].duration()-position).Abs() {
			best = at
		}
	}
	return best
}
