// Package audio turns bytes of speech audio into samples: WAV, MP3 or raw PCM
// from any io.Reader, mixed to mono and resampled, without ever holding the
// input in memory.
//
// Samples travel as float32 in the nominal range [-1, 1], interleaved by channel. A
// signed 16-bit value v becomes v/32768, so every 16-bit sample passes through the
// package unchanged. Rounding and saturation happen once, when the wire message is
// built.
//
// Sources are pulled: they read only on demand, and start no goroutine. The exception
// is a long MP3 in a regular file, see Open. A typical chain is
//
//	in, err := audio.Open(os.Stdin, nil)      // by content, not by name
//	mono := audio.Mono(in)
//	src, err := audio.Resample(mono, 24000)
package audio

import (
	"errors"
	"fmt"
	"time"
)

// Limits of what is accepted as audio. A header may be wrong, so anything beyond these
// limits is refused before memory is allocated for it.
const (
	MinRate     = 1000   // lowest sampling rate, in Hz
	MaxRate     = 384000 // highest sampling rate, in Hz
	MaxChannels = 8      // most channels of one input
)

// ErrFormat reports an input that is not audio this package reads. Errors that wrap it
// say what was found instead.
var ErrFormat = errors.New("unsupported audio format")

// Format describes interleaved samples.
type Format struct {
	Rate     int // frames a second, in Hz
	Channels int // samples a frame
}

// Check reports whether the format is within the package's limits.
func (f Format) Check() error {
	if f.Rate < MinRate || f.Rate > MaxRate {
		return fmt.Errorf("%w: sampling rate %d Hz is outside %d to %d Hz", ErrFormat, f.Rate, MinRate, MaxRate)
	}
	if f.Channels < 1 || f.Channels > MaxChannels {
		return fmt.Errorf("%w: %d channels, only 1 to %d are read", ErrFormat, f.Channels, MaxChannels)
	}
	return nil
}

// Duration returns the playing time of a number of frames.
func (f Format) Duration(frames int64) time.Duration {
	if f.Rate <= 0 {
		return 0
	}
	rate := int64(f.Rate)
	return time.Duration(frames/rate)*time.Second + time.Duration(frames%rate)*time.Second/time.Duration(rate)
}

// Frames returns the number of whole frames in d.
func (f Format) Frames(d time.Duration) int64 {
	return int64(d/time.Second)*int64(f.Rate) + int64(d%time.Second)*int64(f.Rate)/int64(time.Second)
}

// String returns text such as "44100 Hz stereo".
func (f Format) String() string {
	switch f.Channels {
	case 1:
		return fmt.Sprintf("%d Hz mono", f.Rate)
	case 2:
		return fmt.Sprintf("%d Hz stereo", f.Rate)
	}
	return fmt.Sprintf("%d Hz, %d channels", f.Rate, f.Channels)
}

// Source is a stream of samples. Its rules are stricter than those of io.Reader, and
// audiotest.TestSource checks them:
//
//   - p holds room for at least one frame; a Source may fill less than p.
//   - n is a whole number of frames, counted in samples (frames × channels).
//   - If n > 0, err is nil. If n == 0, err says why: io.EOF at the end, any other error if
//     the input broke. An error is final: every later call returns it again.
//   - The format never changes.
//   - Samples are finite. Nominal full scale is [-1, 1]. A decoder of floating point input
//     may return values beyond it, which saturate at the encoder.
type Source interface {
	Format() Format
	ReadSamples(p []float32) (n int, err error)
}
