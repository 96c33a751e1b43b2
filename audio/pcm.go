package audio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// codec turns the bytes of one sample encoding into samples.
type codec struct {
	name  string
	bytes int // of one sample
	// decode fills dst from len(dst)×bytes bytes of src.
	decode func(dst []float32, src []byte)
}

var (
	codecS16LE = codec{"pcm_s16le", 2, decodeS16LE}
	codecF32LE = codec{"pcm_f32le", 4, decodeF32LE}
)

// rawCodecs are the encodings that raw input can be declared to have.
var rawCodecs = map[string]codec{"s16le": codecS16LE}

// RawEncodings lists the encodings of headerless samples that Options.Encoding
// takes.
func RawEncodings() []string { return slices.Sorted(maps.Keys(rawCodecs)) }

func decodeS16LE(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for i := range dst {
		dst[i] = float32(int16(binary.LittleEndian.Uint16(src[2*i:]))) * (1.0 / 32768)
	}
}

// loudest bounds floating point input: 24 dB above full scale is no audio, and
// an absurd value would drown its neighbours in the resampler.
const loudest = 16

func decodeF32LE(dst []float32, src []byte) {
	src = src[:4*len(dst)]
	for i := range dst {
		dst[i] = tame(math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:])))
	}
}

// tame makes any float a finite sample.
func tame(v float32) float32 {
	switch {
	case v >= -loudest && v <= loudest:
		return v
	case v > loudest:
		return loudest
	case v < -loudest:
		return -loudest
	}
	return 0 // not a number
}

// pcmBuffer is how many bytes are asked for at a time. A pipe gives less.
const pcmBuffer = 32 << 10

// pcm reads plain samples: raw input, or the data chunk of a container.
type pcm struct {
	r      io.Reader
	format Format
	codec  codec
	buf    []byte // bytes read and not decoded yet: less than a frame
	spare  []byte // the array behind buf
	frames int64
	err    error
}

func newPCM(r io.Reader, format Format, codec codec) *pcm {
	spare := make([]byte, pcmBuffer)
	return &pcm{r: r, format: format, codec: codec, buf: spare[:0], spare: spare}
}

func (s *pcm) Format() Format { return s.format }

func (s *pcm) Info() Info {
	return Info{Container: "raw", Codec: s.codec.name, Format: s.format, Declared: -1}
}

func (s *pcm) Close() error { return nil }

// Warnings tells of bytes at the end that are no whole frame.
func (s *pcm) Warnings() []string {
	if s.err == nil || len(s.buf) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the last %s no whole %d-byte frame and left out", isAre(len(s.buf), "byte"), s.frameBytes())}
}

func isAre(n int, what string) string {
	if n == 1 {
		return "1 " + what + " is"
	}
	return fmt.Sprintf("%d %ss are", n, what)
}

func (s *pcm) frameBytes() int { return s.codec.bytes * s.format.Channels }

// ReadSamples decodes what one read delivers, so that live input is passed on
// as it comes. A frame split between two reads is put together.
func (s *pcm) ReadSamples(p []float32) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	frame := s.frameBytes()
	room := min(len(s.spare)/frame, len(p)/s.format.Channels) * frame
	if err := s.fill(room, frame); err != nil {
		s.err = err
		return 0, err
	}
	whole := len(s.buf) / frame * frame
	n := whole / s.codec.bytes
	s.codec.decode(p[:n], s.buf)
	rest := copy(s.spare, s.buf[whole:])
	s.buf = s.spare[:rest]
	s.frames += int64(whole / frame)
	return n, nil
}

// fill reads until at least one frame, and at most room bytes, are there.
func (s *pcm) fill(room, frame int) error {
	for idle := 0; len(s.buf) < frame; {
		n, err := s.r.Read(s.spare[len(s.buf):max(room, frame)])
		s.buf = s.spare[:len(s.buf)+n]
		if len(s.buf) >= frame {
			return nil // the error, if any, comes again
		}
		if err != nil {
			return err
		}
		if n > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return io.ErrNoProgress
		}
	}
	return nil
}

// limited reads n bytes of r and then ends, like io.LimitedReader, and knows
// whether r ended first.
type limited struct {
	r     io.Reader
	left  int64 // bytes still to come; unlimited where it was never set
	open  bool  // to the end of r, whatever its length
	short bool  // r ended before n bytes
}

func (l *limited) Read(p []byte) (int, error) {
	if l.open {
		return l.r.Read(p)
	}
	if l.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	if errors.Is(err, io.EOF) && l.left > 0 {
		l.short = true
	}
	return n, err
}
