// Package renderbuffer estimates how much audio a replica has buffered, based on when
// chunks were sent.
package renderbuffer

import "time"

// PreBuffer is how much audio a replica is assumed to buffer before it plays.
const PreBuffer = 100 * time.Millisecond

// Buffer is the buffer of a replica. The zero value is empty.
type Buffer struct {
	Underruns int           // how often it ran out
	Gaps      time.Duration // total time without audio to play

	held time.Duration // buffered audio while it does not play
	dry  time.Time     // when it runs out; zero while it does not play
}

// Add adds audio of length d that was sent at now.
func (b *Buffer) Add(now time.Time, d time.Duration) {
	if !b.dry.IsZero() && now.After(b.dry) {
		b.Underruns++
		b.Gaps += now.Sub(b.dry)
		b.dry, b.held = time.Time{}, 0
	}
	if !b.dry.IsZero() {
		b.dry = b.dry.Add(d)
		return
	}
	if b.held += d; b.held >= PreBuffer {
		b.dry = now.Add(b.held)
	}
}

// Close marks the end of the audio. The replica then plays the rest, however short.
func (b *Buffer) Close(now time.Time) {
	if b.dry.IsZero() {
		b.dry = now.Add(b.held)
	}
}

// IsPlaying reports whether the replica plays, or has started to play and then run out of
// audio.
func (b *Buffer) IsPlaying() bool { return !b.dry.IsZero() }

// Ahead returns how much audio is left to play at now.
func (b *Buffer) Ahead(now time.Time) time.Duration {
	if b.dry.IsZero() {
		return b.held
	}
	return max(b.dry.Sub(now), 0)
}
