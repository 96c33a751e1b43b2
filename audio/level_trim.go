package audio

import (
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"time"
)

// The defaults of TrimSilence.
const (
	DefaultSilence = -50.0                 // dBFS; samples below it are silence
	DefaultGuard   = 50 * time.Millisecond // silence that is kept beside the sound
)

// maxTrim is the longest silence at the end that can be removed, because silence has to be
// held back until the end is known. It is also the most that TrimSilence holds in memory, and
// the most that it delays a live source.
const maxTrim = 10 * time.Second

// trimBlock is how many samples TrimSilence requests at a time.
const trimBlock = 4096

// Trimmed is a Source without the silence at its ends.
type Trimmed struct {
	src       Source
	threshold float32
	guard     int // samples of silence kept beside the sound
	most      int // most samples of silence that are held back

	buf        []float32 // buf[next:] was read, but not returned yet
	next       int
	ready      int  // end of the part of buf that may be returned
	keep       int  // end of sound and guard in buf; beyond its end if the guard is not read yet
	isSounding bool // the first sound was found
	leading    atomic.Int64
	trailing   int64
	err        error
}

// TrimSilence removes the silence at both ends of the mono src: samples below
// threshold, in dBFS. It keeps guard of silence before the first sound and after the
// last.
//
// Pauses are passed on unchanged. TrimSilence holds silence back until it is known whether it
// is a pause or the end. It holds at most the last 10 s, so of a longer silence at the end it
// removes only those 10 s. The result does not depend on how src is split into reads.
func TrimSilence(src Source, threshold float64, guard time.Duration) *Trimmed {
	format := src.Format()
	return &Trimmed{
		src: src, threshold: float32(Amplitude(threshold)),
		guard: int(format.Frames(max(guard, 0))), most: int(format.Frames(maxTrim)),
	}
}

// Format is that of the source.
func (t *Trimmed) Format() Format { return t.src.Format() }

// Leading returns how many samples were removed at the beginning. It may be called from
// any goroutine.
func (t *Trimmed) Leading() int64 { return t.leading.Load() }

// Trailing returns how many samples were removed at the end. It is valid only after
// ReadSamples has returned io.EOF.
func (t *Trimmed) Trailing() int64 { return t.trailing }

// ReadSamples implements Source.
func (t *Trimmed) ReadSamples(p []float32) (int, error) {
	for t.next == t.ready {
		if t.err != nil {
			return 0, t.err
		}
		t.fill(min(max(len(p), 1), trimBlock))
	}
	n := copy(p, t.buf[t.next:t.ready])
	t.next += n
	return n, nil
}

// fill reads up to room more samples and decides which may be returned.
func (t *Trimmed) fill(room int) {
	t.compact()
	have := len(t.buf)
	t.buf = slices.Grow(t.buf, room)
	n, err := t.src.ReadSamples(t.buf[have : have+room])
	t.buf = t.buf[:have+n]
	if err != nil {
		t.end(err)
		return
	}
	first, last := t.soundBounds(have)
	if !t.isSounding {
		t.begin(first)
	}
	if last >= 0 {
		t.keep = last + 1 + t.guard
	}
	if t.isSounding {
		t.ready = min(len(t.buf), max(t.keep, len(t.buf)-t.most, t.next))
	}
}

// soundBounds returns the first and the last sample that is sound, from index from on; -1 if there
// is none.
func (t *Trimmed) soundBounds(from int) (first, last int) {
	first, last = -1, -1
	for i, v := range t.buf[from:] {
		if v >= t.threshold || v <= -t.threshold {
			last = from + i
			if first < 0 {
				first = last
			}
		}
	}
	return first, last
}

// begin removes the samples before the guard of the first sound, or before the guard of sound
// that may follow.
func (t *Trimmed) begin(first int) {
	t.isSounding = first >= 0
	sound := first
	if !t.isSounding {
		sound = len(t.buf)
	}
	drop := max(sound-t.guard-t.next, 0)
	t.leading.Add(int64(drop))
	t.next += drop
	t.ready = t.next
}

// end removes the silence that is still held back, because the source has ended.
func (t *Trimmed) end(err error) {
	t.err = err
	if !errors.Is(err, io.EOF) {
		return
	}
	if left := int64(len(t.buf) - t.next); t.isSounding {
		t.trailing = left
	} else {
		t.leading.Add(left)
	}
}

// compact moves the held samples to the front of buf once most of buf is used up.
func (t *Trimmed) compact() {
	if t.next < len(t.buf)-t.next {
		return
	}
	t.keep -= t.next
	t.ready -= t.next
	t.buf = t.buf[:copy(t.buf, t.buf[t.next:])]
	t.next = 0
}
