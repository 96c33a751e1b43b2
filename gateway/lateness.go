package gateway

import (
	"sync"
	"time"
)

// latenessWindow is the time over which lateness is measured: at least this long, at most half
// as long again. With fewer than minChunks there is no result.
const (
	latenessWindow = 5 * time.Second
	minChunks      = 100
)

// DefaultMaxLateness is the lateness beyond which no conversation is accepted. It is well
// below the lead, so nobody hears it.
const DefaultMaxLateness = 50 * time.Millisecond

// lateBuckets are the upper bounds of the classes of lateness.
var lateBuckets = func() (bounds []time.Duration) {
	for d := time.Millisecond; d < 4*time.Second; d = d * 5 / 4 {
		bounds = append(bounds, d)
	}
	return bounds
}()

// lateness records how late the chunks of all conversations left in the last seconds, in
// classes a quarter apart. It measures how much this machine can take: processor use does not
// show whether chunks are late.
type lateness struct {
	mu    sync.Mutex
	since time.Time // when now began
	now   []int     // counts by class; the last class has no upper bound
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

// turn begins the next window if this one is over. The lateness is locked.
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

// p99 returns the lateness that 99 of 100 chunks did not exceed, within a quarter, or 0 if few
// chunks were sent.
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
