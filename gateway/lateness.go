package gateway

import (
	"sync"
	"time"
)

// latenessWindow is how far back lateness is looked at, at least; half as far again at
// most. Under fewer than minChunks it says nothing.
const (
	latenessWindow = 5 * time.Second
	minChunks      = 100
)

// DefaultMaxLateness is the lateness beyond which no conversation is taken: well below
// the lead, so that nobody hears it.
const DefaultMaxLateness = 50 * time.Millisecond

// lateBuckets are the upper bounds of the classes of lateness.
var lateBuckets = func() (bounds []time.Duration) {
	for d := time.Millisecond; d < 4*time.Second; d = d * 5 / 4 {
		bounds = append(bounds, d)
	}
	return bounds
}()

// lateness keeps how late the chunks of all conversations were in the last seconds, in
// classes of a quarter. It is the measure of how much this machine can take: the use of
// the processor says nothing about who is late.
type lateness struct {
	mu    sync.Mutex
	since time.Time // when now began
	now   []int     // counts by class; the last is beyond all
	last  []int     // the window before
}

func newLateness() *lateness {
	return &lateness{now: make([]int, len(lateBuckets)+1), last: make([]int, len(lateBuckets)+1)}
}

// add counts a chunk.
func (l *lateness) add(at time.Time, late time.Duration) {
	class := 0
	for class < len(lateBuckets) && late > lateBuckets[class] {
		class++
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn(at)
	l.now[class]++
}

// turn begins another window where this one is over. The lateness is locked.
func (l *lateness) turn(at time.Time) {
	switch age := at.Sub(l.since); {
	case age < latenessWindow:
		return
	case age < 2*latenessWindow:
		l.last, l.now = l.now, l.last
	default:
		clear(l.last)
	}
	clear(l.now)
	l.since = at
}

// p99 is the lateness that 99 of 100 chunks did not exceed, to a quarter; 0 where few
// were sent.
func (l *lateness) p99(at time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn(at)
	total := 0
	for i := range l.now {
		total += l.now[i] + l.last[i]
	}
	if total < minChunks {
		return 0
	}
	beyond := total / 100
	for i := len(lateBuckets); i > 0; i-- {
		if beyond -= l.now[i] + l.last[i]; beyond < 0 {
			return lateBuckets[min(i, len(lateBuckets)-1)]
		}
	}
	return lateBuckets[0]
}
