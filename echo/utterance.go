package echo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// utterance is the state of one utterance. The goroutine of Speak or Say sends
// it, the session's listener follows its events, and an interrupt may come from
// a third.
type utterance struct {
	content content
	id      string
	forms   [4]string // of the id in events
	rate    int       // Hz
	stage   Stage
	cancel  context.CancelCauseFunc // ends it, with why
	final   func() bool             // nothing follows under its turn
	leave   func()                  // gives its turn up
	stopped chan struct{}           // closed when the replica says it has stopped
	silent  chan struct{}           // closed when an interrupt, if any, is over
	opened  time.Time
	watch   *time.Timer // for the message that is being sent; of the sender alone

	mu      sync.Mutex
	receipt Receipt
	next    int  // samples on their way
	begun   bool // the first message is on its way
	last    bool // the last message is on its way
	told    bool // we interrupted it
	first   time.Time
	render  renderBuffer
	lead    time.Duration // the sum over all chunks but those that build it up
	leads   int
	route   route
	played  time.Duration // by the clock, when we interrupted it
	text    time.Duration // what the text so far may take to say

	started     time.Time // the first start
	eventID     string    // the id in it
	byOrder     bool      // nothing but their order says that the events are ours
	speaking    bool      // between a start and its stop
	ended       bool      // the stop that ends it has come
	interrupted bool      // as that stop says
	spoken      time.Duration
	spokenKnown bool
}

func newUtterance(c content, rate int, cancel context.CancelCauseFunc) *utterance {
	id := NewInferenceID()
	return &utterance{
		content: c, id: id, forms: eventIDs(id), rate: rate, cancel: cancel,
		stopped: make(chan struct{}), silent: make(chan struct{}), opened: time.Now(),
		receipt: Receipt{InferenceID: id, Source: c.name(), FirstMessageSeconds: -1, FirstAudioSeconds: -1, AcknowledgedSamples: -1},
	}
}

// waitSilent waits until an interrupt of u is over; a nil u is silent.
func (u *utterance) waitSilent(ctx context.Context) error {
	if u == nil {
		return nil
	}
	select {
	case <-u.silent:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (u *utterance) waitStopped(ctx context.Context, over <-chan struct{}) {
	select {
	case <-u.stopped:
	case <-over:
	case <-ctx.Done():
	}
}

// position is how many samples were sent.
func (u *utterance) position() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.receipt.Samples
}

// pending notes how many samples the next message carries.
func (u *utterance) pending(samples int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.next = samples
}

// pendingText notes how long the next piece of text may take to be said.
func (u *utterance) pendingText(d time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.text += d
}

// heardOf reports whether the replica has said that it speaks.
func (u *utterance) heardOf() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.started.IsZero()
}

// chunks is how many messages were sent.
func (u *utterance) chunks() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.receipt.Chunks
}

// sending notes that a message is on its way: its event may come before the
// call that sends it returns.
func (u *utterance) sending(last bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.begun = true
	u.last = last
}

// sent counts a message that the connection has accepted.
func (u *utterance) sent(size int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	if u.receipt.Chunks == 0 {
		u.first = now
	}
	u.receipt.Chunks++
	u.receipt.Samples += int64(u.next)
	u.receipt.Bytes += int64(size)
	if clipper, ok := u.stage.(ClipCounter); ok {
		u.receipt.Clipped = clipper.Clipped()
	}
	u.route.add(u.receipt.Bytes, u.receipt.Samples)
	u.render.add(now, durationOf(int64(u.next), u.rate))
	if !u.render.dry.IsZero() {
		u.lead += u.render.ahead(now)
		u.leads++
	}
	if u.last {
		u.render.close(now)
	}
}

// claim is how an event belongs to an utterance.
type claim int

const (
	notOurs claim = iota
	byID          // it carries a form of our id
	byOrder       // it is the one that has to come now
)

// follow takes an event of the replica's speech, if it belongs to this
// utterance. Twins of an event change nothing. A stop before the last chunk was
// sent is the replica running out of audio, not the end, unless it says that it
// was interrupted.
func (u *utterance) follow(event Event, orderCounts bool) claim {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.begun {
		return notOurs
	}
	how := u.claims(event, orderCounts)
	if how == notOurs || u.ended {
		return how
	}
	if event.Kind == StartedSpeaking {
		u.start(event, how)
		return how
	}
	if !u.speaking && !u.started.IsZero() && !event.Interrupted {
		return how // the twin of a stop before the end
	}
	if how == byOrder && u.tooEarly(event) {
		u.started, u.eventID, u.speaking = time.Time{}, "", false
		return notOurs
	}
	u.stop(event, how)
	return how
}

func (u *utterance) start(event Event, how claim) {
	u.speaking = true
	if u.started.IsZero() {
		u.started, u.eventID, u.byOrder = time.Now(), event.InferenceID, how == byOrder
	}
}

func (u *utterance) stop(event Event, how claim) {
	if u.started.IsZero() { // its start was lost, or this replica never tells
		u.start(event, how)
		u.started = u.started.Add(-max(event.Duration, 0))
	}
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

// tooEarly reports a natural end that cannot be that of this utterance: what was
// sent takes longer to say than there was time. Then its start was not ours
// either, and the events are late ones of an utterance whose id nobody knows.
func (u *utterance) tooEarly(event Event) bool {
	sent := durationOf(u.receipt.Samples, u.rate)
	return !event.Interrupted && u.last && time.Since(u.first) < sent-sent/10-preBuffer
}

// claims says how an event belongs to this utterance: by its id in any form,
// or, where the id is of no known form or missing, by order: the first start
// after the first chunk, and then what carries the same id. Order does not count
// for an id where earlier events had a known form.
func (u *utterance) claims(event Event, orderCounts bool) claim {
	for _, form := range u.forms {
		if event.InferenceID == form {
			return byID
		}
	}
	if event.InferenceID != "" && !orderCounts {
		return notOurs
	}
	if u.started.IsZero() {
		if event.Kind == StartedSpeaking {
			return byOrder
		}
		return notOurs
	}
	if event.InferenceID == u.eventID || event.InferenceID == "" {
		return byOrder
	}
	return notOurs
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
	left := u.render.ahead(now) + u.text
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
	case u.spokenKnown && sent > 0 && !agree(sent, u.spoken):
		return fmt.Errorf("%w: %.3f s were sent, and the replica says it spoke %.3f s", ErrUnverified, sent.Seconds(), u.spoken.Seconds())
	}
	return nil
}

func (u *utterance) progress() Progress {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := Progress{State: Queued, Sent: durationOf(u.receipt.Samples, u.rate), Lead: u.render.ahead(time.Now())}
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
	if u.leads > 0 {
		r.LeadSeconds = (u.lead / time.Duration(u.leads)).Seconds()
	}
	u.settleDelivery()
	r.SpokenSeconds, r.SpokenBy = u.spokenBest()
	r.Outcome = u.outcome(err)
	if err != nil {
		r.Error = err.Error()
	}
	return *r, err
}

// settleDelivery tells what is known of the way to the peer.
func (u *utterance) settleDelivery() {
	r := &u.receipt
	if r.Chunks == 0 {
		return
	}
	r.Delivery = Accepted
	if stage, ok := u.stage.(Acknowledger); ok {
		if waiting := stage.Unacknowledged(); waiting >= 0 {
			r.AcknowledgedSamples = u.route.before(r.Bytes - int64(waiting))
		}
	}
	switch {
	case u.ended:
		r.Delivery = Heard
	case r.AcknowledgedSamples == r.Samples:
		r.Delivery = Acknowledged
	}
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
	case errors.Is(err, ErrLost):
		return Failed
	case u.interrupted, u.told:
		return Interrupted
	}
	return Failed
}
