package echo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Session speaks utterances on one stage, one after the other, and follows the
// events of the replica. It starts one goroutine, which Close ends and waits for.
//
// An utterance goes from queued to sending, draining and speaking, and ends as
// finished, interrupted or failed. Every wait has a timeout, except the waits for the input
// and for the end of a Pause.
type Session struct {
	options Options

	sendLock chan struct{} // a lock, held while a message is being sent
	cancel   context.CancelFunc
	over     chan struct{} // closed when listen has returned

	mu             sync.Mutex
	changed        chan struct{} // closed and replaced at every change of the fields below
	stage          Stage
	cancelStage    context.CancelCauseFunc // ends reading events from stage
	hasJoined      bool                    // the replica is in the room
	isRejoining    bool                    // true from a loss until the replica (SkipReady: the room) is back
	lost           error                   // why the session has ended
	away           *absence                // of the replica, with AwayTimeout; nil while it is there
	queue          []*turn                 // the current utterance, and those that wait
	nextStart      time.Time               // when the next utterance may begin
	isPaused       bool
	userSince      time.Time  // when the user began to speak; zero while silent
	current        *utterance // nil between utterances
	past           idRing     // ids of the utterances before it
	others         idRing     // ids of the utterances of other senders in the room
	lastOtherSign  time.Time  // last sign that the replica says one of others; zero after its end
	hasMatchingIDs bool       // events carry our ids in a known form
	reportsSpeech  bool       // the replica has reported its speech before
	news           *EventFilter
	readers        []*subscription
	hasSubscriber  bool    // Events was called before
	backlog        []Event // events before the first call of Events
}

// NewSession opens a session on stage and starts to follow its events. Close the
// session first, and then the connection behind the stage.
func NewSession(stage Stage, options *Options) (*Session, error) {
	set := options.withDefaults()
	if _, err := options.ChunkSamples(LimitsOf(stage)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Session{
		options: set, stage: stage,
		sendLock: make(chan struct{}, 1), cancel: cancel,
		over: make(chan struct{}), changed: make(chan struct{}), news: NewEventFilter(),
		hasJoined: isHeardAlone(stage),
	}
	go s.listen(ctx)
	return s, nil
}

// check returns an error for options that contradict each other.
func (o *Options) check(chunk int) error {
	if _, err := NewPacer(o.Pace, o.Rate, chunk); err != nil {
		return err
	}
	if !slices.Contains([]QueuePolicy{QueueWait, QueueReplace, QueueReject}, o.Queue) {
		return fmt.Errorf("echo: no queue policy is called %q; use queue, replace or reject", o.Queue)
	}
	if !slices.Contains([]ReconnectPolicy{ReconnectAbandon, ReconnectRestart, ReconnectResume}, o.OnLoss) {
		return fmt.Errorf("echo: no reconnect policy is called %q; use abandon, restart or resume", o.OnLoss)
	}
	return nil
}

// Close ends the listener and waits for it. An utterance that is being spoken
// fails. Close may be called twice.
func (s *Session) Close() error {
	s.cancel()
	<-s.over
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopAbsence()
	return nil
}

// WaitReady returns when the replica has joined, or ErrNotReady after the
// session's ReadyTimeout.
func (s *Session) WaitReady(ctx context.Context) error {
	return s.waitReady(ctx, s.options.ReadyTimeout)
}

func (s *Session) waitReady(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w (%v)", ErrNotReady, timeout))
	defer cancel()
	err := s.until(ctx, func() (bool, error) { return s.hasJoined, s.lost })
	if errors.Is(err, ErrNotReady) {
		return s.explain(err)
	}
	return err
}

// explain adds the reason why the replica is not ready to an error, if the stage knows it.
func (s *Session) explain(err error) error {
	s.mu.Lock()
	stage := s.stage
	s.mu.Unlock()
	if reporter, ok := stage.(ReadinessReporter); ok {
		if missing := reporter.Missing(); missing != "" {
			return fmt.Errorf("%w: %s", err, missing)
		}
	}
	return err
}

// until waits until done reports true or an error. It calls done with the session
// locked, and again after every change.
func (s *Session) until(ctx context.Context, done func() (bool, error)) error {
	for {
		s.mu.Lock()
		enough, err := done()
		changed := s.changed
		s.mu.Unlock()
		if enough || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// change wakes all callers of until. The session is locked.
func (s *Session) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Session) lostError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// Interrupt stops the current utterance and drops the queue. The session sends the replica
// an interrupt, and no more chunks. Interrupt returns when the replica has confirmed that it
// stopped, or after the session's InterruptTimeout. Each call of Speak returns with cause
// (nil: ErrStopped) as soon as a read of its source returns. If there is no utterance,
// Interrupt does nothing.
func (s *Session) Interrupt(ctx context.Context, cause error) error {
	if cause == nil {
		cause = ErrStopped
	}
	s.mu.Lock()
	u := s.current
	s.clear(cause)
	s.mu.Unlock()
	return u.waitSilent(ctx)
}

// Silence waits until the replica is present, and sends it an interrupt. This also stops
// speech that another process has sent. Do not call it during an utterance of this session.
func (s *Session) Silence(ctx context.Context) error {
	if err := s.waitReplica(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.InterruptTimeout)
	defer cancel()
	if err := s.acquireToSend(ctx); err != nil {
		return err
	}
	defer s.release()
	s.mu.Lock()
	stage := s.stage
	s.mu.Unlock()
	return stage.Interrupt(ctx)
}

// clear ends the current utterance and those that wait. The session is locked.
func (s *Session) clear(cause error) {
	for _, t := range s.queue {
		t.cancel(cause)
	}
}

// Pause stops the current utterance until Resume, which continues it from where it was last
// heard, with a new id. If its source is not a Rewinder, the utterance ends with ErrPaused.
// No utterance begins during the pause. Like Interrupt, Pause returns when the replica has
// confirmed that it stopped, or after the InterruptTimeout.
func (s *Session) Pause(ctx context.Context) error {
	s.mu.Lock()
	u := s.current
	s.isPaused = true
	if u != nil {
		u.cancel(ErrPaused)
	}
	s.change()
	s.mu.Unlock()
	return u.waitSilent(ctx)
}

// Resume ends a Pause.
func (s *Session) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isPaused = false
	s.change()
}

// Paused reports whether the session is paused.
func (s *Session) Paused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isPaused
}

// Send sends a message other than an utterance, between two chunks if one is being
// spoken. The error is ErrUnsupported if the room does not carry such messages, or
// ErrLost.
func (s *Session) Send(ctx context.Context, msg Message) error {
	s.mu.Lock()
	stage, lost := s.stage, s.lost
	s.mu.Unlock()
	if lost != nil {
		return lost
	}
	sender, ok := stage.(MessageSender)
	if !ok {
		return ErrUnsupported
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.options.SendTimeout, s.stuck())
	defer cancel()
	if err := s.acquireToSend(ctx); err != nil {
		return err
	}
	defer s.release()
	return sender.Send(ctx, msg)
}

// acquire waits until no other message is being sent.
func (s *Session) acquire(ctx context.Context) error {
	select {
	case s.sendLock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// acquireToSend acquires the lock for a message, unless Options.MaySend returns false.
func (s *Session) acquireToSend(ctx context.Context) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	if s.options.MaySend() {
		return nil
	}
	s.release()
	return errMayNot
}

func (s *Session) release() { <-s.sendLock }

func (s *Session) stuck() error {
	return fmt.Errorf("%w: the peer has accepted no data for %v", ErrLost, s.options.SendTimeout)
}

// idRing remembers the ids of the last utterances, so that their late events are not
// mistaken for events of the current one.
type idRing struct {
	ids  []string
	next int
}

// mostPast is how many ids an idRing remembers: five for each of 64 utterances.
const mostPast = 5 * 64

func (r *idRing) add(ids ...string) {
	for _, id := range ids {
		if len(r.ids) < mostPast {
			r.ids = append(r.ids, id)
			continue
		}
		r.ids[r.next] = id
		r.next = (r.next + 1) % mostPast
	}
}

func (r *idRing) has(id string) bool {
	return id != "" && slices.Contains(r.ids, id)
}

// Progress is a snapshot of a session, for a status line.
type Progress struct {
	State   State
	Sent    time.Duration // playing time of what was sent of the current utterance
	Lead    time.Duration // estimate: how much audio the replica has left to play
	Played  time.Duration // estimate: how much of the utterance the replica has played
	Waiting int           // utterances that wait for their turn
	// Begin is the position in its source where the current utterance begins. It is above 0
	// if the utterance continues one that was paused or lost.
	Begin time.Duration
	// AwaitsInput says that the next chunk cannot be sent, because its samples have not
	// arrived from the source yet.
	AwaitsInput bool
}

// State is the state of the current utterance.
type State string

// The states of an utterance that has not ended. Once the replica speaks, the state is
// Speaking, even if chunks are still being sent.
const (
	Idle     State = "idle"     // there is no utterance
	Queued   State = "queued"   // it waits for its turn, for input or for the replica
	Sending  State = "sending"  // chunks leave; the replica does not speak yet
	Speaking State = "speaking" // the replica speaks
	Draining State = "draining" // all is sent; the replica has not begun yet
	Paused   State = "paused"   // until Resume
)

// Progress returns a snapshot of the session.
func (s *Session) Progress() Progress {
	s.mu.Lock()
	u, waiting, paused := s.current, max(len(s.queue)-1, 0), s.isPaused
	anybody := len(s.queue) > 0
	s.mu.Unlock()
	var p Progress
	switch {
	case u != nil:
		p = u.progress()
	case anybody && paused:
		p.State = Paused
	case anybody:
		p.State = Queued
	default:
		p.State = Idle
	}
	p.Waiting = waiting
	return p
}
