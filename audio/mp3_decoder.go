package audio

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// mp3Decoder is a Source over MPEG audio, in the format of its first frame. With one worker it
// reads no further than the frame it needs next, so it keeps pace with a pipe.
//
// If the rate or the number of channels changes in mid-stream, as it may in concatenated files,
// the rest is converted to the first format. Each section between two changes is converted
// independently.
type mp3Decoder struct {
	frames    mpegFrames
	workers   int
	section   *mp3Section
	converted Source // the section, converted to the format of the first
	info      Info
	delivered int64 // frames of sound
	err       error
}

// openMP3 finds the first frames in r and prepares to decode from there. The samples of a frame
// can be read as soon as the frame has arrived, before a pipe ends. The buffer of r holds at
// least 64 KiB. The error wraps ErrFormat if r has no MPEG audio that this build reads, and
// otherwise the error of r.
//
// With two workers or more, r is read and decoded some seconds ahead, from the time when the
// first seconds have been read until the end or Close.
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

// begin starts the section at the current frame, after section before.
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

// Format returns the format of the first frame.
func (d *mp3Decoder) Format() Format { return d.info.Format }

// Info describes the stream, according to what precedes the first sound.
func (d *mp3Decoder) Info() Info { return d.info }

// Warnings returns one-line remarks on oddities of the input so far. They are complete once
// ReadSamples has returned an error.
func (d *mp3Decoder) Warnings() []string { return d.section.length.warnings }

// ReadSamples implements Source. It returns the samples of one frame, and of further frames
// that are decoded already, so that no sample waits for input that it does not need.
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

// change continues with the section after the current one.
func (d *mp3Decoder) change(next *formatChangeError) error {
	if from, to := d.section.Format(), next.to.format(); from != to {
		at := d.info.Format.Duration(d.delivered).Seconds()
		d.section.length.warnings.add("after %.3f s %v follows %v; it is converted to %v", at, to, from, d.info.Format)
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
