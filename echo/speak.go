package echo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"echocast/chunker"
)

// Speech is what an utterance says.
type Speech struct {
	// Samples are mono and at the session's rate.
	Samples chunker.Source
	// Name is kept in the receipt.
	Name string
	// Abort, if it is set, is called when the utterance ends early, from any
	// goroutine. It makes a read of Samples that blocks return, as closing a
	// pipe does.
	Abort func()
}

// Rewinder is a source that can go back, as a Feed can.
type Rewinder interface {
	chunker.Source
	// Rewind goes back to this position, in samples since the first one that
	// was read for the last utterance, or to a silence near it, and returns
	// where that is. Reads go on from there, and position 0 is now there.
	Rewind(position int64) (int64, error)
}

// Speak says one utterance and returns its receipt, in the case of an error
// too. Utterances that are spoken at the same time take turns as Options.Queue
// says.
//
// Where the samples break, ctx ends or Interrupt is called after something was
// sent, the replica is interrupted, and no chunk says done. A read that blocks
// and that Abort does not end delays the return of Speak, not the interrupt.
//
// An utterance that is resumed after an interrupt or a loss is several, each
// with its own id and receipt (Options.OnReceipt); Speak returns the last.
func (s *Session) Speak(ctx context.Context, speech Speech) (Receipt, error) {
	return s.utter(ctx, &samples{Speech: speech, s: s})
}

// content is what an utterance is made of.
type content interface {
	name() string
	// begin prepares the stage for u.
	begin(u *utterance) error
	// send pulls, paces and sends all of it.
	send(ctx context.Context, u *utterance) error
	// abort makes send return, if it can.
	abort()
	// describe adds to the receipt what the content knows.
	describe(r *Receipt)
	// rewind goes back to what was heard, or to the beginning.
	rewind(heard time.Duration) error
}

func (s *Session) utter(ctx context.Context, c content) (Receipt, error) {
	t, err := s.enter(ctx)
	if err != nil {
		return s.unspoken(c, err)
	}
	defer t.leave()
	if err := s.await(t); err != nil {
		return s.unspoken(c, err)
	}
	earlier := ""
	for {
		receipt, err := s.part(t, c, earlier)
		if err == nil {
			return receipt, nil
		}
		if err := s.goOn(t, c, receipt, err); err != nil {
			return receipt, err
		}
		earlier = receipt.InferenceID
	}
}

// unspoken is the receipt of an utterance of which nothing was sent.
func (s *Session) unspoken(c content, err error) (Receipt, error) {
	r := Receipt{Source: c.name(), Outcome: Failed, Error: err.Error(), FirstMessageSeconds: -1, FirstAudioSeconds: -1, AcknowledgedSamples: -1}
	if interrupts(err) {
		r.Outcome = Interrupted
	}
	s.settled(r)
	return r, err
}

// interrupts reports whether err is an interrupt of ours.
func interrupts(err error) bool {
	for _, cause := range []error{ErrStopped, ErrReplaced, ErrBargeIn, ErrPaused} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

func (s *Session) settled(r Receipt) {
	s.options.Observe(Moment{Kind: MomentReceipt, At: time.Now(), InferenceID: r.InferenceID, Receipt: &r})
	s.options.OnReceipt(r)
}

// part speaks under one id.
func (s *Session) part(t *turn, c content, earlier string) (Receipt, error) {
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	u := newUtterance(c, s.options.Rate, cancel)
	u.receipt.Resumes = earlier
	u.final = func() bool { return t.ctx.Err() != nil }
	u.leave = t.leave
	if err := s.open(ctx, u); err != nil {
		return s.unspoken(c, err)
	}
	err := s.say(ctx, u)
	s.shut(u, err)
	receipt, err := u.settle(err)
	c.describe(&receipt)
	s.settled(receipt)
	return receipt, err
}

// open makes u the current utterance.
func (s *Session) open(ctx context.Context, u *utterance) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost != nil {
		return s.lost
	}
	if s.rejoining {
		return fmt.Errorf("%w again", ErrLost)
	}
	u.stage = s.stage
	if err := u.content.begin(u); err != nil {
		return err
	}
	s.current = u
	s.options.Observe(Moment{Kind: MomentBegin, At: u.opened, InferenceID: u.id, Text: u.content.name(), Rate: u.rate})
	return nil
}

// shut ends the time of u, if that was not done before.
func (s *Session) shut(u *utterance, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != u {
		return
	}
	s.past.add(u.allIDs()...)
	s.current = nil
	if err == nil {
		s.free = time.Now().Add(s.options.Gap)
	}
	s.change()
}

// say sends the utterance and waits until it was heard. When ctx ends, the
// replica is silenced even while a read of the content blocks.
func (s *Session) say(ctx context.Context, u *utterance) error {
	stop := context.AfterFunc(ctx, func() { s.silence(ctx, u) })
	err := u.content.send(ctx, u)
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

// deliver sends one message of u, which carries so many samples or characters.
// A peer that takes nothing is lost after the session's SendTimeout.
func (s *Session) deliver(ctx context.Context, u *utterance, last bool, send func() (int, error)) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	u.sending(last)
	s.watch(u)
	size, err := send()
	u.watch.Stop()
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	u.sent(size)
	return nil
}

// watch gives up on u if its next message is not taken in time. One timer serves
// all messages.
func (s *Session) watch(u *utterance) {
	if u.watch != nil {
		u.watch.Reset(s.options.SendTimeout)
		return
	}
	u.watch = time.AfterFunc(s.options.SendTimeout, func() { u.cancel(s.stuck()) })
}

// heard waits for the replica's word that it has said it all.
func (s *Session) heard(ctx context.Context, u *utterance) error {
	if p, ok := u.stage.(PlaybackWaiter); ok {
		if err := s.played(ctx, u, p); err != nil || !u.heardOf() {
			return err
		}
	}
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

// tellTime is how long a replica that was played to its end may take to say that
// it speaks, before nobody counts on its word: its events are those of its own
// speech, and it need not send any.
const tellTime = time.Second

// played waits until the stage has played u, and a moment more.
func (s *Session) played(ctx context.Context, u *utterance, p PlaybackWaiter) error {
	limited, cancel := context.WithTimeoutCause(ctx, u.remaining()+s.options.HeardTimeout, ErrUnverified)
	defer cancel()
	if err := p.Played(limited); err != nil {
		return err
	}
	if s.options.SkipHeard || u.heardOf() {
		return nil
	}
	return pause(ctx, tellTime)
}

// silence stops the input, tells the replica to stop and waits for its word. The
// replica is not told where nothing was sent, where it has stopped by its own
// word, or where the connection is gone. silence runs once for an utterance,
// after done has ended. It gives the turn up: the next utterance need not wait
// for a read that blocks.
func (s *Session) silence(done context.Context, u *utterance) {
	defer close(u.silent)
	u.content.abort()
	why := context.Cause(done)
	if errors.Is(why, ErrLost) {
		s.suspect(u.stage, why)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(done), s.options.InterruptTimeout)
	defer cancel()
	_, plays := u.stage.(PlaybackWaiter)
	if s.tell(ctx, u, why) && !s.options.SkipHeard && (!plays || u.heardOf()) {
		u.waitStopped(ctx, s.over)
	}
	if u.final() {
		s.shut(u, why)
		u.leave()
	}
}

// tell sends the interrupt. No chunk of u follows it: its context has ended,
// and one that is being sent is waited for.
func (s *Session) tell(ctx context.Context, u *utterance, why error) bool {
	s.mu.Lock()
	gone := s.lost != nil || s.rejoining || s.stage != u.stage
	s.mu.Unlock()
	if gone || !u.interrupting() {
		return false
	}
	if s.acquire(ctx) != nil {
		return false // the chunk before it is stuck
	}
	defer s.release()
	err := u.stage.Interrupt(ctx)
	s.options.Observe(Moment{Kind: MomentInterrupt, At: time.Now(), InferenceID: u.id, Text: why.Error()})
	return err == nil
}

// longestUser is how long a user may speak before an interrupted utterance goes
// on anyway: the event that ends it may be lost.
const longestUser = 30 * time.Second

// goOn prepares what follows the receipt of an utterance that ended with err, or
// says why nothing does.
func (s *Session) goOn(t *turn, c content, r Receipt, err error) error {
	heard := time.Duration(r.SpokenSeconds * float64(time.Second))
	switch {
	case t.ctx.Err() != nil:
		return err
	case errors.Is(err, ErrLost):
		switch {
		case s.options.OnLoss == ReconnectAbandon, s.options.Redial == nil, t.hopeless(r.SpokenSeconds):
			return err
		case s.options.OnLoss == ReconnectRestart:
			heard = 0
		default:
			t.furthest = 0 // what comes next is counted from there
		}
		if failed := s.waitThere(t.ctx); failed != nil {
			return failed
		}
	case errors.Is(err, ErrPaused), s.options.Resume && (errors.Is(err, ErrBargeIn) || errors.Is(err, ErrInterrupted)):
		if failed := s.waitClear(t.ctx); failed != nil {
			return failed
		}
	default:
		return err
	}
	if failed := c.rewind(heard); failed != nil {
		return fmt.Errorf("%w, and it cannot be said again: %w", err, failed)
	}
	return nil
}

// waitClear waits until nobody wants silence.
func (s *Session) waitClear(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, longestUser)
	defer cancel()
	err := s.until(limited, func() (bool, error) { return s.user.IsZero(), s.lost })
	if err != nil && (limited.Err() == nil || ctx.Err() != nil) {
		return err
	}
	return s.until(ctx, func() (bool, error) { return !s.paused, s.lost })
}

// samples is the content of Speak.
type samples struct {
	Speech
	s     *Session
	first int // samples of the first chunk
	chunk int // and of the longest
	pacer *Pacer
}

func (c *samples) name() string { return c.Name }

func (c *samples) abort() {
	if c.Abort != nil {
		c.Abort()
	}
}

func (c *samples) begin(u *utterance) error {
	limits := LimitsOf(u.stage)
	chunk, err := c.s.options.ChunkSamples(limits)
	if err != nil {
		return err
	}
	pacer, err := NewPacer(c.s.options.Pace, u.rate, chunk)
	if err != nil {
		return err
	}
	pacer.interval = limits.Interval
	c.first, c.chunk, c.pacer = limits.firstSamples(chunk, u.rate), chunk, pacer
	return u.stage.Begin(Utterance{InferenceID: u.id, Rate: u.rate})
}

func (c *samples) send(ctx context.Context, u *utterance) error {
	defer c.pacer.stop()
	chunks := chunker.NewGrowing(&observed{c.Samples, c.s.options.Observe, u.id, 0}, c.first, c.chunk)
	for {
		chunk, err := chunks.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := c.pacer.Wait(ctx, u.position()); err != nil {
			return err
		}
		if err := c.sendChunk(ctx, u, chunk); err != nil {
			return err
		}
	}
	if u.position() == 0 {
		return ErrNoAudio
	}
	return nil
}

func (c *samples) sendChunk(ctx context.Context, u *utterance, chunk chunker.Chunk) error {
	at := u.position()
	u.pending(len(chunk.PCM))
	size := 0
	err := c.s.deliver(ctx, u, chunk.Last, func() (n int, err error) {
		size, err = u.stage.Speak(ctx, chunk.PCM, chunk.Last)
		return size, err
	})
	if err != nil {
		return err
	}
	c.s.options.Observe(Moment{
		Kind: MomentChunk, At: time.Now(), InferenceID: u.id, Position: at, Samples: len(chunk.PCM),
		PCM: chunk.PCM, Due: c.pacer.Due(), Bytes: size, Last: chunk.Last,
	})
	return nil
}

// StatsReporter is a source that knows how its own source delivers, as a Feed
// does.
type StatsReporter interface {
	Stats() FeedStats
}

func (c *samples) describe(r *Receipt) {
	if feed, ok := c.Samples.(StatsReporter); ok {
		stats := feed.Stats()
		r.Input = &stats
	}
}

func (c *samples) rewind(heard time.Duration) error {
	source, ok := c.Samples.(Rewinder)
	if !ok {
		return errors.New("its source cannot go back")
	}
	_, err := source.Rewind(samplesOf(heard, c.s.options.Rate))
	return err
}

// observed tells when samples come.
type observed struct {
	chunker.Source
	observe func(Moment)
	id      string
	at      int64
}

func (o *observed) ReadSamples(p []float32) (int, error) {
	n, err := o.Source.ReadSamples(p)
	if n > 0 {
		o.observe(Moment{Kind: MomentInput, At: time.Now(), InferenceID: o.id, Position: o.at, Samples: n})
		o.at += int64(n)
	}
	return n, err
}
