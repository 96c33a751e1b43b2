package echo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"echocast/chunker"
)

// utterance is the state of one utterance. Speak's goroutine sends it, the
// session's listener follows its events, and an interrupt may come from a third.
type utterance struct {
	speech  Speech
	id      string
	forms   [4]string // of the id in events
	rate    int       // Hz
	pacer   *Pacer
	cancel  context.CancelCauseFunc // ends Speak, with why
	stopped chan struct{}           // closed when the replica says it has stopped
	silent  chan struct{}           // closed when an interrupt, if any, is over
	opened  time.Time

	mu      sync.Mutex
	receipt Receipt
	begun   bool // the first chunk is on its way
	last    bool // the last chunk is on its way
	told    bool // we interrupted it
	first   time.Time
	render  renderBuffer
	played  time.Duration // by the clock, when we interrupted it

	started     time.Time // the first start
	eventID     string    // the id in it
	speaking    bool      // between a start and its stop
	ended       bool      // the stop that ends it has come
	interrupted bool      // as that stop says
	spoken      time.Duration
	spokenKnown bool
}

func newUtterance(speech Speech, rate int, pacer *Pacer, cancel context.CancelCauseFunc) *utterance {
	id := NewInferenceID()
	return &utterance{
		speech: speech, id: id, forms: eventIDs(id), rate: rate, pacer: pacer, cancel: cancel,
		stopped: make(chan struct{}), silent: make(chan struct{}), opened: time.Now(),
		receipt: Receipt{InferenceID: id, Source: speech.Name, FirstMessageSeconds: -1, FirstAudioSeconds: -1},
	}
}

// position is how many samples were sent.
func (u *utterance) position() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.receipt.Samples
}

// sending notes that a chunk is on its way: its event may come before the call
// that sends it returns.
func (u *utterance) sending(chunk chunker.Chunk) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.begun = true
	u.last = chunk.Last
}

// sent counts a chunk that the connection has accepted.
func (u *utterance) sent(chunk chunker.Chunk, size int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	if u.receipt.Chunks == 0 {
		u.first = now
	}
	u.receipt.Chunks++
	u.receipt.Samples += int64(len(chunk.PCM))
	u.receipt.Bytes += int64(size)
	u.render.add(now, durationOf(int64(len(chunk.PCM)), u.rate))
	if chunk.Last {
		u.render.close(now)
	}
}

// follow takes an event of the replica's speech, if it belongs to this
// utterance. Twins of an event change nothing. A stop before the last chunk was
// sent is the replica running out of audio, not the end, unless it says that it
// was interrupted.
func (u *utterance) follow(event Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.begun || u.ended || !u.claims(event) {
		return
	}
	if event.Kind == StartedSpeaking {
		u.start(event)
		return
	}
	if !u.speaking && !u.started.IsZero() && !event.Interrupted {
		return // the twin of a stop before the end
	}
	u.start(event) // where its start was lost
	u.speaking = false
	if event.Duration >= 0 {
		u.spoken += event.Duration
		u.spokenKnown = true
	}
	if event.Interrupted || u.last {
		u.ended, u.interrupted = true, event.Interrupted
		close(u.stopped)
	}
	if event.Interrupted && !u.told {
		u.cancel(ErrInterrupted)
	}
}

func (u *utterance) start(event Event) {
	u.speaking = true
	if u.started.IsZero() {
		u.started, u.eventID = time.Now(), event.InferenceID
	}
}

// claims reports whether an event belongs to this utterance: by its id in any
// form, or, where the id is of no known form or missing, by order: the first
// start after the first chunk, and then what carries the same id.
func (u *utterance) claims(event Event) bool {
	for _, form := range u.forms {
		if event.InferenceID == form {
			return true
		}
	}
	if u.started.IsZero() {
		return event.Kind == StartedSpeaking
	}
	return event.InferenceID == u.eventID || event.InferenceID == ""
}

// interrupting notes that the replica is about to be told to stop, and reports
// whether there is a need to.
func (u *utterance) interrupting() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.begun || u.ended {
		return false
	}
	u.told = true
	u.played = u.playedByClock()
	return true
}

func (u *utterance) playedByClock() time.Duration {
	return max(durationOf(u.receipt.Samples, u.rate)-u.render.ahead(time.Now()), 0)
}

// allIDs are the ids that its events may carry.
func (u *utterance) allIDs() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append(u.forms[:], u.eventID)
}

// remaining estimates how long the replica needs for what it has.
func (u *utterance) remaining() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	left := u.render.ahead(now)
	if !u.started.IsZero() {
		left = max(left, durationOf(u.receipt.Samples, u.rate)-now.Sub(u.started))
	}
	return left
}

// verdict is what the end means for an utterance that nobody here interrupted.
func (u *utterance) verdict() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	sent := durationOf(u.receipt.Samples, u.rate)
	switch {
	case u.interrupted:
		return ErrInterrupted
	case u.spokenKnown && !agree(sent, u.spoken):
		return fmt.Errorf("%w: %.3f s were sent, and the replica says it spoke %.3f s", ErrUnverified, sent.Seconds(), u.spoken.Seconds())
	}
	return nil
}

func (u *utterance) progress() Progress {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := Progress{State: Waiting, Sent: durationOf(u.receipt.Samples, u.rate), Lead: u.render.ahead(time.Now())}
	switch {
	case !u.begun:
	case !u.started.IsZero():
		p.State = Speaking
	case u.last:
		p.State = Draining
	default:
		p.State = Sending
	}
	return p
}

// settle writes the receipt.
func (u *utterance) settle(err error) (Receipt, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	r := &u.receipt
	r.SentSeconds = durationOf(r.Samples, u.rate).Seconds()
	r.Underruns, r.UnderrunsBy = u.render.underruns, ByClock
	if !u.first.IsZero() {
		r.FirstMessageSeconds = u.first.Sub(u.opened).Seconds()
	}
	if !u.started.IsZero() && !u.first.IsZero() {
		r.FirstAudioSeconds = max(u.started.Sub(u.first), 0).Seconds()
	}
	r.SpokenSeconds, r.SpokenBy = u.spokenBest()
	r.Outcome = u.outcome(err)
	if err != nil {
		r.Error = err.Error()
	}
	return *r, err
}

func (u *utterance) spokenBest() (float64, string) {
	switch {
	case u.spokenKnown && u.ended:
		return u.spoken.Seconds(), ByEvent
	case u.told:
		return u.played.Seconds(), ByClock
	}
	return u.playedByClock().Seconds(), ByClock
}

func (u *utterance) outcome(err error) Outcome {
	switch {
	case err == nil && u.ended:
		return Finished
	case err == nil:
		return Sent
	case errors.Is(err, ErrUnverified):
		return Unverified
	case u.interrupted, u.told && !errors.Is(err, ErrLost):
		return Interrupted
	}
	return Failed
}
