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
// go-mp3 decodes middle/side coding wrongly in short blocks, so it is never asked to. All steps
// from spectrum to samples are linear. So frames coded as middle and side are decoded by a
// separate decoder, and left and right are calculated from its samples. If a stream has frames
// of both kinds, each decoder gets silence in place of the other's frames.
//
// go-mp3 clips samples beyond full scale, even if the samples of the other decoder would bring
// them back into range. A frame with clipped samples is decoded again at a quarter of its
// level, and amplified again afterwards.
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

// pcmFullScale is the sample value of go-mp3 that corresponds to 1.
const pcmFullScale = 32767

var errDamaged = errors.New("the frame is damaged")

// refuse returns an error if go-mp3 cannot decode a frame. It does not read MPEG-2.5, layers I
// and II, or free format. It takes the levels of intensity stereo from the wrong channel, and
// has no room for the padding of MPEG-2's longest frame. The error wraps ErrFormat.
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

// refuseFile returns an error if a file has a frame that go-mp3 cannot decode, before anything
// of it is spoken. It does not change the read position of the file.
func refuseFile(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return nil // reading the file returns the error
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

// restart forgets the frames so far, because another stream follows.
func (d *frameDecoder) restart() error {
	*d = frameDecoder{channels: d.channels}
	return nil
}

// close has nothing to free.
func (d *frameDecoder) close() {}

// decode decodes a frame into n samples in p, which has room for the longest frame. A damaged
// frame becomes silence of the same length.
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

// synthesize adds the samples of one frame to p. A decoder first gets a frame without sound,
// whose samples are dropped, because go-mp3 decodes its first frame wrongly if that refers to
// earlier data.
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

// synthesis decodes the frames of one kind to samples.
type synthesis struct {
	normal, quiet goDecoder
	clipped       bool          // the latest frame was decoded by quiet
	recent        []packedFrame // copies of the latest frames
	held          int           // bytes of main data that the next frame may refer to
	rested        int           // frames without sound since the last with it
}

// framesBefore is how many earlier frames the samples of a frame depend on. They depend on the
// samples of two frames: half of a granule overlaps the next, and the filters hold 16 of its 18
// samples. One more frame has the main data to which these two refer.
const framesBefore = 2 + 1

func (s *synthesis) started() bool { return s.normal.decoder != nil }

// decode decodes a frame to samples. The error is errDamaged; then the next frame counts as the
// first of another stream.
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

// decodeQuietly decodes a frame at a quarter of its level. If the frame before was not decoded
// in this way, the decoder first gets the frames on which this one depends.
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

// rest decodes a frame without sound. After two of them the filters hold nothing more, and the
// decoder is dropped until it is needed again.
func (s *synthesis) rest(silent packedFrame) error {
	rested := s.rested + 1
	err := s.decode(silent)
	if s.rested = rested; rested == 2 {
		s.normal.decoder, s.quiet.decoder, s.recent = nil, nil, nil
	}
	return err
}

// addTo adds the samples to p. For mono, go-mp3 returns two equal channels, of which addTo uses
// one.
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

// goDecoder is a go-mp3 decoder with the samples of its latest frame. go-mp3 pulls its input,
// and forgets the stream if the input pauses. So it gets one whole frame at a time, and exactly
// that frame's samples are read.
type goDecoder struct {
	decoder *mp3.Decoder // nil before the first frame
	feed    bytes.Buffer // cannot seek, or go-mp3 would look for the end
	pcm     []byte       // 16-bit stereo, whatever the stream is
}

// decode decodes a frame to samples. go-mp3 panics on some damaged frames. decode returns
// errDamaged for a panic or an error of go-mp3, and the decoder starts again.
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

// sampleIn reads a sample of 16 bits. go-mp3 has cut off its fraction, so sampleIn adds half a
// step away from zero, which is nearer on average. Silence stays silence.
func sampleIn(b []byte) float32 {
	switch v := float32(int16(binary.LittleEndian.Uint16(b))); {
	case v > 0:
		return v + 0.5
	case v < 0:
		return v - 0.5
	}
	return 0
}
