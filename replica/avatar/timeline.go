package avatar

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"echocast/replica"
)

// adjoining is the largest gap between two pieces of sound that play without a pause.
const adjoining = 5 * time.Millisecond

// item is a piece of sound on the replica's clock, or the end of an utterance.
type item struct {
	utterance string
	isEnd     bool
	at        time.Time // when the first sample is due
	samples   []int16
}

// frame is the sound of a tick.
type frame struct {
	pcm       [tickSamples]int16
	utterance string   // of the sound; empty: silence
	samples   int      // how many belong to the utterance
	ended     []string // utterances that end with this frame
}

// notice is a playback report: a start or an end.
type notice struct {
	utterance     string
	isStart       bool
	played        time.Duration
	isInterrupted bool
}

// encoder encodes a frame of sound; the packet is valid until the next call.
type encoder interface {
	Encode(frame []int16) ([]byte, error)
}

// timeline cuts the replica's playback into ticks, and publishes them.
type timeline struct {
	delay int               // ticks between feed and publishing
	feed  func(pcm []int16) // gets the sound before it is published; may be nil

	mu      sync.Mutex
	items   []item
	current string           // the utterance that the replica plays
	played  map[string]int64 // samples published, of unfinished utterances
	delayed []frame          // made but not yet published
	next    time.Time        // when the sound after the last frame is due
	notices []notice
	noticed chan struct{} // one slot, filled when there are notices
}

func newTimeline(delay int) *timeline {
	return &timeline{delay: delay, played: map[string]int64{}, noticed: newSlot()}
}

// sound takes a piece of playback. The replica calls sound and event.
func (l *timeline) sound(at time.Time, _ int, samples []int16) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, item{utterance: l.current, at: at, samples: slices.Clone(samples)})
}

// event takes an event of the replica.
func (l *timeline) event(e replica.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.Kind {
	case replica.EventStarted:
		l.current = e.Utterance
	case replica.EventStopped:
		if e.Interrupted {
			l.cut(e.Utterance)
			return
		}
		l.items = append(l.items, item{utterance: e.Utterance, isEnd: true})
	}
}

// skip reports an utterance that the replica never got.
func (l *timeline) skip(utterance string, interrupted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if interrupted {
		l.notify(notice{utterance: utterance, isInterrupted: true})
		return
	}
	l.items = append(l.items, item{utterance: utterance, isEnd: true})
}

// cut drops the unpublished rest of an utterance, and reports its position. The caller
// holds l.mu.
func (l *timeline) cut(utterance string) {
	l.items = slices.DeleteFunc(l.items, func(i item) bool { return i.utterance == utterance })
	for i := range l.delayed {
		if f := &l.delayed[i]; f.utterance == utterance {
			*f = frame{ended: f.ended}
		}
		l.delayed[i].ended = slices.DeleteFunc(l.delayed[i].ended, func(ended string) bool { return ended == utterance })
	}
	l.finish(utterance, true)
}

// finish reports the end of an utterance. The caller holds l.mu.
func (l *timeline) finish(utterance string, interrupted bool) {
	played := l.played[utterance]
	delete(l.played, utterance)
	l.notify(notice{utterance: utterance, played: time.Duration(played) * time.Second / Rate, isInterrupted: interrupted})
}

func (l *timeline) notify(n notice) {
	l.notices = append(l.notices, n)
	fill(l.noticed)
}

// catchUp is the largest delay with which ticks are still published. After a longer
// stall the timeline is re-based.
const catchUp = 2 * time.Second

// run makes and publishes ticks until ctx ends.
func (l *timeline) run(ctx context.Context, encoder encoder, out Outlet, artist *pictureMaker) error {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for tick := int64(0); ; tick++ {
		due := start.Add(time.Duration(tick) * Tick)
		wait := time.Until(due)
		if wait < -catchUp {
			start = start.Add(-wait)
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		made, published, ok := l.step(due)
		if l.feed != nil {
			l.feed(made.pcm[:])
		}
		if !ok {
			continue
		}
		packet, err := encoder.Encode(published.pcm[:])
		if err != nil {
			return err
		}
		n := tick - int64(l.delay)
		out.Sound(packet, level(published.pcm[:]), n)
		if n%pictureEvery == 0 {
			artist.show(n, published.pcm[:])
		}
	}
}

// step makes the frame of the tick that ends now. It also returns the frame to publish now.
// While the delay line is not full yet, ok is false.
func (l *timeline) step(now time.Time) (made, published frame, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	made = l.make(now.Add(-clockLag - Tick))
	l.delayed = append(l.delayed, made)
	if len(l.delayed) <= l.delay {
		return made, frame{}, false
	}
	published = l.delayed[0]
	l.delayed = slices.Delete(l.delayed, 0, 1)
	if u := published.utterance; u != "" {
		if _, isStarted := l.played[u]; !isStarted {
			l.notify(notice{utterance: u, isStart: true})
		}
		l.played[u] += int64(published.samples)
	}
	for _, utterance := range published.ended {
		l.finish(utterance, false)
	}
	return made, published, true
}

// make returns the frame that begins at a time on the replica's clock. The caller holds
// l.mu.
func (l *timeline) make(begin time.Time) (f frame) {
	for at := 0; len(l.items) > 0 && at < tickSamples; {
		first := &l.items[0]
		if first.isEnd {
			f.ended = append(f.ended, first.utterance)
			l.items = l.items[1:]
			continue
		}
		if f.utterance != "" && f.utterance != first.utterance {
			return f // a frame holds sound of only one utterance
		}
		gap := first.at.Sub(l.next).Abs() > adjoining
		if gap && (at > 0 || !first.at.Before(begin.Add(Tick))) {
			return f // sound begins only at the start of a frame, once it is due
		}
		if at == 0 && !l.isWhole() {
			return f // the missing sound is late: silence for a whole frame is better than two fragments
		}
		n := copy(f.pcm[at:], first.samples)
		at += n
		f.utterance, f.samples = first.utterance, f.samples+n
		l.next = first.at.Add(time.Duration(n) * time.Second / Rate)
		if first.samples, first.at = first.samples[n:], l.next; len(first.samples) == 0 {
			l.items = l.items[1:]
		}
	}
	return f
}

// isWhole reports whether the first sound fills a frame, or is the last before an end or a
// pause. The caller holds l.mu.
func (l *timeline) isWhole() bool {
	n, first := 0, l.items[0]
	next := first.at
	for _, i := range l.items {
		if i.isEnd || i.utterance != first.utterance || i.at.Sub(next).Abs() > adjoining {
			return true
		}
		n += len(i.samples)
		next = i.at.Add(time.Duration(len(i.samples)) * time.Second / Rate)
	}
	return n >= tickSamples
}

// report delivers playback reports in order, until ctx ends and all are delivered.
func (l *timeline) report(ctx context.Context, out Outlet) {
	for ctx.Err() == nil {
		l.pass(out)
		select {
		case <-l.noticed:
		case <-ctx.Done():
		}
	}
	l.mu.Lock()
	for utterance := range l.played {
		l.finish(utterance, true)
	}
	l.mu.Unlock()
	l.pass(out)
}

// pass delivers the pending playback reports.
func (l *timeline) pass(out Outlet) {
	l.mu.Lock()
	notices := l.notices
	l.notices = nil
	l.mu.Unlock()
	for _, n := range notices {
		if n.isStart {
			out.Started(n.utterance)
		} else {
			out.Finished(n.utterance, n.played, n.isInterrupted)
		}
	}
}

// silence is the level of silence, in decibels below full scale.
const silence = 127

// level returns the loudness of samples, in decibels below full scale.
func level(pcm []int16) uint8 {
	sum := 0.0
	for _, s := range pcm {
		sum += float64(s) * float64(s)
	}
	if sum == 0 {
		return silence
	}
	return uint8(max(0, min(silence, -10*math.Log10(sum/float64(len(pcm))/(32768*32768)))))
}
