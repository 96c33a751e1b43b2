//go:build !cgo

package audio

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/hajimehoshi/go-mp3"
)

// frameDecoder decodes the frames of one layer III format by go-mp3, in pure
// Go.
//
// go-mp3 undoes middle/side coding wrongly where blocks are short. So it is
// never asked to: all that happens between spectrum and samples is linear,
// hence frames coded as middle and side go through a decoder of their own, and
// left and right are made of its samples. Where a stream has frames of both
// kinds, each decoder hears silence in place of the other's.
//
// go-mp3 clips what is beyond full scale, also where the samples of the other
// decoder would bring it back. A frame of which it clips samples is decoded once
// more, at a quarter of its level, and made louder again here.
type frameDecoder struct {
	channels int
	packer   framePacker
	synths   [2]synthesis // leftRight and middleSide
}

// The decoders of a frameDecoder.
const (
	leftRight = iota
	middleSide
)

// stereoBytes is the size of a left and a right sample of 16 bits.
const stereoBytes = 4

// pcmFullScale is the number of go-mp3's steps to 1.
const pcmFullScale = 32767

var errDamaged = errors.New("the frame is damaged")

// refuse says in one line why go-mp3 cannot be given a frame: it reads neither
// MPEG-2.5 nor layers I and II nor free format, takes the levels of intensity stereo from the
// wrong channel, and has no room for the padding of MPEG-2's longest frame. The
// error wraps ErrFormat.
func refuse(h mpegHeader, frame []byte) error {
	what := ""
	f := cutFrame(h, frame)
	switch {
	case h.Version == mpeg25 || h.Layer != 3:
		what = h.codec()
	case f.mode == jointStereo && f.extension&intensityStereo != 0:
		what = "intensity stereo"
	case h.Free > 0:
		what = "free format"
	case len(f.own) > packedRoom(h):
		what = "MPEG-2 of 160 kbit/s with padding"
	default:
		return nil
	}
	return &foreignError{reason: fmt.Sprintf("mp3: this build does not read %s", what)}
}

// refuseFile refuses a file that has a frame go-mp3 cannot be given, before anything of it is
// said. It reads the file beside its owner, who continues where he was.
func refuseFile(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return nil // reading it will tell
	}
	frames := mpegFrames{r: bufio.NewReaderSize(io.NewSectionReader(file, 0, info.Size()), sniffRoom)}
	if frames.start() != nil {
		return nil
	}
	for {
		h, frame, err := frames.next()
		if change := (*formatChangeError)(nil); errors.As(err, &change) {
			frames.stream = change.to
			continue
		}
		if err != nil {
			return nil
		}
		if err := refuse(h, frame); err != nil {
			return err
		}
	}
}

// newFrameDecoder prepares to decode frames like the one with header h.
func newFrameDecoder(h mpegHeader) (*frameDecoder, error) {
	return &frameDecoder{channels: h.Channels}, nil
}

// restart forgets the frames so far: what follows is another stream.
func (d *frameDecoder) restart() error {
	*d = frameDecoder{channels: d.channels}
	return nil
}

// close has nothing to free.
func (d *frameDecoder) close() {}

// decode turns a frame into n samples in p, which has room for all that a frame
// can hold. A damaged one becomes silence of the same length.
func (d *frameDecoder) decode(frame []byte, p []float32) (n int, damaged, err error) {
	h, _ := parseMPEGHeader(frame)
	p = p[:h.samples()*d.channels]
	clear(p)
	damaged = d.synthesize(cutFrame(h, frame), p)
	for i, v := range p {
		p[i] = v / pcmFullScale
	}
	return len(p), damaged, nil
}

// synthesize adds the samples of one frame to p. A decoder begins with a frame
// without sound, of which nothing is taken: go-mp3 gets its first frame wrong
// if that refers to data in front of it.
func (d *frameDecoder) synthesize(f layer3Frame, p []float32) error {
	sounding, resting := &d.synths[leftRight], &d.synths[middleSide]
	if f.isMiddleSide() {
		sounding, resting = resting, sounding
	}
	if !sounding.started() {
		if err := sounding.decode(d.packer.silent(f)); err != nil {
			return err
		}
	}
	d.packer.remember(f.own)
	if resting.started() {
		if err := resting.rest(d.packer.silent(f)); err != nil {
			return err
		}
		resting.addTo(p, d.channels, !f.isMiddleSide())
	}
	packed, err := d.packer.pack(f, sounding.held)
	if err == nil {
		err = sounding.decode(packed)
	}
	if err == nil {
		sounding.addTo(p, d.channels, f.isMiddleSide())
	}
	return err
}

// synthesis turns the frames of one kind into samples.
type synthesis struct {
	normal, quiet goDecoder
	clipped       bool          // the latest frame is that of quiet
	recent        []packedFrame // the latest frames, with bytes of their own
	held          int           // bytes of main data that the next frame may refer to
	rested        int           // frames without sound since the last with it
}

// The samples of a frame depend on those of up to two frames in front of it: half
// of a granule overlaps the next, and the filters hold 16 of its 18 samples. One
// more frame gives them the main data they refer to.
const framesBefore = 2 + 1

func (s *synthesis) started() bool { return s.normal.decoder != nil }

// decode turns a frame into samples. The error is errDamaged; the next frame is the
// first of another stream then.
func (s *synthesis) decode(packed packedFrame) error {
	s.rested, s.clipped = 0, false
	if err := s.normal.decode(packed); err != nil {
		s.quiet.decoder, s.recent = nil, nil
		return err
	}
	s.held = packed.held
	if isClipped(s.normal.pcm) {
		s.clipped = s.decodeQuietly(packed) == nil
	} else {
		s.quiet.decoder = nil
	}
	s.remember(packed)
	return nil
}

// decodeQuietly decodes a frame at a quarter of its level. If the frame in front of
// it was not decoded so, the decoder first hears those that it depends on.
func (s *synthesis) decodeQuietly(packed packedFrame) error {
	if s.quiet.decoder == nil {
		for i, before := range s.recent {
			if i == 0 {
				before = before.silenced()
			}
			if err := s.quiet.decode(before.lowered(quietSteps)); err != nil {
				return err
			}
		}
	}
	return s.quiet.decode(packed.lowered(quietSteps))
}

// remember keeps a copy of a frame for as long as one behind it may need it.
func (s *synthesis) remember(packed packedFrame) {
	var room []byte
	if len(s.recent) == framesBefore {
		room = s.recent[0].bytes[:0]
		s.recent = append(s.recent[:0], s.recent[1:]...)
	}
	packed.bytes = append(room, packed.bytes...)
	s.recent = append(s.recent, packed)
}

// rest decodes a frame without sound. Two of them end what the filters still
// hold; the decoder is gone then, until it is needed again.
func (s *synthesis) rest(silent packedFrame) error {
	rested := s.rested + 1
	err := s.decode(silent)
	if s.rested = rested; rested == 2 {
		s.normal.decoder, s.quiet.decoder, s.recent = nil, nil, nil
	}
	return err
}

// addTo adds the samples to p. Mono comes out of go-mp3 on both channels alike
// and is taken from one.
func (s *synthesis) addTo(p []float32, channels int, middleSide bool) {
	pcm, scale := s.normal.pcm, float32(1)
	if s.clipped {
		pcm, scale = s.quiet.pcm, quietScale
	}
	for i := range len(p) / channels {
		frame := pcm[i*stereoBytes:]
		left, right := scale*sampleIn(frame), scale*sampleIn(frame[2:])
		if middleSide {
			left, right = left+right, left-right
		}
		p[i*channels] += left
		if channels == 2 {
			p[i*channels+1] += right
		}
	}
}

// goDecoder is a go-mp3 decoder and the samples of its latest frame. That
// decoder pulls its input and forgets the stream where the input pauses, so it
// is given one whole frame at a time and asked for exactly its samples.
type goDecoder struct {
	decoder *mp3.Decoder // nil before the first frame
	feed    bytes.Buffer // cannot seek, or go-mp3 would look for the end
	pcm     []byte       // 16-bit stereo, whatever the stream is
}

// decode turns a frame into samples. go-mp3 panics on some damaged frames; that and its errors
// end here, as errDamaged, and the decoder starts again.
func (d *goDecoder) decode(packed packedFrame) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("go-mp3 panics: %v", cause)
		}
		if err != nil {
			d.decoder, err = nil, fmt.Errorf("%w: %v", errDamaged, err)
		}
	}()
	d.feed.Reset()
	d.feed.Write(packed.bytes)
	if d.decoder == nil {
		d.pcm = make([]byte, packed.samples*stereoBytes)
		if d.decoder, err = mp3.NewDecoder(&d.feed); err != nil {
			return err
		}
	}
	_, err = io.ReadFull(d.decoder, d.pcm)
	return err
}

// isClipped reports whether a sample of 16 bits is at go-mp3's full scale.
func isClipped(pcm []byte) bool {
	for i := 0; i < len(pcm); i += 2 {
		if v := int16(binary.LittleEndian.Uint16(pcm[i:])); v == pcmFullScale || v == -pcmFullScale {
			return true
		}
	}
	return false
}

// sampleIn reads a sample of 16 bits. go-mp3 cut its fraction off: the middle
// of what it may have been is nearer. Silence stays silence.
func sampleIn(b []byte) float32 {
	switch v := float32(int16(binary.LittleEndian.Uint16(b))); {
	case v > 0:
		return v + 0.5
	case v < 0:
		return v - 0.5
	}
	return 0
}
