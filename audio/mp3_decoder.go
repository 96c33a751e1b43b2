package audio

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// mp3Decoder is a Source over MPEG audio, in the format of its first frame. With
// one worker it reads no further than the frame it needs next, so it keeps pace
// with a pipe.
//
// Where the rate or the number of channels changes in mid-stream, as it does
// where files were put one behind the other, what follows is converted to the
// first format: each section between two changes as if it were alone.
type mp3Decoder struct {
	frames    mpegFrames
	workers   int
	section   *mp3Section
	converted Source // section in the format of the first
	info      Info
	delivered int64 // frames of sound
	err       error
}

// openMP3 finds the first frames in r and prepares to decode from there. The
// samples of a frame can be read as soon as the frame is there: a pipe need
// not end first. The buffer of r holds at least 64 KiB. An error wraps
// ErrFormat where r holds no MPEG audio that this build reads, else it wraps
// the error of r.
//
// With two workers or more, r is read and decoded some seconds ahead once the
// first ones have been asked for, until the end or Close.
func openMP3(r *bufio.Reader, workers int) (*mp3Decoder, error) {
	d := &mp3Decoder{frames: mpegFrames{r: r}, workers: workers}
	if err := d.frames.start(); err != nil {
		return nil, err
	}
	h := d.frames.stream
	d.info = Info{Container: "mp3", Codec: h.codec(), Format: h.format()}
	if err := d.begin(&mp3Section{}); err != nil {
		return nil, err
	}
	for len(d.section.pending) == 0 {
		if err := d.section.advance(); err != nil {
			d.Close()
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w: mp3: no frame holds sound", ErrFormat)
			}
			return nil, err
		}
	}
	d.info.Declared = d.section.length.claimed
	return d, nil
}

// begin starts the section at the framer's place, behind the one before.
func (d *mp3Decoder) begin(before *mp3Section) error {
	decoded, err := newSerialFrames(&d.frames)
	if err != nil {
		return err
	}
	d.section = &mp3Section{
		frames:  &d.frames,
		stream:  d.frames.stream,
		decoded: decoded,
		length:  mp3Length{claimed: -1, warnings: before.length.warnings},
		damage:  mp3Damage{frames: before.damage.frames},
	}
	if d.workers > 1 {
		d.section.ahead = &decodeAhead{workers: d.workers, lead: parallelLead}
		decoded.history = &d.section.ahead.history
	}
	d.converted, err = convert(d.section, d.info.Format)
	return err
}

// Format is the format of the first frame.
func (d *mp3Decoder) Format() Format { return d.info.Format }

// Info tells what was found in front of the first sound.
func (d *mp3Decoder) Info() Info { return d.info }

// Warnings says in one line each what was odd about the input so far. It is
// complete once ReadSamples has returned an error.
func (d *mp3Decoder) Warnings() []string { return d.section.length.warnings }

// ReadSamples implements Source. It gives the samples of one frame, so that none
// waits for input it does not need, and of those that are decoded already.
func (d *mp3Decoder) ReadSamples(p []float32) (int, error) {
	if len(p) < d.info.Format.Channels {
		return 0, io.ErrShortBuffer
	}
	for d.err == nil {
		n, err := d.converted.ReadSamples(p)
		if n > 0 {
			d.delivered += int64(n / d.info.Format.Channels)
			return n, nil
		}
		if d.err = err; err == io.EOF && d.section.next != nil {
			d.err = d.change(d.section.next)
		}
	}
	return 0, d.err
}

// change continues with the section after the present one.
func (d *mp3Decoder) change(next *formatChangeError) error {
	if from, to := d.section.Format(), next.to.format(); from != to {
		at := d.info.Format.Duration(d.delivered).Seconds()
		d.section.length.warnings.add("after %.3f s %v follows %v; it is given as %v", at, to, from, d.info.Format)
	}
	d.frames.stream, d.frames.main.held = next.to, 0
	return d.begin(d.section)
}

// Close frees the decoder. The reader stays open.
func (d *mp3Decoder) Close() error {
	d.section.decoded.close()
	d.err = errMP3Closed
	return nil
}

var errMP3Closed = errors.New("mp3: read after Close")
