package echo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"echocast/chunker"
	"echocast/internal/sleep"
)

// Speech is the audio of an utterance, with its text and timing if known.
type Speech struct {
	// Samples are mono and at the session's rate.
	Samples chunker.Source
	// Name is the name of the speech in its receipt.
	Name string
	// Text is the text of the samples, and Words their timing, if known. Then the
	// receipt has the words that were heard.
	Text  string
	Words []WordTiming
	// Length is the declared length of the samples; 0: not known. It is used to estimate
	// which words were heard.
	Length time.Duration
	// MoreText, if set, is called when the utterance has ended. It returns text that
	// arrived with the audio, which is appended to Text.
	MoreText func() string
	// MoreWords, if set, is called when the utterance has ended, and returns Words that
	// arrived with the audio.
	MoreWords func() []WordTiming
	// Abort, if set, is called from any goroutine when the utterance ends early. It
	// unblocks a read of Samples, as closing a pipe does.
	Abort func()
}

// Rewinder is a source that can go back, as a Feed can.
type Rewinder interface {
	chunker.Source
	// Rewind goes back to position, or to a silence before it, and returns the new
	// position. Positions count samples since the first one read for the last utterance.
	// Reads continue at the new position, which becomes position 0 of the next utterance.
	Rewind(position int64) (int64, error)
}

// StatsReporter is a source that measures how fast samples come, as a Feed does.
type StatsReporter interface {
	Stats() FeedStats
}

// Speak speaks one utterance and returns its receipt, even if it fails. Options.Queue
// says how overlapping calls are scheduled.
//
// If the source fails, ctx ends or Interrupt is called after something was sent, Speak
// interrupts the replica and sends no chunk with done. If a read of the source blocks and
// Abort does not end it, Speak returns later, but the interrupt is not delayed.
//
// If Options.Resume or Options.OnLoss continues the speech, each part has its own
// id and receipt (Options.OnReceipt). Speak returns the last one.
func (s *Session) Speak(ctx context.Context, speech Speech) (Receipt, error) {
	return s.speakContent(ctx, &audioContent{Speech: speech, options: &s.options})
}

// content produces the messages of an utterance: from audio or from text. It knows
// neither the session nor the utterance.
type content interface {
	name() string
	// begin opens the utterance with this id on a stage, and returns its messages.
	begin(stage Stage, id string) (script, error)
	// abort unblocks the script's next, if it can.
	abort()
	// describe sets the fields of the receipt that the content knows.
	describe(r *Receipt)
	// rewind goes back to the end of the heard part, in samples; 0: to the beginning.
	rewind(heard int64) error
}

// script is the messages of one utterance, in order.
type script interface {
	// next waits for the next message and until it is due. After the last it returns
	// io.EOF.
	next(ctx context.Context) (messagePart, error)
	// send sends that message, and returns its size in bytes.
	send(ctx context.Context) (int, error)
	// close frees what next and send use.
	close()
}

// messagePart is the content of one message of an utterance.
type messagePart struct {
	pcm        []float32 // nil for text; valid until the next one
	characters int
	due        time.Time     // when it is to leave, by its pace
	late       time.Duration // how much later it was ready, not counting source and room
	textTime   time.Duration // the longest time that saying the text may take
	isLast     bool
}

// speakContent speaks content when its turn comes, and continues it after interruptions as
// the policies of the session say.
func (s *Session) speakContent(ctx context.Context, c content) (Receipt, error) {
	t, err := s.enter(ctx)
	if err != nil {
		return s.publishUnspoken(c, err)
	}
	defer t.leave()
	if err := s.await(t); err != nil {
		return s.publishUnspoken(c, err)
	}
	earlier := ""
	for {
		u, err := s.speakOnce(t, c, earlier)
		if err == errHeld {
			if err = s.waitToBegin(t.ctx); err == nil {
				continue
			}
		}
		if u == nil {
			return s.publishUnspoken(c, err)
		}
		if err == nil {
			return u.receipt, nil
		}
		if err := s.prepareContinuation(t, c, u, err); err != nil {
			return u.receipt, err
		}
		earlier = u.id
	}
}

// publishUnspoken publishes the receipt of an utterance that could not begin.
func (s *Session) publishUnspoken(c content, err error) (Receipt, error) {
	r := newReceipt("", c.name())
	r.Outcome, r.Error = Failed, err.Error()
	if isInterrupt(err) {
		r.Outcome = Interrupted
	}
	s.publish(r)
	return r, err
}

// publish passes a receipt to the observers.
func (s *Session) publish(r Receipt) {
	s.options.Observe(Moment{Kind: MomentReceipt, At: time.Now(), InferenceID: r.InferenceID, Receipt: &r})
	s.options.OnReceipt(r)
}

// speakOnce speaks content under one id. If it could not begin, the utterance is nil.
func (s *Session) speakOnce(t *turn, c content, earlier string) (*utterance, error) {
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	u := newUtterance(t, c, s.options.Rate, cancel, earlier)
	if err := s.open(ctx, u); err != nil {
		return nil, err
	}
	err := s.say(ctx, u)
	s.retire(u, err)
	receipt := u.settle(err)
	c.describe(receipt)
	s.publish(*receipt)
	return u, err
}

// open makes u the current utterance. It returns errHeld if the session is paused.
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
	if s.isRejoining {
		return fmt.Errorf("%w again", ErrLost)
	}
	if s.isPaused {
		return errHeld
	}
	if err := u.begin(s.stage, s.reportsSpeech); err != nil {
		return err
	}
	s.current = u
	s.options.Observe(Moment{Kind: MomentBegin, At: u.opened, InferenceID: u.id, Text: u.content.name(), Rate: u.rate})
	return nil
}

// retire makes u a past utterance, if it is still the current one.
func (s *Session) retire(u *utterance, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != u {
		return
	}
	s.past.add(u.allIDs()...)
	s.current = nil
	if err == nil {
		s.nextStart = time.Now().Add(s.options.Gap)
	}
	s.change()
}

// say sends the utterance and waits until it was heard. When ctx ends, it interrupts
// the replica even while a read of the source blocks.
func (s *Session) say(ctx context.Context, u *utterance) error {
	stop := context.AfterFunc(ctx, func() { s.finish(ctx, u, context.Cause(ctx)) })
	defer stop()
	err := s.send(ctx, u)
	if err == nil {
		err = s.waitHeard(ctx, u)
	}
	return s.finish(ctx, u, err)
}

// send sends all messages of u.
func (s *Session) send(ctx context.Context, u *utterance) error {
	defer u.script.close()
	for {
		p, err := u.script.next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.deliver(ctx, u, p); err != nil {
			return err
		}
	}
}

// deliver sends one message of u. A peer that accepts no data for the session's
// SendTimeout counts as lost.
func (s *Session) deliver(ctx context.Context, u *utterance, p messagePart) error {
	if err := s.acquireToSend(ctx); err != nil {
		return err
	}
	defer s.release()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	at := u.noteSending(p)
	s.watch(u)
	size, err := u.script.send(ctx)
	u.watch.Stop()
	if failure, ok := errors.AsType[DeliveryFailure](err); ok && failure.MayBeDelivered() {
		u.noteUncertain(p)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	sent := time.Now()
	u.noteSent(p, size, sent)
	if p.pcm != nil {
		s.options.Observe(Moment{
			Kind: MomentChunk, At: sent, InferenceID: u.id, Position: at, Samples: len(p.pcm),
			PCM: p.pcm, Due: p.due, Late: p.late, Bytes: size, Last: p.isLast,
		})
	}
	return nil
}

// watch ends u if the connection does not accept its next message in time. One
// timer serves all messages.
func (s *Session) watch(u *utterance) {
	if u.watch != nil {
		u.watch.Reset(s.options.SendTimeout)
		return
	}
	u.watch = time.AfterFunc(s.options.SendTimeout, func() { u.cancel(s.stuck()) })
}

// waitHeard waits for the event that the replica has finished.
func (s *Session) waitHeard(ctx context.Context, u *utterance) error {
	if player, ok := u.stage.(PlaybackWaiter); ok {
		if err := s.waitPlayed(ctx, u, player); err != nil || !u.isHeard() {
			return err
		}
	}
	if s.options.SkipHeard {
		return nil
	}
	limit := time.NewTimer(u.remaining() + s.options.HeardTimeout)
	defer limit.Stop()
	for {
		select {
		case <-u.final:
			return u.verdict()
		case <-limit.C:
			left := u.remainingSpeech() // the replica may have started late
			if left == 0 && !s.isOtherSpeaking() {
				return ErrUnverified
			}
			limit.Reset(left + s.options.HeardTimeout)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// firstEventTime is how long after the audio was played a replica may take to report
// that it speaks. A replica that has not reported by then sends no such events.
const firstEventTime = time.Second

// waitPlayed waits until the stage has played u, and for a first event.
func (s *Session) waitPlayed(ctx context.Context, u *utterance, player PlaybackWaiter) error {
	limited, cancel := context.WithTimeoutCause(ctx, u.remaining()+s.options.HeardTimeout, ErrUnverified)
	defer cancel()
	if err := player.Played(limited); err != nil {
		return err
	}
	if s.options.SkipHeard || u.isHeard() {
		return nil
	}
	return sleep.For(ctx, firstEventTime)
}

// finish ends u with err, nil if it is complete, and returns the error of the first
// call, which counts. It stops the source, interrupts the replica if needed, and waits
// until the replica has stopped. It also gives up the turn, so the next utterance does
// not wait for a blocked read.
func (s *Session) finish(ctx context.Context, u *utterance, err error) error {
	if u.finishing.Swap(true) {
		<-u.silent
		return u.err
	}
	defer close(u.silent)
	u.err = err
	why := endReasonOf(err, ctx.Err() != nil)
	todo := u.apply(stateEvent(why))
	if why == complete || why == unverified {
		return err
	}
	u.freeze()
	u.cancel(err)
	u.content.abort()
	s.silence(ctx, u, err, todo)
	if u.turn.ctx.Err() != nil {
		s.retire(u, err)
		u.turn.leave()
	}
	return err
}

// silence interrupts the replica, if needed, and waits until it has stopped.
func (s *Session) silence(ctx context.Context, u *utterance, why error, todo action) {
	_, reachable := errors.AsType[DeliveryFailure](why)
	switch {
	case !errors.Is(why, ErrLost):
	case reachable:
		defer s.loseStage(u.stage, why) // after the interrupt
	default:
		s.loseStage(u.stage, why)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.InterruptTimeout)
	defer cancel()
	if todo&tellReplica == 0 || !s.sendInterrupt(ctx, u, why) || s.options.SkipHeard {
		return
	}
	if _, plays := u.stage.(PlaybackWaiter); plays && !u.isHeard() {
		return
	}
	select {
	case <-u.final:
	case <-s.over:
	case <-ctx.Done():
	}
}

// sendInterrupt sends an interrupt, unless the connection is gone. No chunk of u
// follows it: the context of u has ended, and sendInterrupt waits for a chunk that is
// being sent.
func (s *Session) sendInterrupt(ctx context.Context, u *utterance, why error) bool {
	s.mu.Lock()
	gone := s.lost != nil || s.isRejoining || s.stage != u.stage
	s.mu.Unlock()
	if gone {
		return false
	}
	if s.acquireToSend(ctx) != nil {
		return false // the chunk before it is stuck, or the interrupt may not be sent
	}
	defer s.release()
	err := u.stage.Interrupt(ctx)
	s.options.Observe(Moment{Kind: MomentInterrupt, At: time.Now(), InferenceID: u.id, Text: why.Error()})
	return err == nil
}

// longestUser is how long a user may speak before an interrupted utterance
// continues anyway: the event that the user has stopped may be lost.
const longestUser = 30 * time.Second

// prepareContinuation prepares to continue an utterance that ended with err, or returns why
// it does not continue.
func (s *Session) prepareContinuation(t *turn, c content, u *utterance, err error) error {
	heard := u.receipt.HeardSamples
	next := s.options.continuation(u.state.End)
	if t.ctx.Err() != nil || next == noContinuation {
		return err
	}
	var failed error
	switch next {
	case afterQuiet:
		failed = s.waitQuiet(t.ctx)
	case fromStart, fromHeard:
		if t.recordLoss(durationOf(heard, u.rate)) {
			return err
		}
		failed = s.waitReplica(t.ctx)
	}
	if failed != nil {
		return failed
	}
	switch next {
	case fromStart:
		heard = 0
	case fromHeard:
		t.furthest = 0 // the next utterance counts its progress from where it resumes
	}
	if failed := c.rewind(heard); failed != nil {
		return fmt.Errorf("%w, and it cannot be continued: %w", err, failed)
	}
	return nil
}

// waitQuiet waits until the user is silent and the session is not paused.
func (s *Session) waitQuiet(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, longestUser)
	defer cancel()
	err := s.until(limited, func() (bool, error) { return s.userSince.IsZero(), s.lost })
	if err != nil && (limited.Err() == nil || ctx.Err() != nil) {
		return err
	}
	return s.until(ctx, func() (bool, error) { return !s.isPaused, s.lost })
}

// audioContent is the content of a call of Speak.
type audioContent struct {
	Speech
	options *Options
	script  *chunkScript // of the last utterance
	base    int64        // where it began, in samples of the whole speech
}

func (c *audioContent) name() string { return c.Name }

func (c *audioContent) abort() {
	if c.Abort != nil {
		c.Abort()
	}
}

func (c *audioContent) begin(stage Stage, id string) (script, error) {
	o, limits := c.options, LimitsOf(stage)
	chunk, err := o.ChunkSamples(limits)
	if err != nil {
		return nil, err
	}
	pacer, err := NewPacer(o.Pace, o.Rate, chunk)
	if err != nil {
		return nil, err
	}
	pacer.interval = limits.Interval
	source := &observedSource{c.Samples, o.Observe, id, 0}
	chunks := chunker.NewGrowing(source, limits.firstSamples(chunk, o.Rate), chunk)
	c.script = &chunkScript{stage: stage, chunks: chunks, pacer: pacer}
	return c.script, stage.Begin(Utterance{InferenceID: id, Rate: o.Rate})
}

func (c *audioContent) describe(r *Receipt) {
	if source, ok := c.Samples.(StatsReporter); ok {
		stats := source.Stats()
		r.Input = &stats
	}
	known := knownText{text: c.Text, words: c.Words, declared: c.Length}
	if c.MoreText != nil {
		known.text += c.MoreText()
	}
	if c.MoreWords != nil {
		known.words = slices.Concat(known.words, c.MoreWords())
	}
	if c.script.chunk.Last {
		known.total = durationOf(c.base+c.script.position, c.options.Rate) - filledSilence(r, c.options.Rate)
		known.dropLaterWords()
	}
	known.describeWords(r, c.base, c.options.Rate)
}

func (c *audioContent) rewind(heard int64) error {
	source, ok := c.Samples.(Rewinder)
	if !ok {
		return errors.New("its source cannot rewind")
	}
	moved, err := source.Rewind(heard)
	c.base += moved
	return err
}

// chunkScript sends the chunks of one utterance.
type chunkScript struct {
	stage    Stage
	chunks   *chunker.Chunker
	pacer    *Pacer
	chunk    chunker.Chunk
	position int64 // samples before the next chunk
	// excusedTime is the time that the source and the room have taken since the last
	// wait for a chunk. This machine did not cause lateness up to that much.
	excusedTime time.Duration
	// isReading is set while the source is being read.
	isReading atomic.Bool
}

func (c *chunkScript) next(ctx context.Context) (messagePart, error) {
	c.isReading.Store(true)
	asked := time.Now()
	chunk, err := c.chunks.Next()
	came := time.Now()
	c.isReading.Store(false)
	c.excusedTime += came.Sub(asked)
	if err == io.EOF && c.position == 0 {
		return messagePart{}, ErrNoAudio
	}
	if err != nil {
		return messagePart{}, err
	}
	now, err := c.pacer.wait(ctx, came, c.position)
	if err != nil {
		return messagePart{}, err
	}
	c.chunk = chunk
	c.position += int64(len(chunk.PCM))
	due := c.pacer.Due()
	if due.After(came) {
		c.excusedTime = 0 // the wait caught up
	}
	late := max(now.Sub(due)-c.excusedTime, 0)
	return messagePart{pcm: chunk.PCM, due: due, late: late, isLast: chunk.Last}, nil
}

func (c *chunkScript) send(ctx context.Context) (int, error) {
	begun := time.Now()
	defer func() { c.excusedTime += time.Since(begun) }()
	return c.stage.Speak(ctx, c.chunk.PCM, c.chunk.Last)
}

func (c *chunkScript) close() { c.pacer.stop() }

// observedSource reports each read to the session's observer.
type observedSource struct {
	chunker.Source
	observe func(Moment)
	id      string
	at      int64
}

func (o *observedSource) ReadSamples(p []float32) (int, error) {
	n, err := o.Source.ReadSamples(p)
	if n > 0 {
		o.observe(Moment{Kind: MomentInput, At: time.Now(), InferenceID: o.id, Position: o.at, Samples: n})
		o.at += int64(n)
	}
	return n, err
}
