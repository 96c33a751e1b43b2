package audio

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Amplitude converts decibels to a factor: 10^(dB/20).
func Amplitude(decibels float64) float64 { return math.Pow(10, decibels/20) }

// Decibels converts an amplitude to a level: 20·log10(amplitude), 0 for full scale and
// -Inf for silence.
func Decibels(amplitude float64) float64 { return 20 * math.Log10(amplitude) }

// Gain amplifies src by a number of decibels, or attenuates it if that is negative. It
// does not limit: samples beyond full scale saturate at the encoder, which counts them.
// At 0 dB it returns src.
func Gain(src Source, decibels float64) Source {
	if decibels == 0 {
		return src
	}
	return &gain{Source: src, factor: float32(Amplitude(decibels))}
}

type gain struct {
	Source
	factor float32
}

func (g *gain) ReadSamples(p []float32) (int, error) {
	n, err := g.Source.ReadSamples(p)
	for i := range p[:n] {
		p[i] *= g.factor
	}
	return n, err
}

// Channel returns one channel of src, counted from 0, as a mono Source. The error wraps
// ErrFormat if src has no such channel.
func Channel(src Source, channel int) (Source, error) {
	format := src.Format()
	if channel < 0 || channel >= format.Channels {
		return nil, fmt.Errorf("%w: there is no channel %d in %v", ErrFormat, channel+1, format)
	}
	if format.Channels == 1 {
		return src, nil
	}
	return &oneChannel{src: src, format: format, channel: channel, buf: make([]float32, monoFrames*format.Channels)}, nil
}

type oneChannel struct {
	src     Source
	format  Format // of src
	channel int
	buf     []float32
}

func (c *oneChannel) Format() Format { return Format{Rate: c.format.Rate, Channels: 1} }

func (c *oneChannel) ReadSamples(p []float32) (int, error) {
	channels := c.format.Channels
	n, err := c.src.ReadSamples(c.buf[:min(len(p), monoFrames)*channels])
	frames := n / channels
	for i := range p[:frames] {
		p[i] = c.buf[i*channels+c.channel]
	}
	return frames, err
}

// AtRate declares another sampling rate, in Hz, for src. The samples stay the same, so
// they play faster or slower.
func AtRate(src Source, rate int) Source {
	if src.Format().Rate == rate {
		return src
	}
	return &withRate{src, rate}
}

type withRate struct {
	Source
	rate int
}

func (d *withRate) Format() Format { return Format{Rate: d.rate, Channels: d.Source.Format().Channels} }

// Pad adds silence before and after src, in whole frames. A src without samples stays
// empty, and one that breaks gets no silence at its end.
func Pad(src Source, before, after time.Duration) Source {
	format := src.Format()
	return &pad{
		src: src, channels: format.Channels,
		before: format.Frames(before) * int64(format.Channels),
		after:  format.Frames(after) * int64(format.Channels),
	}
}

type pad struct {
	src           Source
	channels      int
	before, after int64 // samples of silence still to come
	first         [MaxChannels]float32
	hasBegun      bool // the first frame of src was read
	isHeld        bool // that frame is still in first
	err           error
}

func (s *pad) Format() Format { return s.src.Format() }

func (s *pad) ReadSamples(p []float32) (int, error) {
	if !s.hasBegun {
		s.begin()
	}
	switch {
	case s.before > 0 && s.err == nil:
		return silence(p, &s.before, s.channels), nil
	case s.isHeld:
		s.isHeld = false
		return copy(p, s.first[:s.channels]), nil
	case s.err == nil:
		n, err := s.src.ReadSamples(p)
		if s.err = err; n > 0 {
			return n, nil
		}
	}
	if errors.Is(s.err, io.EOF) && s.after > 0 {
		return silence(p, &s.after, s.channels), nil
	}
	return 0, s.err
}

// begin reads the first frame, because an empty source gets no silence.
func (s *pad) begin() {
	n, err := s.src.ReadSamples(s.first[:s.channels])
	s.hasBegun, s.isHeld, s.err = true, n > 0, err
	if err != nil {
		s.after = 0
	}
}

// silence fills p with silence, in whole frames and at most left samples, and reduces left.
func silence(p []float32, left *int64, channels int) int {
	n := int(min(int64(len(p)/channels*channels), *left))
	clear(p[:n])
	*left -= int64(n)
	return n
}
