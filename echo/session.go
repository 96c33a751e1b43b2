package echo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Session speaks utterances on one stage, one after the other, and follows what
// the replica says about itself. It starts one goroutine, which Close ends and
// waits for.
//
// An utterance goes from queued to sending, draining and speaking, and ends as
// finished, interrupted or failed. Every wait on that way has an end, but for
// the input's own and a Pause.
type Session struct {
	options Options

	sending chan struct{} // held while a message is being sent
	cancel  context.CancelFunc
	over    chan struct{} // closed when the listener has ended

	mu          sync.Mutex
	changed     chan struct{} // closed, and made anew, at every change of what follows
	stage       Stage
	cancelStage context.CancelCauseFunc // ends the listening to stage
	joined      bool                    // the replica is there
	rejoining   bool                    // from a loss until the replica, or with SkipReady the room, is there again
	lost        error                   // why nothing can be said any more
	queue       []*turn                 // who speaks, and who waits
	nextStart   time.Time               // when the next utterance may begin
	paused      bool
	userSince   time.Time  // since when the user speaks; zero while not
	current     *utterance // nil between utterances
	past        idRing     // of the utterances before it
	idsMatch    bool       // events carry a known form of our ids
	tells       bool       // the replica has told of its speech
	unmatched   int        // events of speech that belonged to no utterance
	news        *EventFilter
	readers     []*subscription
	subscribed  bool    // somebody has asked for events
	backlog     []Event // those before that
}

// NewSession opens a session on stage and starts to listen. The caller closes
// the session first and then what the stage stands on.
func NewSession(stage Stage, options *Options) (*Session, error) {
	set := options.withDefaults()
	if _, err := options.ChunkSamples(LimitsOf(stage)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Session{
		options: set, stage: stage,
		sending: make(chan struct{}, 1), cancel: cancel,
		over: make(chan struct{}), changed: make(chan struct{}), news: NewEventFilter(),
	}
	go s.listen(ctx)
	return s, nil
}

// check refuses options that do not go together, with chunks of so many samples.
func (o *Options) check(chunk int) error {
	if _, err := NewPacer(o.Pace, o.Rate, chunk); err != nil {
		return err
	}
	if !slices.Contains([]QueuePolicy{QueueWait, QueueReplace, QueueReject}, o.Queue) {
		return fmt.Errorf("echo: no queue policy is called %q; there are queue, replace and reject", o.Queue)
	}
	if !slices.Contains([]ReconnectPolicy{ReconnectAbandon, ReconnectRestart, ReconnectResume}, o.OnLoss) {
		return fmt.Errorf("echo: no reconnect policy is called %q; there are abandon, restart and resume", o.OnLoss)
	}
	return nil
}

// Close ends the listener and waits for it. An utterance that is being spoken
// fails. Close may be called twice.
func (s *Session) Close() error {
	s.cancel()
	<-s.over
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
	err := s.until(ctx, func() (bool, error) { return s.joined, s.lost })
	if errors.Is(err, ErrNotReady) {
		return s.explain(err)
	}
	return err
}

// explain adds what the stage knows of a replica that is not ready.
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

// until waits until done says so, or with its error. done is called with the
// session locked, and again after every change.
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

// change wakes all who wait for one. The session is locked.
func (s *Session) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Session) lostError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// Interrupt stops the utterance that is being spoken, and drops those that
// wait: no more is sent, and the replica is told. It returns when the replica
// has confirmed it, or after the session's InterruptTimeout. The calls of Speak
// return with cause (nil: ErrStopped) as soon as their sources let go. Without
// an utterance it does nothing.
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

// clear ends what is spoken and what waits. The session is locked.
func (s *Session) clear(cause error) {
	for _, t := range s.queue {
		t.cancel(cause)
	}
}

// Pause stops the utterance that is being spoken until Resume, which goes on
// with it, where it was last heard and with a new id. Its source must be a
// Rewinder; another ends with ErrPaused. No utterance begins meanwhile. Pause
// returns as Interrupt does.
func (s *Session) Pause(ctx context.Context) error {
	s.mu.Lock()
	u := s.current
	s.paused = true
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
	s.paused = false
	s.change()
}

// Paused reports whether the session is paused.
func (s *Session) Paused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paused
}

// Strays is how many events of speech belonged to no utterance of this session
// that was under way: late ones, and those of others. They change nothing.
func (s *Session) Strays() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unmatched
}

// Send sends a message other than an utterance, between two chunks where one is
// being spoken. The error is ErrUnsupported where the room has no such
// messages, or ErrLost.
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
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	return sender.Send(ctx, msg)
}

// acquire waits until no other message is being sent.
func (s *Session) acquire(ctx context.Context) error {
	select {
	case s.sending <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Session) release() { <-s.sending }

func (s *Session) stuck() error {
	return fmt.Errorf("%w: the peer has taken nothing for %v", ErrLost, s.options.SendTimeout)
}

// idRing remembers the ids of the last utterances: their events may come late,
// and are not those of the current one, whatever their order says.
type idRing struct {
	ids  []string
	next int
}

// mostPast is how many ids are remembered, five of each utterance.
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

// Progress is where a session stands, for a status line.
type Progress struct {
	State   State
	Sent    time.Duration // playing time sent of the current utterance
	Lead    time.Duration // how far the replica is ahead, estimated
	Waiting int           // utterances that wait for their turn
}

// State is what an utterance is doing.
type State string

// The states of an utterance that has not ended. Sending and speaking go on at
// the same time: an utterance that is heard is Speaking, whether or not all of
// it is sent.
const (
	Idle     State = "idle"     // there is none
	Queued   State = "queued"   // it waits for its turn, for input or for the replica
	Sending  State = "sending"  // chunks leave; the replica does not speak yet
	Speaking State = "speaking" // the replica speaks
	Draining State = "draining" // all is sent; the replica has not begun yet
	Paused   State = "paused"   // until Resume
)

// Progress tells where the session stands.
func (s *Session) Progress() Progress {
	s.mu.Lock()
	u, waiting, paused := s.current, max(len(s.queue)-1, 0), s.paused
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
