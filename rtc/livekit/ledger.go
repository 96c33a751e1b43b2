package livekit

import (
	"slices"
	"time"
)

// Tolerances for an avatar's reports: the length of its frames, and the error of its clock.
const (
	slackPlayed = 250 * time.Millisecond
	slackClock  = 100 * time.Millisecond
)

// maxPending bounds the ledger if an avatar never reports.
const maxPending = 64

// ledger lists the streams that the avatar has not reported yet. The reports name no
// stream. They arrive in the order of the streams, and some may be lost. So each report is
// matched to the newest stream that fits, and also settles the streams before it. A lost
// report thus affects only its stream.
type ledger struct {
	pending []*entry
}

// entry is one stream in the ledger.
type entry struct {
	id         string
	rate       int       // Hz
	opened     time.Time // when its header was sent
	samples    int64     // sent
	isClosed   bool      // its trailer was sent
	isCleared  bool      // the avatar was told to stop
	hasStarted bool      // the avatar said that it plays
	isForeign  bool      // what the avatar played before our first stream, if it played anything
}

func (e *entry) duration() time.Duration {
	rate := int64(e.rate)
	return time.Duration(e.samples/rate)*time.Second + time.Duration(e.samples%rate)*time.Second/time.Duration(rate)
}

// open adds the stream id. The sender has already closed the previous stream.
func (l *ledger) open(id string, rate int, now time.Time) *entry {
	if len(l.pending) == maxPending {
		l.pending = slices.Delete(l.pending, 0, 1)
	}
	e := &entry{id: id, rate: rate, opened: now}
	l.pending = append(l.pending, e)
	return e
}

// clear records that the avatar is told to stop. If it may play something that is not in the
// ledger, as after a sender with our identity was killed, a report of that gets no id. It
// could come when the next stream is open already.
func (l *ledger) clear() {
	if len(l.pending) == 0 {
		l.pending = append(l.pending, &entry{isClosed: true, isCleared: true, isForeign: true})
	}
}

// awaits reports whether the end of the stream id is not reported yet.
func (l *ledger) awaits(id string) bool {
	return slices.ContainsFunc(l.pending, func(e *entry) bool { return e.id == id })
}

// started returns the id of the stream that the avatar began to play, or "" if none fits.
func (l *ledger) started() string {
	if len(l.pending) == 0 {
		return ""
	}
	newest := l.pending[len(l.pending)-1]
	if newest.hasStarted || newest.isForeign {
		return ""
	}
	newest.hasStarted = true
	l.pending = slices.DeleteFunc(l.pending, func(e *entry) bool { return e.isForeign }) // it has ended
	return newest.id
}

// finished returns the id of the stream that the avatar has played up to position (negative
// if not known), or "" if none is pending.
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

// fits reports whether the report can be about e. It must not have played more than was
// sent, nor faster than real time. Only a closed or interrupted stream can end.
func (e *entry) fits(position time.Duration, interrupted bool, now time.Time) bool {
	if e.isForeign {
		return interrupted
	}
	return position <= e.duration()+slackPlayed && position <= now.Sub(e.opened)+slackClock && (interrupted || e.isClosed)
}

// expects reports whether the position is the expected end of e.
func (e *entry) expects(position time.Duration, interrupted bool) bool {
	return interrupted == e.isCleared && (interrupted || (e.duration()-position).Abs() <= slackPlayed)
}

// find returns the index of the newest stream that matches, or -1.
func (l *ledger) find(matches func(*entry) bool) int {
	for at, e := range slices.Backward(l.pending) {
		if matches(e) {
			return at
		}
	}
	return -1
}

// closest returns the index of the newest stream with the length nearest to position. It is
// needed because avatars in tests play faster than real time.
func (l *ledger) closest(position time.Duration) int {
	best := -1
	for at, e := range slices.Backward(l.pending) {
		if e.isForeign {
			continue
		}
		if best < 0 || (e.duration()-position).Abs() < (l.pending[best].duration()-position).Abs() {
			best = at
		}
	}
	return best
}
