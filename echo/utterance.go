package echo

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"echocast/internal/renderbuffer"
)

// utterance is one utterance under one id. The goroutine of Speak or Say sends it, the
// session's listener follows its events, and an interrupt may come from a third goroutine.
// Its state decides what happens; the other fields are for the receipt.
type utterance struct {
	turn    *turn
	content content
	id      string
	forms   [4]string // forms of the id in events
	rate    int       // Hz
	cancel  context.CancelCauseFunc
	final   chan struct{} // closed when no further event about it will come
	silent  chan struct{} // closed when its interrupt, if any, is complete
	opened  time.Time
	stage   Stage       // set by begin, as script is
	script  script      //
	begins  int64       // start in its source, in samples
	watch   *time.Timer // for the message that is being sent; only the sender uses it
	err     error       // why it ended; read after silent is closed

	finishing atomic.Bool // finish was called

	mu            sync.Mutex
	state         utteranceState
	receipt       Receipt
	first         time.Time // when the connection accepted the first message
	render        renderbuffer.Buffer
	lead          time.Duration // sum over all chunks except those that build up the lead
	leads         int
	messageEnds   messageEnds
	played        time.Duration // by the clock, when it ended early; negative otherwise
	evidence      evidence
	reportsSpeech bool          // the replica has reported its speech in this session
	textTime      time.Duration // longest time that the text so far may take to say

	started       time.Time // the first start
	startEmitted  time.Time // by the clock of the service; zero: not known
	startEvents   int       // starts reported, each after a stop
	lastStop      time.Time // its last stop
	eventID       string    // the id in the first start
	spoken        time.Duration
	isSpokenKnown bool
}

func newUtterance(t *turn, c content, rate int, cancel context.CancelCauseFunc, earlier string) *utterance {
	id := NewInferenceID()
	u := &utterance{
		turn: t, content: c, id: id, forms: eventIDs(id), rate: rate, cancel: cancel,
		final: make(chan struct{}), silent: make(chan struct{}), opened: time.Now(),
		receipt: newReceipt(id, c.name()), played: -1, evidence: evidence{acknowledged: -1},
	}
	u.receipt.Resumes = earlier
	return u
}

// begin opens the utterance on a stage. reportsSpeech says that the replica there has
// reported its speech before.
func (u *utterance) begin(stage Stage, reportsSpeech bool) (err error) {
	u.stage, u.reportsSpeech = stage, reportsSpeech
	u.script, err = u.content.begin(stage, u.id)
	if speech, ok := u.content.(*audioContent); ok {
		u.begins = speech.base
	}
	return err
}

// apply applies an event to the state, and returns the actions that its caller has to
// take.
func (u *utterance) apply(e stateEvent) action {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.applyLocked(e)
}

func (u *utterance) applyLocked(e stateEvent) (todo action) {
	u.state, todo = u.state.next(e)
	if todo&noteFinal != 0 {
		close(u.final)
	}
	return todo
}

// waitSilent waits until an interrupt of u is over. It does nothing for a nil u.
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

// isHeard reports whether an event says that the replica has begun to speak.
func (u *utterance) isHeard() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.started.IsZero()
}

// noteSending notes that a message is being sent, and returns how many samples were
// sent before it. Its event may arrive before the sending call returns.
func (u *utterance) noteSending(p messagePart) (position int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	event := messageLeaves
	if p.isLast {
		event = lastLeaves
	}
	u.applyLocked(event)
	u.textTime += p.textTime
	return u.receipt.Samples
}

// noteSent counts a message that the connection has accepted.
func (u *utterance) noteSent(p messagePart, size int, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	r := &u.receipt
	if r.Chunks == 0 {
		u.first = now
	}
	r.Chunks++
	r.Samples += int64(len(p.pcm))
	r.Characters += p.characters
	r.Bytes += int64(size)
	if clipper, ok := u.stage.(ClipCounter); ok {
		r.Clipped = clipper.Clipped()
	}
	u.messageEnds.add(r.Bytes, r.Samples)
	u.render.Add(now, durationOf(int64(len(p.pcm)), u.rate))
	if u.render.IsPlaying() {
		u.lead += u.render.Ahead(now)
		u.leads++
	}
	if p.isLast {
		u.render.Close(now)
	}
	u.checkAcknowledged(now)
}

// noteUncertain notes that the message being sent may have been delivered.
func (u *utterance) noteUncertain(p messagePart) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.receipt.UncertainSamples = int64(len(p.pcm))
}

// eventMatch says how an event belongs to an utterance.
type eventMatch int

const (
	matchNone  eventMatch = iota
	matchID               // it carries the utterance's id in a known form
	matchOrder            // it is the next event in order
)

// follow handles an event of the replica's speech, if it belongs to this utterance. A
// stop before the last chunk was sent is an underrun, not the end, unless the event
// says that the replica was interrupted.
func (u *utterance) follow(event Event, orderCounts bool) eventMatch {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.state.Sent == nothingSent {
		return matchNone
	}
	match := u.match(event, orderCounts)
	if match == matchNone {
		return matchNone
	}
	if event.Kind == StartedSpeaking {
		u.start(event)
		return match
	}
	if match == matchOrder && u.isTooEarly(event) {
		u.applyLocked(startNotOurs)
		u.started, u.startEmitted, u.startEvents, u.eventID = time.Time{}, time.Time{}, 0, ""
		return matchNone
	}
	u.stop(event)
	return match
}

func (u *utterance) start(event Event) {
	if u.state.Voice.isFinal() {
		return
	}
	if u.state.Voice != speaking {
		u.startEvents++
	}
	u.applyLocked(replicaStarts)
	if u.started.IsZero() {
		u.started, u.startEmitted, u.eventID = time.Now(), event.Time, event.InferenceID
	}
}

func (u *utterance) stop(event Event) {
	what, before := replicaStops, u.state
	if event.Interrupted {
		what = replicaIsCut
	}
	todo := u.applyLocked(what)
	if u.state == before { // a twin
		return
	}
	if u.started.IsZero() { // its start event was lost, or this replica never sends one
		u.started, u.eventID = time.Now().Add(-max(event.Duration, 0)), event.InferenceID
	}
	if event.Duration >= 0 {
		u.spoken += event.Duration
		u.isSpokenKnown = true
	}
	if todo&noteFinal != 0 {
		u.lastStop = time.Now()
	}
	if todo&haltSource != 0 {
		u.cancel(ErrInterrupted)
	}
}

// isTooEarly reports whether a stop came too early to be the natural end of this utterance,
// because its audio takes longer than the time since its start. Then the start was not ours
// either: both are late events of another utterance, whose id is unknown.
func (u *utterance) isTooEarly(event Event) bool {
	sent := durationOf(u.receipt.Samples, u.rate)
	open := u.state.Voice != underran && !u.state.Voice.isFinal()
	least := sent - sent/10 - renderbuffer.PreBuffer
	return open && !event.Interrupted && u.state.Sent == allSent && time.Since(u.first) < least
}

// match returns how an event belongs to this utterance. It matches by id in any form.
// If the id has no known form or is missing, it matches by order: the first start after
// the first chunk, and then events with the same id. If earlier events had a known
// form, order does not count.
func (u *utterance) match(event Event, orderCounts bool) eventMatch {
	for _, form := range u.forms {
		if event.InferenceID == form {
			return matchID
		}
	}
	if event.InferenceID != "" && !orderCounts {
		return matchNone
	}
	if u.started.IsZero() {
		if event.Kind == StartedSpeaking {
			return matchOrder
		}
		return matchNone
	}
	if event.InferenceID == u.eventID || event.InferenceID == "" {
		return matchOrder
	}
	return matchNone
}

// allIDs returns the ids that its events may carry.
func (u *utterance) allIDs() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append(u.forms[:], u.eventID)
}

// remaining estimates how long the replica needs to play its buffer.
func (u *utterance) remaining() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	left := u.render.Ahead(now) + u.textTime
	if !u.started.IsZero() {
		left = max(left, durationOf(u.receipt.Samples, u.rate)-now.Sub(u.started))
	}
	return left
}

// remainingSpeech returns how long the replica still speaks, if it has started.
func (u *utterance) remainingSpeech() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.started.IsZero() {
		return 0
	}
	return max(durationOf(u.receipt.Samples, u.rate)-time.Since(u.started), 0)
}

// verdict returns the error, or nil, that follows from the last stop of an utterance that
// this session did not interrupt.
func (u *utterance) verdict() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	sent := durationOf(u.receipt.Samples, u.rate)
	switch {
	case u.state.Voice == cutShort:
		return ErrInterrupted
	case u.isSpokenKnown && sent > 0 && !isSameLength(sent, u.spoken):
		return fmt.Errorf("%w: %.3f s were sent, and the replica says it spoke %.3f s", ErrUnverified,
			sent.Seconds(), u.spoken.Seconds())
	}
	return nil
}

func (u *utterance) progress() Progress {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	p := Progress{State: u.state.state(), Sent: durationOf(u.receipt.Samples, u.rate), Lead: u.render.Ahead(now)}
	if u.receipt.Samples > 0 {
		u.checkAcknowledged(now)
		p.Played = u.certainlyPlayed(now, time.Time{})
	}
	p.Begin = durationOf(u.begins, u.rate)
	if chunks, ok := u.script.(*chunkScript); ok {
		p.AwaitsInput = chunks.isReading.Load()
	}
	return p
}

// settle completes the receipt of an utterance that ended with err.
func (u *utterance) settle(err error) *Receipt {
	u.mu.Lock()
	defer u.mu.Unlock()
	r := &u.receipt
	r.SentSeconds = durationOf(r.Samples, u.rate).Seconds()
	if !u.first.IsZero() {
		r.FirstMessageSeconds = u.first.Sub(u.opened).Seconds()
	}
	if !u.started.IsZero() && !u.first.IsZero() {
		r.FirstAudioSeconds = max(u.started.Sub(u.first), 0).Seconds()
	}
	if u.leads > 0 {
		r.LeadSeconds = (u.lead / time.Duration(u.leads)).Seconds()
	}
	u.settleHeard()
	u.settleGaps()
	u.settleDelivery()
	r.Outcome = u.state.outcome()
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

// settleDelivery sets the receipt's fields about delivery to the peer.
func (u *utterance) settleDelivery() {
	r := &u.receipt
	if r.Chunks == 0 {
		return
	}
	r.Delivery = Accepted
	switch {
	case u.state.Voice.isFinal():
		r.Delivery = Heard
	case r.AcknowledgedSamples == r.Samples:
		r.Delivery = Acknowledged
	}
}
