package echo

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Limits are the limits of a room on messages: their size, their audio and their rate.
// The session derives the length of a chunk and the pace from them. A zero field sets
// no limit.
type Limits struct {
	// MaxMessage is the largest size of a whole JSON message in bytes.
	MaxMessage int
	// ConversationID is part of every such message and takes room in it.
	ConversationID string
	// MaxChunk is the longest playing time of one chunk.
	MaxChunk time.Duration
	// Chunk is the playing time of one chunk if Options.Chunk is not set. 0:
	// DefaultChunk, longer if Interval asks for it.
	Chunk time.Duration
	// FirstChunk is the playing time of an utterance's first chunk. Those that
	// follow double in length up to the chunk length. 0: all are equally long.
	FirstChunk time.Duration
	// Interval is the shortest time between two messages.
	Interval time.Duration
}

// Limiter is a Stage of a room that limits messages. A Stage that is no Limiter has no limits.
type Limiter interface {
	Limits() Limits
}

// LimitsOf returns the limits of stage; the zero value if it has none.
func LimitsOf(stage Stage) Limits {
	if limiter, ok := stage.(Limiter); ok {
		return limiter.Limits()
	}
	return Limits{}
}

// ChunkError reports a chunk that is too long for the room.
type ChunkError struct {
	Chunk   time.Duration // what was asked for
	Size    int           // bytes of its message
	Limit   int           // largest message in bytes; 0 if the room limits the playing time
	Longest time.Duration // the longest chunk that fits, in whole milliseconds; 0 if none does
}

// Error names the longest chunk that fits.
func (e *ChunkError) Error() string {
	switch {
	case e.Limit == 0:
		return fmt.Sprintf("a chunk of %v is longer than the room takes; the longest is %v", e.Chunk, e.Longest)
	case e.Longest == 0:
		return fmt.Sprintf("a message limit of %d bytes leaves no room for audio", e.Limit)
	}
	return fmt.Sprintf("a chunk of %v makes messages of %d bytes, over the limit of %d; the longest chunk that fits is %v",
		e.Chunk, e.Size, e.Limit, e.Longest)
}

// ChunkSamples returns the length of a chunk in samples on a stage with these limits.
// Without Options.Chunk it is DefaultChunk: longer if the room allows few messages a
// second, shorter if it allows only small messages. The error is a *ChunkError for a chunk
// that does not fit, or names the option that is wrong. NewSession returns the same errors.
func (o *Options) ChunkSamples(limits Limits) (int, error) {
	set := o.withDefaults()
	samples, err := limits.chunkSamples(set.Chunk, set.Rate)
	if err != nil {
		return 0, err
	}
	return samples, set.check(samples)
}

// chunkSamples returns the length of a chunk in samples at this rate; chunk is the requested
// length, or 0.
func (l Limits) chunkSamples(chunk time.Duration, rate int) (int, error) {
	want := samplesIn(chunk, rate)
	if chunk == 0 {
		want = samplesIn(cmp.Or(l.Chunk, max(DefaultChunk, 2*l.Interval)), rate)
	} else if want < 1 {
		return 0, fmt.Errorf("echo: a chunk of %v holds no sample at %d Hz", chunk, rate)
	} else if chunk < l.Interval {
		return 0, fmt.Errorf("echo: a chunk of %v plays for less than the %v that the room asks for between messages",
			chunk, l.Interval)
	}
	fits, size, err := l.fit(want, rate)
	if err != nil || want <= fits {
		return want, err
	}
	longest := time.Duration(fits*1000/rate) * time.Millisecond
	if chunk != 0 || longest == 0 {
		refusal := &ChunkError{Chunk: chunk, Longest: longest}
		if size > l.MaxMessage && l.MaxMessage != 0 {
			refusal.Size, refusal.Limit = size, l.MaxMessage
		}
		return 0, refusal
	}
	return samplesIn(longest, rate), nil
}

// firstSamples returns the length of an utterance's first chunk, in samples; the others
// have chunk samples. The first chunk plays for at least the shortest time that the room
// allows between two messages: otherwise a gap would follow it.
func (l Limits) firstSamples(chunk, rate int) int {
	if l.FirstChunk == 0 {
		return chunk
	}
	first := max(l.FirstChunk, l.Interval)
	return min(max(samplesIn(first, rate), 1), chunk)
}

// fit returns the most samples that a chunk may have, and the message size of a chunk
// with the wanted length.
func (l Limits) fit(want, rate int) (fits, size int, err error) {
	fits = math.MaxInt32
	if l.MaxChunk != 0 {
		fits = samplesIn(l.MaxChunk, rate)
	}
	if l.MaxMessage == 0 {
		return fits, 0, nil
	}
	encoder, err := NewEncoder(Utterance{ConversationID: l.ConversationID, InferenceID: NewInferenceID(), Rate: rate})
	if err != nil {
		return 0, 0, err
	}
	return min(fits, encoder.MaxSamples(l.MaxMessage)), encoder.Size(want), nil
}
