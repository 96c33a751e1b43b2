package audio

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"echocast/internal/text"
)

// pcmBuffer is how many bytes are requested at a time. A pipe returns fewer.
const pcmBuffer = 32 << 10

// pcm reads plain samples: raw input, or the samples of a container.
type pcm struct {
	r      io.Reader
	format Format
	codec  codec
	buf    []byte // bytes read and not decoded yet: less than a frame
	spare  []byte // the array behind buf
	frames int64
	err    error

	notNumbers int64 // samples that were not numbers
	warnings   warnings
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

// Warnings reports bytes at the end that are not a whole frame, and samples that are not
// numbers.
func (s *pcm) Warnings() []string {
	if s.err != nil && len(s.buf) > 0 {
		s.warnings.add("%s", leftOutWarning(len(s.buf), s.frameBytes()))
	}
	return slices.Concat(s.warnings, s.notNumbersWarning())
}

// leftOutWarning reports n bytes at the end that are not a whole frame.
func leftOutWarning(n, frame int) string {
	return fmt.Sprintf("ignored the last %s: not a whole %d-byte frame", text.Count(n, "byte"), frame)
}

func (s *pcm) frameBytes() int { return s.codec.bytes * s.format.Channels }

func (s *pcm) leftover() int { return len(s.buf) }

// restart starts again after an end, with the same number of channels.
func (s *pcm) restart(c codec) { s.codec, s.buf, s.err = c, s.spare[:0], nil }

// ReadSamples decodes the bytes of one read, so that live input is passed on as it arrives. It
// joins a frame that is split between two reads.
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
	s.codec.decode(p[:n], s.buf[:whole])
	s.silenceNaN(p[:n])
	rest := copy(s.spare, s.buf[whole:])
	s.buf = s.spare[:rest]
	s.frames += int64(whole / frame)
	return n, nil
}

// silenceNaN replaces samples that are not numbers by silence.
func (s *pcm) silenceNaN(samples []float32) {
	if !s.codec.isFloat {
		return
	}
	for block := range slices.Chunk(samples, floatBlock) {
		if isModerate(block) {
			continue
		}
		for i, v := range block {
			if v != v {
				block[i] = 0
				s.notNumbers++
			}
		}
	}
}

// notNumbersWarning returns a warning about samples that are not numbers, if any.
func (s *pcm) notNumbersWarning() []string {
	if s.notNumbers == 0 {
		return nil
	}
	return []string{fmt.Sprintf("replaced %s by silence: not a number", text.Count(int(s.notNumbers), "sample"))}
}

// fill reads until the buffer holds at least one frame, and at most room bytes.
func (s *pcm) fill(room, frame int) error {
	for idle := 0; len(s.buf) < frame; {
		n, err := s.r.Read(s.spare[len(s.buf):max(room, frame)])
		s.buf = s.spare[:len(s.buf)+n]
		if len(s.buf) >= frame {
			return nil // the next read returns the error again, if any
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

// containerPCM is plain samples in a container that states their length.
type containerPCM struct {
	*pcm
	container string
	data      *limitedReader
	declared  int64            // frames, or -1
	behind    func() remainder // checks for data after the samples; nil: done
}

// newContainerPCM returns a decoder of size bytes of samples, or of all bytes if size is negative.
func newContainerPCM(r io.Reader, container string, format Format, codec codec, size int64) *containerPCM {
	data := &limitedReader{r: r, left: max(size, 0), isOpen: size < 0}
	c := &containerPCM{pcm: newPCM(data, format, codec), container: container, data: data, declared: -1}
	if !data.isOpen {
		c.declared = size / int64(c.frameBytes())
	}
	return c
}

func (c *containerPCM) Info() Info {
	return Info{Container: c.container, Codec: c.codec.name, Format: c.format, Declared: c.declared}
}

// ReadSamples checks for data after the declared end.
func (c *containerPCM) ReadSamples(p []float32) (int, error) {
	n, err := c.pcm.ReadSamples(p)
	if !errors.Is(err, io.EOF) || c.data.isOpen || c.data.isShort || c.behind == nil {
		return n, err
	}
	if behind := c.behind(); behind.bytes > 0 {
		c.warnings.add("what follows the declared end is left out: %s", behind.asSamples(c.format, c.frameBytes()))
	}
	c.behind = nil
	return n, err
}

// Warnings also reports a header that states more samples than there are.
func (c *containerPCM) Warnings() []string {
	warnings := c.pcm.Warnings()
	if c.data.isShort {
		warnings = append(warnings, endsEarly(c.format, c.declared, c.frames))
	}
	return warnings
}

func endsEarly(format Format, declared, frames int64) string {
	return fmt.Sprintf("the header claims %.3f s and the samples end after %.3f s; all of them are used",
		format.Duration(declared).Seconds(), format.Duration(frames).Seconds())
}

// limitedReader reads n bytes of r and then ends, like io.LimitedReader. It also records whether r
// ended first.
type limitedReader struct {
	r       io.Reader
	left    int64 // bytes still to come
	isOpen  bool  // read to the end of r
	isShort bool  // r ended before n bytes
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.isOpen {
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
		l.isShort = true
	}
	return n, err
}
