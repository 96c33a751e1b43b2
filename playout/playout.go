// Package playout speaks audio that comes in pieces, as servers of speech send it
// over a WebSocket, and tells when it was heard.
//
//	p, err := playout.New(session, playout.Options{Rate: 8000, OnMark: answer})
//	go p.Run(ctx)
//	p.Add(samples)   // as it comes, mostly faster than it plays
//	p.Mark("hello")  // OnMark is called when all before it was heard
//	p.Clear()        // the user cuts in: what was not heard is dropped
//
// # Positions
//
// The pieces are one stream, counted in samples from its beginning. A Player cuts
// it into utterances: one ends where End says so, or where nothing more has come
// for Options.Idle after all else was sent. Since the replica is kept a second
// ahead, that wait is not heard of a server that is faster than speech.
//
// # What was heard
//
// While the replica speaks, a mark is passed when it has played so much as the
// session estimates (echo.Progress), and never before the event that it has begun.
// When an utterance is over its receipt says how much was heard, and how that is
// known.
package playout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"echocast/audio"
	"echocast/echo"
)

// Defaults of the Options.
const (
	DefaultIdle  = 300 * time.Millisecond
	DefaultLimit = 10 * time.Minute // what Twilio buffers
)

// markInterval is how often the session is asked how much was played, while a mark
// waits for it.
const markInterval = 10 * time.Millisecond

// How long an utterance waits at least for more behind a mark, and what the replica
// has then left to play.
const (
	markedIdle = 40 * time.Millisecond
	markedLead = 150 * time.Millisecond
)

// ErrFull says that more audio waits than Options.Limit allows.
var ErrFull = errors.New("too much audio waits to be spoken")

// errCleared is the cause of the end of an utterance that Clear dropped.
var errCleared = fmt.Errorf("%w: the audio was cleared", echo.ErrStopped)

// Speaker speaks one utterance at a time; *echo.Session is one.
type Speaker interface {
	Speak(ctx context.Context, speech echo.Speech) (echo.Receipt, error)
	Progress() echo.Progress
}

// Options say how audio is cut into utterances, and which functions are called.
type Options struct {
	Rate        int           // Hz of the samples that come
	SpeakerRate int           // Hz that the speaker takes; 0: echo.DefaultRate
	Limit       time.Duration // how much audio may wait; 0: DefaultLimit
	Name        string        // of the utterances in their receipts
	// Idle is how long no samples may come within an utterance; 0: DefaultIdle;
	// negative: only End ends one.
	Idle time.Duration

	// OnMark is called for each mark, in order: isHeard says whether all before it
	// was heard, or some of it dropped. It must not call the Player.
	OnMark func(id string, isHeard bool)
	// OnHeard is called with each utterance that has ended, from the goroutine of Run.
	OnHeard func(Heard)
}

// Heard is what was heard of one utterance, in positions of the stream.
type Heard struct {
	From, To  int64 // the utterance, as far as it came
	Heard     int64 // where the user stopped hearing it
	End       int64 // where the stream goes on: what is between Heard and End was dropped
	By        string
	IsCleared bool // Clear ended it
	Receipt   echo.Receipt
	Err       error // of Speak
}

// Player speaks one stream. Its methods may be called from any goroutine.
type Player struct {
	speaker Speaker
	options Options

	marking sync.Mutex // held during OnMark, so that marks come in order

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change of the fields below
	pending []int16       // from position first on
	first   int64
	ends    []utteranceEnd // where utterances end, in order
	marks   []mark         // in order
	heard   int64          // all before it was heard or dropped
	current *utterance
	isOver  bool // Run has ended
}

// mark is a place in the stream.
type mark struct {
	id       string
	position int64
}

// utteranceEnd is where an utterance ends.
type utteranceEnd struct {
	position int64
	err      error // why it is not whole; io.EOF: it is
}

// New returns a Player for a speaker. Run has to be called.
func New(speaker Speaker, o Options) (*Player, error) {
	if err := (audio.Format{Rate: o.Rate, Channels: 1}).Check(); err != nil {
		return nil, fmt.Errorf("playout: %w", err)
	}
	if o.SpeakerRate == 0 {
		o.SpeakerRate = echo.DefaultRate
	}
	if o.Idle == 0 {
		o.Idle = DefaultIdle
	}
	if o.Limit == 0 {
		o.Limit = DefaultLimit
	}
	if o.OnMark == nil {
		o.OnMark = func(string, bool) {}
	}
	if o.OnHeard == nil {
		o.OnHeard = func(Heard) {}
	}
	return &Player{speaker: speaker, options: o, changed: make(chan struct{})}, nil
}

// Add appends samples to the stream, and returns the position after them. With
// ErrFull none was taken.
func (p *Player) Add(samples []int16) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pending)+len(samples) > p.samplesOf(p.options.Limit) {
		return p.end(), ErrFull
	}
	p.pending = append(p.pending, samples...)
	p.change()
	return p.end(), nil
}

// End ends the utterance with the samples so far.
func (p *Player) End() {
	p.endBy(io.EOF)
}

// Break ends the utterance with the samples so far, since what should follow does not
// come: the speaker gets the error after them, so that it is interrupted and does not say
// that the utterance is whole.
func (p *Player) Break(err error) { p.endBy(err) }

func (p *Player) endBy(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.end()
	if len(p.ends) > 0 && p.ends[len(p.ends)-1].position == at || p.current == nil && len(p.pending) == 0 {
		return
	}
	p.ends = append(p.ends, utteranceEnd{at, err})
	p.change()
}

// Mark marks the end of the samples so far. OnMark is called at once if all of
// them were heard.
func (p *Player) Mark(id string) {
	p.mu.Lock()
	p.marks = append(p.marks, mark{id, p.end()})
	p.change()
	p.mu.Unlock()
	p.callMarks()
}

// Clear drops what was not heard: the replica is interrupted, and OnMark is called
// for all marks before Clear returns. It reports whether an utterance is being spoken:
// then OnHeard is called with it when it has ended. Otherwise all before the position
// heard was heard, and what is between heard and end was dropped.
func (p *Player) Clear() (heard, end int64, isSpeaking bool) {
	p.mu.Lock()
	heard, end, isSpeaking = p.first, p.end(), p.current != nil
	p.dropPending(errCleared)
	p.mu.Unlock()
	p.callMarks()
	return heard, end, isSpeaking
}

// Drain waits until all that came was heard or dropped, or Run has ended. Its error is
// the cause of ctx.
func (p *Player) Drain(ctx context.Context) error {
	return p.until(ctx, func() bool { return p.isOver || len(p.pending) == 0 && p.current == nil })
}

// Run speaks what comes, until ctx ends, whose cause it returns, or the speaker is
// closed or lost for good.
func (p *Player) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { p.watch(ctx) })
	defer watching.Wait()
	defer cancel()
	defer p.setOver()
	for {
		if err := p.until(ctx, func() bool { return len(p.pending) > 0 }); err != nil {
			return err
		}
		if err := p.speak(ctx); err != nil {
			return err
		}
	}
}

func (p *Player) setOver() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isOver = true
	p.change()
}

// speak speaks the next utterance. Its error is one after which there is no other.
func (p *Player) speak(ctx context.Context) error {
	u := p.begin(ctx)
	defer u.cancel(nil)
	samples, err := audio.ResampleBy(audio.FIR, u, p.options.SpeakerRate)
	if err != nil {
		return fmt.Errorf("playout: %w", err)
	}
	defer samples.Close() //nolint:errcheck // it holds nothing outside Go's memory
	receipt, err := p.speaker.Speak(u.ctx, echo.Speech{Samples: samples, Name: p.options.Name, Abort: u.abort})
	p.options.OnHeard(p.finish(u, receipt, err))
	p.callMarks()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, echo.ErrClosed), errors.Is(err, echo.ErrNotRejoined):
		return err
	case errors.Is(err, echo.ErrLost) && receipt.Chunks == 0:
		return err
	}
	return nil
}

// begin makes the next utterance the current one.
func (p *Player) begin(ctx context.Context) *utterance {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends = slices.DeleteFunc(p.ends, func(e utteranceEnd) bool { return e.position <= p.first }) // of the one before
	u := &utterance{player: p, from: p.first}
	u.ctx, u.cancel = context.WithCancelCause(ctx)
	p.current = u
	p.change()
	return u
}

// finish settles what was heard of an utterance.
func (p *Player) finish(u *utterance, receipt echo.Receipt, err error) Heard {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := Heard{From: u.from, To: u.to, By: receipt.SpokenBy, Receipt: receipt, Err: err}
	h.IsCleared = errors.Is(u.ended, errCleared)
	if u.ended == nil {
		h.To = p.first
	}
	h.Heard = min(h.From+int64(receipt.SpokenSeconds*float64(p.options.Rate)+0.5), h.To)
	if receipt.Outcome == echo.Finished {
		h.Heard = h.To
	}
	p.current = nil
	switch {
	case err == nil, u.ended != nil, errors.Is(err, echo.ErrUnverified), errors.Is(err, echo.ErrNoAudio):
		p.heard = max(p.heard, h.To)
	default:
		p.dropPending(err)
	}
	h.End = p.heard
	p.change()
	return h
}

// dropPending drops what was not heard, and ends the current utterance. The Player is
// locked.
func (p *Player) dropPending(cause error) {
	if u := p.current; u != nil && u.ended == nil {
		u.ended, u.to = cause, p.first
		u.cancel(cause)
	}
	p.first, p.pending, p.ends = p.end(), nil, nil
	p.heard = p.first
	for i := range p.marks {
		p.marks[i].position = dropped
	}
	p.change()
}

// dropped is the position of a mark whose samples were dropped.
const dropped = -1

// watch calls tell while marks wait, until ctx ends.
func (p *Player) watch(ctx context.Context) {
	for p.until(ctx, func() bool { return len(p.marks) > 0 && p.current != nil }) == nil {
		p.callMarks()
		select {
		case <-time.After(markInterval):
		case <-ctx.Done():
		}
	}
}

// callMarks calls OnMark for the marks that were passed.
func (p *Player) callMarks() {
	p.marking.Lock()
	defer p.marking.Unlock()
	for _, m := range p.passed() {
		p.options.OnMark(m.id, m.position != dropped)
	}
}

// passed removes the marks that were passed.
func (p *Player) passed() []mark {
	progress := p.speaker.Progress()
	p.mu.Lock()
	defer p.mu.Unlock()
	heard := p.heard
	if u := p.current; u != nil && u.ended == nil {
		heard = max(heard, min(u.from+int64(p.samplesOf(progress.Played)), p.first))
	}
	n := slices.IndexFunc(p.marks, func(m mark) bool { return m.position > heard })
	if n < 0 {
		n = len(p.marks)
	}
	out := slices.Clone(p.marks[:n])
	p.marks = slices.Delete(p.marks, 0, n)
	return out
}

// end is the position after all samples. The Player is locked.
func (p *Player) end() int64 { return p.first + int64(len(p.pending)) }

// change wakes all callers of until. The Player is locked.
func (p *Player) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// until waits until done reports true, called with the Player locked.
func (p *Player) until(ctx context.Context, done func() bool) error {
	for {
		p.mu.Lock()
		enough, changed := done(), p.changed
		p.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (p *Player) samplesOf(d time.Duration) int {
	return int(audio.Format{Rate: p.options.Rate, Channels: 1}.Frames(d))
}

// utterance is the audio.Source of the utterance that is spoken.
type utterance struct {
	player *Player
	ctx    context.Context //nolint:containedctx // of its Speak; it ends reads
	cancel context.CancelCauseFunc
	from   int64
	ended  error // why it was dropped; nil otherwise
	to     int64 // where it was dropped
}

func (u *utterance) abort() { u.cancel(errCleared) }

// Format is that of the stream.
func (u *utterance) Format() audio.Format {
	return audio.Format{Rate: u.player.options.Rate, Channels: 1}
}

// ReadSamples returns what there is, or waits for it.
func (u *utterance) ReadSamples(p []float32) (int, error) {
	since := time.Now()
	for {
		u.player.mu.Lock()
		n, err := u.take(p)
		changed, isMarked := u.player.changed, u.player.isMarked()
		u.player.mu.Unlock()
		if n > 0 || err != nil {
			return n, err
		}
		elapsed := time.Since(since)
		wait := u.player.waitLimit(elapsed, isMarked) - elapsed
		if wait <= 0 {
			return 0, io.EOF
		}
		select {
		case <-changed:
		case <-time.After(wait):
		case <-u.ctx.Done():
			return 0, context.Cause(u.ctx)
		}
	}
}

// waitLimit is how long an utterance waits for more, after it has waited for elapsed.
// Behind a mark that is no longer than the replica has something to play: the mark
// says that this may be the end, and the last chunk waits to be called the last.
func (p *Player) waitLimit(elapsed time.Duration, isMarked bool) time.Duration {
	idle := p.options.Idle
	switch {
	case idle < 0:
		return math.MaxInt64
	case isMarked:
		return min(idle, max(markedIdle, elapsed+p.speaker.Progress().Lead-markedLead))
	}
	return idle
}

// isMarked reports whether a mark is behind all samples. The Player is locked.
func (p *Player) isMarked() bool {
	return len(p.marks) > 0 && p.marks[len(p.marks)-1].position == p.end()
}

// take takes samples of this utterance. The Player is locked.
func (u *utterance) take(p []float32) (int, error) {
	player := u.player
	switch {
	case u.ended != nil:
		return 0, u.ended
	case len(player.ends) > 0 && player.ends[0].position <= player.first:
		err := player.ends[0].err
		player.ends = player.ends[1:]
		if err != io.EOF {
			u.ended, u.to = err, player.first
		}
		return 0, err
	}
	n := min(len(p), len(player.pending))
	if len(player.ends) > 0 {
		n = min(n, int(player.ends[0].position-player.first))
	}
	for i, sample := range player.pending[:n] {
		p[i] = float32(sample) / 32768
	}
	player.pending = player.pending[n:]
	player.first += int64(n)
	return n, nil
}
