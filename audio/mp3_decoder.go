package audio

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// mp3Decoder is a Source over MPEG audio. It reads no further than the frame
// it needs next, so it keeps pace with a pipe.
//
// What the encoder added in front and behind is left out where a Xing or Info
// tag tells how much. Streams of one format that were put one behind the other
// are each treated so: together they give what they would give one by one.
type mp3Decoder struct {
	frames  mpegFrames
	decoder *frameDecoder
	info    Info
	length  mp3Length
	input   []byte // frame to decode next, nil if there is none
	dry     bool   // all that went into the decoder has come out
	err     error
}

// openMP3 finds the first frames in r and prepares to decode from there. The
// samples of a frame can be read as soon as the frame is there: a pipe need
// not end first. The buffer of r holds at least 64 KiB. An error wraps
// ErrFormat where r holds no MPEG audio that this build reads, else it wraps
// the error of r.
func openMP3(r *bufio.Reader) (*mp3Decoder, error) {
	d := &mp3Decoder{frames: mpegFrames{r: r}, dry: true, length: mp3Length{claimed: -1}}
	if err := d.frames.start(); err != nil {
		return nil, err
	}
	h := d.frames.stream
	d.info = Info{Container: "mp3", Codec: h.codec(), Format: h.format()}
	var err error
	if d.decoder, err = newFrameDecoder(h); err != nil {
		return nil, err
	}
	for d.dry {
		if err := d.advance(); err != nil {
			d.Close()
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w: mp3: no frame holds sound", ErrFormat)
			}
			return nil, err
		}
	}
	d.info.Declared = d.length.claimed
	return d, nil
}

// Format is the format of the first frame, which all others share.
func (d *mp3Decoder) Format() Format { return d.info.Format }

// Info tells what was found in front of the first sound.
func (d *mp3Decoder) Info() Info { return d.info }

// Warnings says in one line each what was odd about the input so far. It is
// complete once ReadSamples has returned an error.
func (d *mp3Decoder) Warnings() []string { return d.length.warnings }

// ReadSamples implements Source. It gives the samples of at most one frame, so
// that none waits for input it does not need. Where frames of another format
// follow, the error says so and wraps ErrFormat.
func (d *mp3Decoder) ReadSamples(p []float32) (int, error) {
	channels := d.info.Format.Channels
	if len(p) < channels {
		return 0, io.ErrShortBuffer
	}
	for d.err == nil {
		room := d.length.room(int64(len(p) / channels))
		if d.dry || room == 0 {
			d.err = d.advance()
			continue
		}
		var n int
		n, d.err = d.decode(p[:int(room)*channels])
		if sound := d.length.add(int64(n / channels)); sound > 0 {
			return int(sound) * channels, nil
		}
	}
	return 0, d.err
}

// advance fetches the next frame of sound. What the decoder still holds stays
// there: it is padding, unless more frames come than the tag claims.
func (d *mp3Decoder) advance() error {
	if d.input != nil {
		if _, err := d.decode(nil); err != nil {
			return err
		}
	}
	h, frame, err := d.frames.next()
	if err != nil {
		return d.end(err)
	}
	if err := refuse(h, frame); err != nil {
		return err
	}
	if tag, ok := parseXingTag(h, frame); ok {
		return d.startStream(h, tag)
	}
	d.length.frame()
	d.input, d.dry = frame, false
	return nil
}

// startStream begins anew behind a tag, which is a stream's first frame and
// holds no sound.
func (d *mp3Decoder) startStream(h mpegHeader, tag xingTag) error {
	d.length.check(d.info.Format)
	d.length.start(h, tag)
	d.dry = true
	return d.decoder.restart()
}

// decode gives the decoder the frame in d.input, if there is one, and takes
// out what is ready and fits p.
func (d *mp3Decoder) decode(p []float32) (n int, err error) {
	frame := d.input
	d.input = nil
	n, d.dry, err = d.decoder.decode(frame, p)
	return n, err
}

// end turns what ended the frames into what ReadSamples returns.
func (d *mp3Decoder) end(cause error) error {
	d.length.check(d.info.Format)
	d.length.left(d.frames.skipped)
	d.length.silenced(d.decoder.silenced)
	at := d.info.Format.Duration(d.length.delivered).Seconds()
	var change *formatChangeError
	switch {
	case errors.Is(cause, io.EOF):
		return io.EOF
	case errors.As(cause, &change):
		return fmt.Errorf("%w: mp3: %v follows %v after %.3f s", ErrFormat, change.to, d.info.Format, at)
	}
	return fmt.Errorf("mp3: after %.3f s: %w", at, cause)
}

// Close frees the decoder. The reader stays open.
func (d *mp3Decoder) Close() error {
	d.decoder.close()
	d.err = errMP3Closed
	return nil
}

var errMP3Closed = errors.New("mp3: read after Close")
