// Package playout speaks audio that arrives in pieces, as speech services send it over
// a WebSocket, and reports when it was heard.
//
//	p, err := playout.New(session, playout.Options{Rate: 8000, OnMark: answer})
//	go p.Run(ctx)
//	p.Add(samples)   // as it comes, mostly faster than it plays
//	p.Mark("hello")  // OnMark is called when all audio before the mark was heard
//	p.Clear()        // the user cuts in: audio that was not heard is dropped
//
// # Positions
//
// The pieces are one stream, counted in samples from its beginning. A Player cuts it into
// utterances. An utterance ends where End is called, or when all of it was sent and nothing
// more has arrived for Options.Idle. The replica is kept a second ahead, so nobody hears
// this wait if the service is faster than speech.
//
// # What was heard
//
// While the replica speaks, a mark passes when the replica has played up to it by the
// session's estimate (echo.Progress), but never before the event that the replica has
// begun to speak. When an utterance ends, its receipt says how much was heard, and how
// that is known.
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
	DefaultLimit = 10 * time.Minute // as much as Twilio buffers
)

// markInterval is how often the session is asked how much was played, while a mark
// waits for it.
const markInterval = 10 * time.Millisecond

// The shortest wait for more audio after a mark, and the audio that the replica then
// has left to play.
const (
	markedIdle = 40 * time.Millisecond
	markedLead = 150 * time.Millisecond
)

// ErrFull reports that more audio waits than Options.Limit allows.
var ErrFull = errors.New("too much audio waits to be spoken")

// ErrMarks reports that more marks wait than a Player keeps.
var ErrMarks = errors.New("too many marks wait to be passed")

// The memory for the marks that wait, and that of a mark besides its id, in bytes.
const (
	mostMarkBytes = 4 << 20
	markBytes     = 64
)

// errCleared is the cause with which Clear ends an utterance.
var errCleared = fmt.Errorf("%w: the audio was cleared", echo.ErrStopped)

// Speaker speaks one utterance at a time; *echo.Session is one.
type Speaker interface {
	Speak(ctx context.Context, speech echo.Speech) (echo.Receipt, error)
	Progress() echo.Progress
}

// Options configure a Player: how to cut audio into utterances, and its callbacks.
type Options struct {
	Rate        int           // Hz of the added samples
	SpeakerRate int           // Hz that the speaker takes; 0: echo.DefaultRate
	Limit       time.Duration // how much audio may wait; 0: DefaultLimit
	Name        string        // name of the utterances in receipts
	// Idle ends an utterance after this time without samples; 0: DefaultIdle; negative:
	// only End ends an utterance.
	Idle time.Duration

	// OnMark is called for each mark, in order. isHeard says whether all audio before the
	// mark was heard; if not, some of it was dropped. It must not call the Player.
	OnMark func(id string, isHeard bool)
	// OnHeard is called with each utterance that has ended, from the goroutine of Run.
	OnHeard func(Heard)
}

// Heard reports how much of one utterance was heard, in positions of the stream.
type Heard struct {
	From, To  int64 // the utterance, as far as it arrived
	Heard     int64 // where the user stopped hearing it
	End       int64 // where the stream continues: audio between Heard and End was dropped
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
	pending []int16       // samples from position first on
	first   int64
	ends    []utteranceEnd // where utterances end, in order
	marks   []mark         // in order
	kept    int            // bytes of marks
	heard   int64          // everything before it was heard or dropped
	current *utterance
	isOver  bool // Run has ended
}

// mark is a named position in the stream.
type mark struct {
	id       string
	position int64
}

// utteranceEnd is where an utterance ends.
type utteranceEnd struct {
	position int64
	err      error // why it is incomplete; io.EOF if it is complete
}

// New returns a Player for a speaker. The caller must call Run.
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

// Add appends samples to the stream, and returns the position after them. If it returns
// ErrFull, it has added none of them.
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

// Break ends the utterance with the samples so far, because the rest will not arrive. The
// speaker gets err after those samples, so it interrupts the replica and does not report
// the utterance as complete.
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
// them were heard. If it returns ErrMarks, it has marked nothing.
func (p *Player) Mark(id string) error {
	if err := p.addMark(id); err != nil {
		return err
	}
	p.callMarks()
	return nil
}

func (p *Player) addMark(id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept+markBytes+len(id) > mostMarkBytes {
		return ErrMarks
	}
	p.marks = append(p.marks, mark{id, p.end()})
	p.kept += markBytes + len(id)
	p.change()
	return nil
}

// Clear drops the audio that was not heard. It interrupts the replica, and calls OnMark for
// all marks before it returns. isSpeaking reports that an utterance is being spoken; then
// OnHeard is called when it has ended. If none is being spoken, everything before position
// heard was heard, and the audio from heard to end was dropped.
func (p *Player) Clear() (heard, end int64, isSpeaking bool) {
	p.mu.Lock()
	heard, end, isSpeaking = p.first, p.end(), p.current != nil
	p.dropPending(errCleared)
	p.mu.Unlock()
	p.callMarks()
	return heard, end, isSpeaking
}

// Drain waits until all added audio was heard or dropped, or Run has ended. Its error
// is the cause of ctx.
func (p *Player) Drain(ctx context.Context) error {
	return p.until(ctx, func() bool { return p.isOver || len(p.pending) == 0 && p.current == nil })
}

// Run speaks the added audio until ctx ends, whose cause it returns, or the speaker is
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

// speak speaks the next utterance. An error means that no further utterance is
// possible.
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
	p.ends = slices.DeleteFunc(p.ends, func(e utteranceEnd) bool { return e.position <= p.first }) // of earlier ones
	u := &utterance{player: p, from: p.first}
	u.ctx, u.cancel = context.WithCancelCause(ctx)
	p.current = u
	p.change()
	return u
}

// finish records how much of an utterance was heard.
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

// dropPending drops the audio that was not heard, and ends the current utterance. The
// Player is locked.
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

// dropped is the position of a mark after dropped samples.
const dropped = -1

// watch calls callMarks while marks wait, until ctx ends.
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

// passed removes and returns the marks that were passed.
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
	for _, m := range out {
		p.kept -= markBytes + len(m.id)
	}
	return out
}

// end returns the position after all samples. The Player is locked.
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

// utterance is the audio.Source of the current utterance.
type utterance struct {
	player *Player
	ctx    context.Context //nolint:containedctx // of its Speak; it ends reads
	cancel context.CancelCauseFunc
	from   int64
	ended  error // why it was dropped; nil otherwise
	to     int64 // where it was dropped
}

func (u *utterance) abort() { u.cancel(errCleared) }

// Format returns the format of the stream.
func (u *utterance) Format() audio.Format {
	return audio.Format{Rate: u.player.options.Rate, Channels: 1}
}

// ReadSamples returns pending samples, or waits for some.
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

// waitLimit returns how long an utterance waits for more audio, in total; it has waited for
// elapsed so far. After a mark it does not wait beyond the time for which the replica has
// audio to play: the mark may be the end, and then the last chunk must be sent as the last.
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

// isMarked reports whether a mark follows the last sample. The Player is locked.
func (p *Player) isMarked() bool {
	return len(p.marks) > 0 && p.marks[len(p.marks)-1].position == p.end()
}

// take removes samples of this utterance from pending. The Player is locked.
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
