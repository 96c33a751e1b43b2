package echo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"echocast/chunker"
)

// What callers may test with errors.Is.
var (
	// ErrNotReady: the replica did not come into the room in time.
	ErrNotReady = errors.New("the replica did not join in time")
	// ErrLost: the connection broke or the peer left.
	ErrLost = errors.New("the connection was lost")
	// ErrNoAudio: the source ended without a sample.
	ErrNoAudio = errors.New("no audio in the input")
	// ErrInterrupted: somebody else interrupted the replica.
	ErrInterrupted = errors.New("interrupted by somebody else")
	// ErrUnverified: all was sent, and no event said in time that it was
	// heard, or it said something else.
	ErrUnverified = errors.New("sent, but not confirmed as heard")
	// ErrStopped is the cause of an utterance that Interrupt ended.
	ErrStopped = errors.New("interrupted")
	// ErrClosed: the session was closed.
	ErrClosed = errors.New("the session is closed")
)

// Options tune a session. Nil is fine, and so is each zero value.
type Options struct {
	Rate       int           // Hz of the audio that Speak is given; 0: DefaultRate
	Chunk      time.Duration // 0: DefaultChunk, or less where MaxMessage is smaller
	MaxMessage int           // bytes of JSON; 0: DefaultMaxMessage
	Pace       Pace
	// ReadyTimeout bounds the wait for the replica; 0: 30 s.
	ReadyTimeout time.Duration
	// HeardTimeout bounds the wait for the replica's word that it has
	// finished, beyond the time the audio needs; 0: 5 s.
	HeardTimeout time.Duration
	// InterruptTimeout bounds the wait for the replica's word that it has
	// stopped; 0: 2 s.
	InterruptTimeout time.Duration
	// SkipHeard ends an utterance when it is sent. Leaving then may cut the
	// replica off.
	SkipHeard bool
	// OnEvent is called with every event, from the session's goroutine.
	OnEvent func(Event)
}

func (o *Options) withDefaults() Options {
	var set Options
	if o != nil {
		set = *o
	}
	set.Rate = orDefault(set.Rate, DefaultRate)
	set.MaxMessage = orDefault(set.MaxMessage, DefaultMaxMessage)
	set.ReadyTimeout = orDefault(set.ReadyTimeout, 30*time.Second)
	set.HeardTimeout = orDefault(set.HeardTimeout, 5*time.Second)
	set.InterruptTimeout = orDefault(set.InterruptTimeout, 2*time.Second)
	return set
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Session speaks utterances on one stage, one after the other, and follows what
// the replica says about itself. It starts one goroutine, which Close ends and
// waits for.
type Session struct {
	stage   Stage
	options Options
	chunk   int // samples

	turn   chan struct{} // held by the utterance that speaks
	wire   chan struct{} // held while something is being sent
	cancel context.CancelFunc
	over   chan struct{} // closed when the listener has ended

	mu      sync.Mutex
	ready   chan struct{} // closed when the replica is there
	joined  bool
	lost    error      // why the listener ended
	current *utterance // nil between utterances
	past    idRing     // of the utterances before it
}

// NewSession opens a session on stage and starts to listen. The caller closes
// the session first and then what the stage stands on.
func NewSession(stage Stage, options *Options) (*Session, error) {
	set := options.withDefaults()
	probe := Utterance{InferenceID: NewInferenceID(), Rate: set.Rate}
	if messages, ok := stage.(*Messages); ok {
		probe.ConversationID = messages.conversation
	}
	chunk, err := ChunkSamples(probe, set.Chunk, set.MaxMessage)
	if err != nil {
		return nil, err
	}
	if _, err := NewPacer(set.Pace, set.Rate, chunk); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Session{
		stage: stage, options: set, chunk: chunk,
		turn: make(chan struct{}, 1), wire: make(chan struct{}, 1), cancel: cancel,
		over: make(chan struct{}), ready: make(chan struct{}),
	}
	go s.listen(ctx)
	return s, nil
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
	timeout := time.NewTimer(s.options.ReadyTimeout)
	defer timeout.Stop()
	select {
	case <-s.ready:
		return nil
	case <-s.over:
		return s.lostError()
	case <-timeout.C:
		return fmt.Errorf("%w (%v)", ErrNotReady, s.options.ReadyTimeout)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Session) lostError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// listen follows the events until the stage ends or Close is called.
func (s *Session) listen(ctx context.Context) {
	defer close(s.over)
	for {
		event, err := s.stage.Next(ctx)
		if err != nil {
			s.end(ctx, err)
			return
		}
		s.handle(event)
		if s.options.OnEvent != nil {
			s.options.OnEvent(event)
		}
		if s.lostError() != nil {
			return // the room was shut down
		}
	}
}

func (s *Session) end(ctx context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		s.lose(ErrClosed)
		return
	}
	s.lose(fmt.Errorf("%w: %w", ErrLost, err))
}

// lose notes why nothing can be said any more, the first reason only.
func (s *Session) lose(why error) {
	if s.lost == nil {
		s.lost = why
	}
	if s.current != nil {
		s.current.cancel(s.lost)
	}
}

func (s *Session) handle(event Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if event.Kind == Shutdown {
		s.lose(fmt.Errorf("%w: the room was shut down", ErrLost))
	}
	if event.Role != RolePal {
		return
	}
	if !s.joined {
		s.joined = true // it speaks, or says that it is there
		close(s.ready)
	}
	speech := event.Kind == StartedSpeaking || event.Kind == StoppedSpeaking
	if speech && s.current != nil && !s.past.has(event.InferenceID) {
		s.current.follow(event)
	}
}

// Interrupt stops the utterance that is being spoken: no more of it is sent,
// and the replica is told. It returns when the replica has confirmed it, or
// after the session's InterruptTimeout. The call of Speak returns with cause
// (nil: ErrStopped) as soon as its source lets go. Without an utterance it does
// nothing.
func (s *Session) Interrupt(ctx context.Context, cause error) error {
	s.mu.Lock()
	u := s.current
	s.mu.Unlock()
	if u == nil {
		return nil
	}
	if cause == nil {
		cause = ErrStopped
	}
	u.cancel(cause)
	select {
	case <-u.silent:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Speech is what an utterance says.
type Speech struct {
	// Samples are mono and at the session's rate.
	Samples chunker.Source
	// Name is kept in the receipt.
	Name string
	// Abort, if it is set, is called when the utterance ends early, at most
	// once and from any goroutine. It makes a read of Samples that blocks
	// return, as closing a pipe does.
	Abort func()
}

// Speak says one utterance and returns its receipt, in the case of an error
// too. Utterances that are spoken at the same time wait for each other.
//
// Where the samples break, ctx ends or Interrupt is called after something was
// sent, the replica is interrupted, and no chunk says done. A read that blocks
// and that Abort does not end delays the return of Speak, not the interrupt.
func (s *Session) Speak(ctx context.Context, speech Speech) (Receipt, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return failure(speech.Name, context.Cause(ctx))
	}
	pacer, err := NewPacer(s.options.Pace, s.options.Rate, s.chunk)
	if err != nil {
		return failure(speech.Name, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	u := newUtterance(speech, s.options.Rate, pacer, cancel)
	if err := s.open(u); err != nil {
		return failure(speech.Name, err)
	}
	err = s.say(ctx, u)
	s.shut()
	return u.settle(err)
}

func failure(name string, err error) (Receipt, error) {
	return Receipt{Source: name, Outcome: Failed, Error: err.Error()}, err
}

// open makes u the current utterance.
func (s *Session) open(u *utterance) error {
	if err := s.stage.Begin(Utterance{InferenceID: u.id, Rate: u.rate}); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost == nil {
		s.current = u
	}
	return s.lost
}

func (s *Session) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past.add(s.current.allIDs()...)
	s.current = nil
}

// say sends the utterance and waits until it was heard. When ctx ends, the
// replica is silenced even while a read of the samples blocks.
func (s *Session) say(ctx context.Context, u *utterance) error {
	stop := context.AfterFunc(ctx, func() { s.silence(ctx, u) })
	err := s.send(ctx, u)
	broke := err != nil
	if !broke {
		err = s.heard(ctx, u)
	}
	switch {
	case !stop():
		<-u.silent
		if err != nil {
			err = context.Cause(ctx)
		}
	case broke:
		u.cancel(err)
		s.silence(ctx, u)
	default:
		close(u.silent)
	}
	return err
}

// send pulls, paces and sends every chunk.
func (s *Session) send(ctx context.Context, u *utterance) error {
	for chunk, err := range chunker.New(u.speech.Samples, s.chunk).All() {
		if err != nil {
			return err
		}
		if err := u.pacer.Wait(ctx, u.position()); err != nil {
			return err
		}
		if err := s.sendChunk(ctx, u, chunk); err != nil {
			return err
		}
	}
	if u.position() == 0 {
		return ErrNoAudio
	}
	return nil
}

func (s *Session) sendChunk(ctx context.Context, u *utterance, chunk chunker.Chunk) error {
	select {
	case s.wire <- struct{}{}:
		defer func() { <-s.wire }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	u.sending(chunk)
	size, err := s.stage.Speak(ctx, chunk.PCM, chunk.Last)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	u.sent(chunk, size)
	return nil
}

// heard waits for the replica's word that it has said it all.
func (s *Session) heard(ctx context.Context, u *utterance) error {
	if s.options.SkipHeard {
		return nil
	}
	limit := time.NewTimer(u.remaining() + s.options.HeardTimeout)
	defer limit.Stop()
	select {
	case <-u.stopped:
		return u.verdict()
	case <-limit.C:
		return ErrUnverified
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// silence stops the input, tells the replica to stop and waits for its word. The
// replica is not told where nothing was sent, where it has stopped by its own
// word, or where the connection is gone. silence runs once for an utterance,
// after done has ended.
func (s *Session) silence(done context.Context, u *utterance) {
	defer close(u.silent)
	if u.speech.Abort != nil {
		u.speech.Abort()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(done), s.options.InterruptTimeout)
	defer cancel()
	if !s.tell(ctx, u) || s.options.SkipHeard {
		return
	}
	select {
	case <-u.stopped:
	case <-s.over:
	case <-ctx.Done():
	}
}

// tell sends the interrupt. No chunk of u follows it: its context has ended,
// and one that is being sent is waited for.
func (s *Session) tell(ctx context.Context, u *utterance) bool {
	if s.lostError() != nil || !u.interrupting() {
		return false
	}
	select {
	case s.wire <- struct{}{}:
		defer func() { <-s.wire }()
	case <-ctx.Done():
		return false // the chunk before it is stuck
	}
	return s.stage.Interrupt(ctx) == nil
}

// idRing remembers the ids of the last utterances: their events may come late,
// and are not those of the current one, whatever their order says.
type idRing struct {
	ids  [5 * 64]string
	next int
}

func (r *idRing) add(ids ...string) {
	for _, id := range ids {
		r.ids[r.next] = id
		r.next = (r.next + 1) % len(r.ids)
	}
}

func (r *idRing) has(id string) bool {
	return id != "" && slices.Contains(r.ids[:], id)
}

// Progress is where a session stands, for a status line.
type Progress struct {
	State State
	Sent  time.Duration // playing time sent of the current utterance
	Lead  time.Duration // how far the replica is ahead, estimated
}

// State is what an utterance is doing.
type State string

// The states of an utterance.
const (
	Waiting  State = "waiting"  // for input, or for the replica
	Sending  State = "sending"  // chunks leave; the replica does not speak yet
	Speaking State = "speaking" // the replica speaks
	Draining State = "draining" // all is sent; the replica has not begun yet
)

// Progress tells where the session stands.
func (s *Session) Progress() Progress {
	s.mu.Lock()
	u := s.current
	s.mu.Unlock()
	if u == nil {
		return Progress{State: Waiting}
	}
	return u.progress()
}
