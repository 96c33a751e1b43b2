package audio

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
)

// wav reads the samples of a WAV file, and of those that follow it in the same
// stream with the same format: `cat a.wav b.wav`, and services that put a
// header before every piece of speech, are one utterance.
//
// Everything is read here, because go-audio/wav takes float, A-law and mu-law
// samples for integers, gives nothing for the data size 0xFFFFFFFF, which every
// pipe from ffmpeg has, and allocates what a chunk claims to hold; and because
// the chunk walk of go-audio/riff takes a size that is cut off for 0.
type wav struct {
	r        *bufio.Reader
	header   wavHeader // of the run that is being read
	run      wavRun
	body     wavBody
	declared int64 // frames of the first run, or -1
	frames   int64 // delivered from this run
	left     int64 // frames of this run still to deliver; what follows is padding
	warnings warnings
	err      error
}

// wavBody decodes the bytes of one run after another, all with the same format.
type wavBody interface {
	ReadSamples(p []float32) (int, error)
	restart(c codec)
	leftover() int // bytes at the end of a run that are no whole frame
}

func openWAV(r *bufio.Reader) (*wav, error) {
	header, err := readWAVHeader(r)
	if err != nil {
		return nil, err
	}
	w := &wav{r: r}
	if header.codec.blocks != nil {
		w.body = newBlockReader(&w.run, header.format.Channels)
	} else {
		w.body = newPCM(&w.run, header.format, header.codec)
	}
	w.begin(header)
	w.declared = header.frames()
	return w, nil
}

// begin starts a run of samples.
func (w *wav) begin(header wavHeader) {
	w.header = header
	w.run = wavRun{r: w.r, size: header.size, unit: int64(header.boundary())}
	w.body.restart(header.codec)
	w.frames, w.left = 0, math.MaxInt64
	if header.padded() {
		w.left = header.fact
	}
}

func (w *wav) Format() Format { return w.header.format }

// Info tells what the first header says.
func (w *wav) Info() Info {
	return Info{Container: "wav", Codec: w.header.codec.name, Format: w.header.format, Declared: w.declared}
}

// LFE is the channel for low-frequency effects, or -1.
func (w *wav) LFE() int { return w.header.lfe }

func (w *wav) Warnings() []string { return w.warnings }

func (w *wav) Close() error { return nil }

func (w *wav) ReadSamples(p []float32) (int, error) {
	for w.err == nil {
		n, err := w.body.ReadSamples(p)
		if errors.Is(err, io.EOF) {
			w.endOfRun()
			w.err = w.next()
			continue
		}
		w.err = err
		frames := min(int64(n/w.header.format.Channels), w.left)
		w.frames += frames
		w.left -= frames
		if frames > 0 {
			return int(frames) * w.header.format.Channels, nil
		}
	}
	return 0, w.err
}

// endOfRun notes what was odd about a run.
func (w *wav) endOfRun() {
	if n := w.body.leftover(); n > 0 && !(n == 1 && w.run.padded()) {
		w.warnings.add("%s", leftOut(n, w.header.unit()))
	}
	if w.run.short() {
		w.warnings.add("%s", endsEarly(w.header.format, w.header.frames(), w.frames))
	}
}

// next begins the run that follows the one that ended, or gives io.EOF. Whether
// one follows shows only in what the input brings next, or in its end.
func (w *wav) next() error {
	more, err := w.header.passTrailer(w.r)
	if err == nil && more == sameFile {
		w.begin(w.header)
		return nil
	}
	if errors.Is(err, errTrailer) {
		w.warnings.add("%s", err.Error())
		return io.EOF
	}
	if err != nil {
		return err
	}
	header, err := readWAVHeader(w.r)
	if err != nil {
		return err
	}
	if was, is := w.header.kind(), header.kind(); is != was {
		return fmt.Errorf("a WAV header turns the stream from %s into %s; give the two as inputs of their own", was, is)
	}
	w.begin(header)
	return nil
}
