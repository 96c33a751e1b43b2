package echo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"echocast/chunker"
)

// UnderrunPolicy says what to send when the source falls behind playout: all samples
// that arrived were spoken, and the next one is missing.
type UnderrunPolicy string

// The underrun policies.
const (
	UnderrunWait    UnderrunPolicy = "wait"    // the replica falls silent until more comes; the default
	UnderrunSilence UnderrunPolicy = "silence" // zeros fill the gap until more comes
	UnderrunEnd     UnderrunPolicy = "end"     // the utterance ends; later samples begin another
)

// FeedOptions configure a Feed. A Feed with the zero value only reads ahead.
type FeedOptions struct {
	Rate int // Hz of the samples; 0: DefaultRate
	// Ahead is how much the Feed reads ahead; 0: 500 ms.
	Ahead time.Duration
	// Keep is how much audio the Feed keeps for Rewind; 0: none.
	Keep time.Duration
	// Idle ends an utterance after this time without samples; 0: never. Later samples
	// begin another utterance: see Next.
	Idle time.Duration
	// OnUnderrun is the underrun policy; empty: UnderrunWait.
	OnUnderrun UnderrunPolicy
	// Abort unblocks a read of the source, as closing a pipe does. Close calls it. A
	// source that never blocks needs none.
	Abort func()
}

// FeedStats report how fast and how evenly a source delivered samples.
type FeedStats struct {
	// Factor is the speed of the source; 1 is real time, 0 means not known yet.
	Factor         float64 `json:"factor"`
	Stalls         int     `json:"stalls"`          // how often the source fell behind playout
	StalledSeconds float64 `json:"stalled_seconds"` // total duration of the stalls
	SilenceSamples int64   `json:"silence_samples"` // zeros that filled the gaps
}

// errAborted ends a read of a Feed after its utterance was interrupted.
var errAborted = errors.New("echo: the read was ended")

// Feed buffers a source for a session. A goroutine reads ahead; Close ends it and waits
// for it. Abort ends a read of the Feed without touching the source, and Rewind repeats
// samples. If the source pauses, the utterance ends, and Next begins another one with the
// samples that follow.
//
// Call ReadSamples, Rewind and Next from one goroutine; the others from any.
type Feed struct {
	options FeedOptions
	source  chunker.Source
	pumped  chan struct{} // closed when the goroutine has ended

	mu        sync.Mutex
	changed   chan struct{} // closed at the next change of the fields below; nil: nobody waits
	isClosed  bool
	isAborted bool
	hasEnded  bool  // the utterance ended because no samples arrived
	err       error // the source's error, once it has failed or ended
	kept      window
	at        int64 // position of the next sample to be read
	base      int64 // where the utterance begins
	begin     int64 // where Next began it, not counting inserted silence

	arrivedSince time.Time     // when the last samples came
	came         int64         // samples after the first read
	waited       time.Duration // time spent waiting for these samples
	begun        time.Time     // when sample base is played, if samples play on arrival
	isUnderrun   bool
	stats        FeedStats
}

// NewFeed begins to read source.
func NewFeed(source chunker.Source, options FeedOptions) *Feed {
	options.Rate = cmp.Or(options.Rate, DefaultRate)
	options.Ahead = cmp.Or(options.Ahead, 500*time.Millisecond)
	options.OnUnderrun = cmp.Or(options.OnUnderrun, UnderrunWait)
	f := &Feed{options: options, source: source, pumped: make(chan struct{})}
	go f.readAhead()
	return f
}

// Close ends the goroutine and waits for it. It may be called twice.
func (f *Feed) Close() error {
	f.mu.Lock()
	first := !f.isClosed
	f.isClosed = true
	f.change()
	f.mu.Unlock()
	if first && f.options.Abort != nil {
		f.options.Abort()
	}
	<-f.pumped
	return nil
}

// Abort ends the current read, and later ones until Rewind or Next. It does not
// touch the source.
func (f *Feed) Abort() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.isAborted = true
	f.change()
}

// IsReading reports whether the source is still being read.
func (f *Feed) IsReading() bool {
	select {
	case <-f.pumped:
		return false
	default:
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err == nil
}

// Stats returns how fast and how evenly the source has delivered so far.
func (f *Feed) Stats() FeedStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	stats := f.stats
	if f.waited > 0 {
		stats.Factor = durationOf(f.came, f.options.Rate).Seconds() / f.waited.Seconds()
	}
	return stats
}

// nextChange returns a channel that is closed at the next change. The feed is locked.
func (f *Feed) nextChange() <-chan struct{} {
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.changed
}

// change wakes all goroutines that wait for a change. The feed is locked.
func (f *Feed) change() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// pumpSamples is the size of one read of the source.
const pumpSamples = 1200

// readAhead reads the source until it ends.
func (f *Feed) readAhead() {
	defer close(f.pumped)
	buf := make([]float32, pumpSamples)
	for f.waitForRoom() {
		start := time.Now()
		n, err := f.source.ReadSamples(buf)
		f.arrive(buf[:n], err, start)
	}
}

// waitForRoom waits until the buffer has room, and reports whether readAhead must read more.
func (f *Feed) waitForRoom() bool {
	ahead := samplesOf(f.options.Ahead, f.options.Rate)
	for {
		f.mu.Lock()
		over := f.isClosed || f.err != nil
		if over || f.kept.end()-f.at < ahead {
			f.mu.Unlock()
			return !over
		}
		changed := f.nextChange()
		f.mu.Unlock()
		<-changed
	}
}

func (f *Feed) arrive(samples []float32, err error, asked time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if len(samples) > 0 {
		if !f.arrivedSince.IsZero() { // the wait for the first samples says nothing about the speed
			f.waited += now.Sub(asked)
			f.came += int64(len(samples))
		}
		f.arrivedSince = now
		f.isUnderrun = false
		f.keep(samples)
	}
	if err != nil {
		f.err = err
	}
	f.change()
}

// keep appends samples and drops those that are too old for Rewind.
func (f *Feed) keep(samples []float32) {
	f.kept.drop(f.at - samplesOf(f.options.Keep, f.options.Rate))
	f.kept.add(samples)
}

// ReadSamples returns buffered samples, or waits for some.
func (f *Feed) ReadSamples(p []float32) (int, error) {
	for {
		f.mu.Lock()
		n, err := f.take(p, time.Now())
		if n > 0 || err != nil {
			f.mu.Unlock()
			return n, err
		}
		changed, deadline := f.nextChange(), f.deadline()
		f.mu.Unlock()
		waitFor(changed, deadline)
	}
}

// waitFor waits for a change, or until the deadline if it is not zero.
func waitFor(changed <-chan struct{}, deadline time.Time) {
	if deadline.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

func (f *Feed) take(p []float32, now time.Time) (int, error) {
	if f.isAborted || f.isClosed {
		return 0, errAborted
	}
	if f.at == f.kept.end() && !f.hasEnded && f.err == nil {
		f.handleUnderrun(now)
	}
	switch {
	case f.hasEnded:
		return 0, io.EOF
	case f.at < f.kept.end():
		return f.copyHeld(p, now), nil
	}
	return 0, f.err
}

// copyHeld copies buffered samples into p.
func (f *Feed) copyHeld(p []float32, now time.Time) int {
	if f.at == f.base {
		f.begun = now
	}
	if late := now.Sub(f.playedAt()); late > 0 && f.at > f.base {
		f.begun = f.begun.Add(late)
		f.stats.StalledSeconds += late.Seconds()
	}
	n := f.kept.copyFrom(f.at, p)
	f.at += int64(n)
	f.change()
	return n
}

// playedAt returns when all samples read so far are played, if samples play on arrival.
func (f *Feed) playedAt() time.Time { return f.begun.Add(durationOf(f.at-f.base, f.options.Rate)) }

// idleAt returns when the utterance ends if no samples arrive; zero: never.
func (f *Feed) idleAt() time.Time {
	if f.options.Idle == 0 || f.at == f.base {
		return time.Time{}
	}
	return f.arrivedSince.Add(f.options.Idle)
}

// deadline returns the time at which handleUnderrun has to act.
func (f *Feed) deadline() time.Time {
	quiet := f.idleAt()
	if f.at == f.base || f.isUnderrun && f.options.OnUnderrun == UnderrunWait {
		return quiet
	}
	if dry := f.playedAt(); quiet.IsZero() || dry.Before(quiet) {
		return dry
	}
	return quiet
}

// handleUnderrun acts when the source has no sample: it ends the utterance after
// FeedOptions.Idle, and before that follows the underrun policy.
func (f *Feed) handleUnderrun(now time.Time) {
	if f.at == f.base {
		return
	}
	if quiet := f.idleAt(); !quiet.IsZero() && !now.Before(quiet) {
		f.hasEnded = true
		return
	}
	if now.Before(f.playedAt()) {
		return
	}
	if !f.isUnderrun {
		f.stats.Stalls++
	}
	f.isUnderrun = true
	switch f.options.OnUnderrun {
	case UnderrunEnd:
		f.hasEnded = true
	case UnderrunSilence:
		zeros := make([]float32, samplesOf(DefaultChunk, f.options.Rate))
		f.stats.SilenceSamples += int64(len(zeros))
		f.keep(zeros)
	}
}

// Next waits for the samples of another utterance, and reports whether there are any.
// Call it after a read has returned io.EOF. If the source failed, Next returns its error.
func (f *Feed) Next(ctx context.Context) (bool, error) {
	for {
		f.mu.Lock()
		there, err, changed := f.at < f.kept.end(), f.err, f.nextChange()
		if there || err != nil {
			f.restart(f.at)
			f.begin = f.at - f.stats.SilenceSamples
		}
		f.mu.Unlock()
		switch {
		case there:
			return true, nil
		case err == io.EOF:
			return false, nil
		case err != nil:
			return false, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// Begin returns the playing time of the source before the current utterance. It may be
// called from any goroutine.
func (f *Feed) Begin() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return durationOf(f.begin, f.options.Rate)
}

// restart begins an utterance at a position.
func (f *Feed) restart(at int64) {
	f.at, f.base = at, at
	f.isAborted, f.hasEnded, f.isUnderrun = false, false, false
}

// Rewind goes back to the last silence before position, and returns the new position. Both
// count samples from the beginning of the utterance. Without a silence in the second before
// it, Rewind goes to the quietest place there. It never skips samples. Position 0 is exactly
// the beginning. A position that is no longer kept is an error.
func (f *Feed) Rewind(position int64) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	target := min(f.base+position, f.at)
	if target < f.kept.first {
		return 0, fmt.Errorf("echo: only the last %v are kept",
			durationOf(f.at-f.kept.first, f.options.Rate).Round(time.Millisecond))
	}
	if position > 0 {
		offset := int(target - f.kept.first)
		target = f.kept.first + int64(silenceBefore(f.kept.before(f.at), offset, f.options.Rate))
	}
	moved := target - f.base
	f.restart(target)
	f.change()
	return moved, nil
}

// silenceLevel is the level of silence between words: -46 dBFS.
const silenceLevel = 0.005

// silenceBefore returns the middle of the last silent 20 ms in the second before
// position or, without silence, of the quietest 20 ms.
func silenceBefore(samples []float32, position, rate int) int {
	window := max(rate/50, 1)
	from, to := max(position-rate, 0), min(position+window-window/2, len(samples))
	best, bestLevel := position, 2.0
	for at := from; at+window <= to; at += window / 2 {
		middle := at + window/2
		level := max(meanSquare(samples[at:at+window]), silenceLevel*silenceLevel)
		if level < bestLevel || level == bestLevel {
			best, bestLevel = middle, level
		}
	}
	return best
}

func meanSquare(samples []float32) float64 {
	sum := 0.0
	for _, v := range samples {
		sum += float64(v) * float64(v)
	}
	return sum / float64(len(samples))
}
