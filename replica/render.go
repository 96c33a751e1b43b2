package replica

import (
	"cmp"
	"slices"
	"time"
)

// recordInterval bounds how long played audio stays in memory while no message
// arrives. It does not affect the timing of playback.
const recordInterval = time.Second

// soundInterval replaces recordInterval if OnSound is set.
const soundInterval = 20 * time.Millisecond

// preBufferTimeout bounds the wait for the pre-buffer. If no new chunk has arrived for this
// long, the received audio plays. A sender may be waiting to hear it.
const preBufferTimeout = 500 * time.Millisecond

// idleTimeout bounds how long an open utterance that has run out of audio keeps
// other utterances waiting.
const idleTimeout = 5 * time.Second

// utterance is an utterance that has not ended: its record and its audio in the render
// buffer.
type utterance struct {
	record Utterance
	from   *participant
	held   int64 // samples, as counted by session.hold

	received    int64     // samples taken
	heard       int64     // of those, played
	pending     [][]int16 // the rest, in order
	isClosed    bool      // no more chunks are expected
	hasStarted  bool      // its first sample was played
	isStalled   bool      // it ran out of audio
	stalledAt   time.Time // when the missing sample was due
	lastArrival time.Time // of its last chunk
	isQueued    bool      // it is or was in the render buffer

	isText     bool   // it has a duration but no samples
	unfinished string // the beginning of a tag at the end of its text
	isTextSent bool   // its text was sent

	graceUntil time.Time // until then late chunks are no deviation
}

func (u *utterance) buffered() int64 { return u.received - u.heard }

// listener is notified of playback.
type listener interface {
	heard(u *utterance, samples []int16)
	started(u *utterance, at time.Time)
	recordUnderrun(u *utterance, from, to time.Time)
	stopped(u *utterance, at time.Time, interrupted bool)
	idle(u *utterance, at time.Time) // u keeps another utterance waiting and must be ended
}

// renderer is the render buffer and its playout clock. Every method takes the
// time as an argument and plays up to it, so the result depends on when messages
// arrived and not on when methods were called.
//
// While the first utterance of the queue plays, its sample number base was due at anchor.
// If the utterance is open and its last received sample has been played, the buffer is
// empty. The time of the next chunk then decides whether there was an underrun. A chunk
// that arrives exactly when it is due is in time.
type renderer struct {
	listener  listener
	preBuffer time.Duration
	interval  time.Duration // the longest time between two calls of advance

	queue     []*utterance
	isRunning bool
	anchor    time.Time
	base      int64
	lastEnd   time.Time // when the last complete utterance had been played

	marks  []mark        // in order
	played time.Duration // by the utterances that have ended
}

// mark is a function to call after a played time.
type mark struct {
	after time.Duration
	do    func(at time.Time)
}

// add appends samples to u. u must be the last utterance in the queue, or not be in it yet.
func (r *renderer) add(u *utterance, samples []int16, now time.Time) {
	u.keep(samples)
	r.addTime(u, int64(len(samples)), false, now)
}

// shortChunk is the length in samples up to which chunks are stored together, to save
// allocations.
const shortChunk = 256

// keep stores samples.
func (u *utterance) keep(samples []int16) {
	last := len(u.pending) - 1
	switch {
	case len(samples) == 0:
	case last >= 0 && len(samples) < shortChunk && len(u.pending[last]) < 16*shortChunk:
		u.pending[last] = append(u.pending[last], samples...)
	default:
		u.pending = append(u.pending, samples)
	}
}

// addTime lengthens u by a number of samples. A text has no samples, only their duration.
func (r *renderer) addTime(u *utterance, samples int64, last bool, now time.Time) {
	r.stall(now)
	u.isClosed = last
	if !u.isQueued {
		u.isQueued = true
		r.queue = append(r.queue, u)
	}
	u.received += samples
	r.resume(now)
}

// finish closes u: no more chunks are expected.
func (r *renderer) finish(u *utterance, now time.Time) {
	r.stall(now)
	u.isClosed = true
	r.resume(now)
}

// interrupt ends all utterances, playing or queued.
func (r *renderer) interrupt(now time.Time) {
	r.stall(now)
	for len(r.queue) > 0 {
		r.remove(now, true)
	}
}

// drain empties the buffer at the end of the run and returns what was in it.
func (r *renderer) drain(now time.Time) []*utterance {
	r.stall(now)
	left := r.queue
	for _, u := range left {
		r.endStall(u, now)
	}
	r.queue, r.isRunning = nil, false
	return left
}

// advance plays what is due by now.
func (r *renderer) advance(now time.Time) {
	r.playDue(now)
	for at, ok := r.timeout(); ok && !at.After(now); at, ok = r.timeout() {
		if u := r.queue[0]; u.buffered() > 0 {
			r.start(u, at)
		} else {
			r.listener.idle(u, at)
		}
		r.playDue(now)
	}
}

func (r *renderer) playDue(now time.Time) {
	for r.isRunning {
		if r.runMark(now) {
			continue
		}
		u, end := r.queue[0], r.end()
		if now.Before(end) {
			r.play(u, r.position(now))
			return
		}
		r.play(u, u.received)
		if !u.isClosed {
			return
		}
		r.remove(end, false)
		r.lastEnd = end
		r.resume(end)
	}
}

// untilDue returns the time until advance has something to do. ok is false if that requires
// another message.
func (r *renderer) untilDue(now time.Time) (wait time.Duration, ok bool) {
	if !r.isRunning {
		return 0, false
	}
	u := r.queue[0]
	if u.heard == u.received && !u.isClosed {
		return 0, false
	}
	wait = r.end().Sub(now)
	if at, ok := r.nextMark(); ok {
		wait = min(wait, at.Sub(now))
	}
	return min(wait, r.interval), true
}

// untilTimeout returns the time until the first utterance stops waiting. ok is false if it
// does not wait.
func (r *renderer) untilTimeout(now time.Time) (wait time.Duration, ok bool) {
	at, ok := r.timeout()
	return at.Sub(now), ok
}

// mark schedules a function for a played time.
func (r *renderer) mark(after time.Duration, do func(at time.Time)) {
	r.marks = append(r.marks, mark{after, do})
	slices.SortStableFunc(r.marks, func(a, b mark) int { return cmp.Compare(a.after, b.after) })
}

// playedTime returns how much has been played.
func (r *renderer) playedTime() time.Duration {
	if len(r.queue) == 0 {
		return r.played
	}
	u := r.queue[0]
	return r.played + playingTime(u.heard, u.record.Rate)
}

// nextMark returns when the next mark is reached. ok is false if the received audio ends
// before it.
func (r *renderer) nextMark() (at time.Time, ok bool) {
	if !r.isRunning || len(r.marks) == 0 {
		return time.Time{}, false
	}
	before := r.played + playingTime(r.base, r.queue[0].record.Rate)
	at = r.anchor.Add(max(r.marks[0].after-before, 0))
	return at, at.Before(r.end())
}

// runMark calls the function of the next mark if it is reached by now.
func (r *renderer) runMark(now time.Time) bool {
	at, ok := r.nextMark()
	if !ok || at.After(now) {
		return false
	}
	r.play(r.queue[0], r.position(at))
	do := r.marks[0].do
	r.marks = r.marks[1:]
	do(at)
	return true
}

// timeout returns when the first utterance stops waiting: for its pre-buffer to fill,
// or for its next chunk while another utterance waits.
func (r *renderer) timeout() (at time.Time, ok bool) {
	if len(r.queue) == 0 {
		return time.Time{}, false
	}
	switch u := r.queue[0]; {
	case !r.isRunning && u.buffered() > 0:
		return u.lastArrival.Add(preBufferTimeout), true
	case len(r.queue) > 1 && !u.isClosed:
		return r.emptyAt(u).Add(idleTimeout), true
	}
	return time.Time{}, false
}

// emptyAt returns when the open utterance u, the first in the queue, runs or ran out of
// audio.
func (r *renderer) emptyAt(u *utterance) time.Time {
	switch {
	case r.isRunning:
		return r.end()
	case u.isStalled:
		return u.stalledAt
	}
	return u.lastArrival
}

// resume starts the first utterance if it is ready, and removes empty utterances before it.
func (r *renderer) resume(now time.Time) {
	for !r.isRunning && len(r.queue) > 0 {
		u := r.queue[0]
		switch {
		case u.buffered() == 0 && u.isClosed:
			r.remove(now, false)
		case u.buffered() > 0 && r.isReady(u, now):
			r.start(u, now)
		default:
			return
		}
	}
}

// isReady reports whether u may play: it is complete, it follows the previous
// utterance without a pause, or it has filled the pre-buffer.
func (r *renderer) isReady(u *utterance, now time.Time) bool {
	return u.isClosed || !now.After(r.lastEnd) || playingTime(u.buffered(), u.record.Rate) >= r.preBuffer
}

func (r *renderer) start(u *utterance, now time.Time) {
	if now.Before(r.lastEnd) {
		now = r.lastEnd
	}
	r.isRunning, r.anchor, r.base = true, now, u.heard
	r.endStall(u, now)
	if !u.hasStarted {
		u.hasStarted = true
		r.listener.started(u, now)
	}
}

// stall stops playback of an open utterance when its next sample is overdue.
func (r *renderer) stall(now time.Time) {
	if !r.isRunning || r.queue[0].isClosed || !now.After(r.end()) {
		return
	}
	u := r.queue[0]
	r.isRunning = false
	u.isStalled, u.stalledAt = true, r.end()
}

func (r *renderer) endStall(u *utterance, now time.Time) {
	if u.isStalled {
		u.isStalled = false
		r.listener.recordUnderrun(u, u.stalledAt, now)
	}
}

// remove drops the first utterance and the rest of its audio.
func (r *renderer) remove(at time.Time, interrupted bool) {
	u := r.queue[0]
	r.queue, r.isRunning = r.queue[1:], false
	r.endStall(u, at)
	u.isClosed = true
	u.pending = nil
	r.played += playingTime(u.heard, u.record.Rate)
	r.listener.stopped(u, at, interrupted)
}

// play passes the samples before sample number upTo to the listener.
func (r *renderer) play(u *utterance, upTo int64) {
	if u.isText {
		u.heard = max(u.heard, upTo)
		return
	}
	for n := upTo - u.heard; n > 0; n = upTo - u.heard {
		first := u.pending[0]
		k := min(n, int64(len(first)))
		u.heard += k
		r.listener.heard(u, first[:k])
		if u.pending[0] = first[k:]; len(u.pending[0]) == 0 {
			u.pending[0] = nil
			u.pending = u.pending[1:]
		}
	}
}

// end returns when the last received sample of the running utterance has been played.
func (r *renderer) end() time.Time {
	u := r.queue[0]
	return r.anchor.Add(playingTime(u.received-r.base, u.record.Rate))
}

// position returns how many samples of the running utterance have been played by now.
func (r *renderer) position(now time.Time) int64 {
	elapsed, rate := now.Sub(r.anchor), int64(r.queue[0].record.Rate)
	whole, part := int64(elapsed/time.Second), int64(elapsed%time.Second)
	return r.base + whole*rate + part*rate/int64(time.Second)
}

// playingTime returns the duration of a number of samples at a rate in Hz, rounded up
// to a nanosecond.
func playingTime(samples int64, rate int) time.Duration {
	hz := int64(rate)
	part := (samples%hz*int64(time.Second) + hz - 1) / hz
	return time.Duration(samples/hz)*time.Second + time.Duration(part)
}
