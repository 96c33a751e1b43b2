package audio

import (
	"errors"
	"fmt"
	"io"
)

// mp3Section is a Source over successive frames of one format.
//
// If a Xing or Info tag states how many samples the encoder added in front and at the end, they
// are left out. The same holds for each of several concatenated streams of one format, which
// give the same samples as if each was decoded separately.
type mp3Section struct {
	frames  *mpegFrames
	stream  mpegHeader
	decoded frameSource
	ahead   *decodeAhead // nil if frames are decoded one by one
	length  mp3Length
	damage  mp3Damage
	pending []float32 // decoded and not returned yet
	held    []float32 // memory for pending if it has to outlive its frame
	next    *formatChangeError
	err     error
}

// frameSource returns the decoded frames of one format, one by one. The error of next is that of
// mpegFrames.next or of the decoder, or wraps ErrFormat for a frame that this build does not
// read.
type frameSource interface {
	next() (decodedFrame, error)
	ready() bool // reports whether the next frame is decoded already
	close()
}

// decodedFrame is valid until the next one.
type decodedFrame struct {
	header  mpegHeader
	tag     *xingTag // if the frame is a stream's first and holds no sound
	samples []float32
	damaged error // why the frame was replaced by silence; nil if it was not
}

func (s *mp3Section) Format() Format { return s.stream.format() }

// ReadSamples implements Source. It returns the samples of one frame, and of further frames that
// are decoded already, so that no sample waits for input that it does not need. If frames of
// another format follow, it returns io.EOF, and s.next says which format.
func (s *mp3Section) ReadSamples(p []float32) (int, error) {
	n, err := s.readFrame(p)
	for err == nil && len(p)-n >= s.stream.Channels && s.decoded.ready() {
		var more int
		more, err = s.readFrame(p[n:])
		n += more
	}
	if n > 0 {
		return n, nil // the next call returns the error again, if any
	}
	return 0, err
}

// readFrame returns samples of one frame, or the error that ended the section.
func (s *mp3Section) readFrame(p []float32) (int, error) {
	channels := s.stream.Channels
	if len(p) < channels {
		return 0, io.ErrShortBuffer
	}
	for s.err == nil {
		room := int(s.length.room(int64(len(p) / channels)))
		if len(s.pending) == 0 || room == 0 {
			s.err = s.advance()
			continue
		}
		n := copy(p[:room*channels], s.pending)
		s.pending = s.pending[n:]
		if sound := s.length.add(int64(n / channels)); sound > 0 {
			return int(sound) * channels, nil
		}
	}
	return 0, s.err
}

// advance fetches the next frame. Samples that are still pending are kept: they are padding,
// unless more frames follow than the tag states.
func (s *mp3Section) advance() error {
	kept := len(s.pending) > 0
	if kept {
		s.held = append(s.held[:0], s.pending...)
		s.pending = s.held
	}
	if err := s.lookAhead(); err != nil {
		return s.end(err)
	}
	frame, err := s.decoded.next()
	switch {
	case err != nil:
		return s.end(err)
	case frame.tag != nil:
		s.length.check(s.Format())
		s.length.start(frame.header, *frame.tag)
		s.damage.run = 0
		s.pending = nil
		return nil
	}
	s.length.frame()
	if s.pending = frame.samples; kept {
		s.held = append(s.held, frame.samples...)
		s.pending = s.held
	}
	if err := s.damage.add(frame.damaged); err != nil {
		return s.end(err)
	}
	return nil
}

// decodeAhead says when a section starts to decode ahead.
type decodeAhead struct {
	workers int
	lead    int // frames to decode one by one before that
	history warmUp
}

// lookAhead counts the frames and begins to decode ahead when it is time.
func (s *mp3Section) lookAhead() (err error) {
	if s.ahead == nil {
		return nil
	}
	if s.ahead.lead--; s.ahead.lead >= 0 {
		return nil
	}
	s.decoded.close()
	parallel, err := newParallelFrames(s.frames, &s.ahead.history, s.ahead.workers)
	if err != nil {
		return err
	}
	s.decoded, s.ahead = parallel, nil
	return nil
}

// end frees the decoders, and returns the error of ReadSamples for the cause that ended the
// frames.
func (s *mp3Section) end(cause error) error {
	s.decoded.close()
	s.length.check(s.Format())
	if errors.As(cause, &s.next) {
		return io.EOF
	}
	s.length.left(s.frames.skipped)
	if l := &s.length; s.frames.isCut && l.delivered-l.begin >= l.claimed { // otherwise check warns
		s.length.warnings.add("the MP3 is cut off inside a frame, which is left out")
	}
	s.length.silenced(s.damage.frames)
	if cause == io.EOF || errors.Is(cause, ErrFormat) {
		return cause
	}
	return fmt.Errorf("mp3: %w", cause)
}

// mp3Damage counts the frames that were replaced by silence.
type mp3Damage struct {
	frames int
	run    int // how many of the latest frames in a row
}

// maxSilencedRun is how many damaged frames in a row are accepted: half a second of MPEG-2 at 24
// kHz. An input with more is not MP3.
const maxSilencedRun = 20

// add counts one more frame, which is damaged unless cause is nil. If there are too many, the
// error wraps ErrFormat.
func (d *mp3Damage) add(cause error) error {
	if cause == nil {
		d.run = 0
		return nil
	}
	d.frames++
	if d.run++; d.run > maxSilencedRun {
		return fmt.Errorf("%w: mp3: %d frames in a row are damaged: %w", ErrFormat, d.run, cause)
	}
	return nil
}
