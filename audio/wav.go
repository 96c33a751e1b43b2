package audio

import (
	"bufio"
	"errors"
	"io"
	"math"
	"slices"
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
	r         *bufio.Reader
	header    wavHeader // of the run that is being read
	isChanged bool      // it has another format than the one before, which was not told yet
	run       wavRun
	body      wavBody
	declared  int64 // frames of the first run, or -1
	frames    int64 // delivered from this run
	left      int64 // frames of this run still to deliver; what follows is padding
	end       *inputEnd
	warnings  warnings
	err       error
}

// wavBody decodes the bytes of one run after another, all with the same format.
type wavBody interface {
	ReadSamples(p []float32) (int, error)
	restart(c codec)
	leftover() int // bytes at the end of a run that are no whole frame
}

// openWAV reads the first header. end tells what is left of r; nil: that is not known.
func openWAV(r *bufio.Reader, end *inputEnd) (*wav, error) {
	w := &wav{r: r, end: end}
	header, err := w.readHeader()
	if err != nil {
		return nil, err
	}
	w.begin(header)
	w.declared = header.frames()
	return w, nil
}

func (w *wav) readHeader() (wavHeader, error) {
	header, err := readWAVHeader(w.r)
	if err == nil && w.end.isFile() {
		header.correctSize(w.end.fileLeft())
	}
	for _, warning := range header.warnings {
		w.warnings.add("%s", warning)
	}
	return header, err
}

// begin starts a run of samples.
func (w *wav) begin(header wavHeader) {
	if w.body == nil || header.kind() != w.header.kind() {
		if header.codec.blocks != nil {
			w.body = newBlockReader(&w.run, header.format.Channels)
		} else {
			w.body = newPCM(&w.run, header.format, header.codec)
		}
	}
	w.header = header
	w.run = wavRun{r: w.r, size: header.size, unit: int64(header.boundary())}
	w.body.restart(header.codec)
	w.frames, w.left = 0, math.MaxInt64
	if header.isPadded() {
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

func (w *wav) Warnings() []string {
	if samples, ok := w.body.(*pcm); ok {
		return slices.Concat(w.warnings, samples.notNumbersWarning())
	}
	return w.warnings
}

func (w *wav) Close() error { return nil }

func (w *wav) ReadSamples(p []float32) (int, error) {
	for w.err == nil {
		if w.isChanged {
			w.isChanged = false
			return 0, errFormatChange
		}
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
	if n := w.body.leftover(); n > 0 && !(n == 1 && w.run.isPadded()) {
		w.warnings.add("%s", leftOutWarning(n, w.header.unit()))
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
		w.warnings.add("%s", w.trailer())
		return io.EOF
	}
	if err != nil {
		return err
	}
	header, err := w.readHeader()
	if err != nil {
		return err
	}
	was := w.header.format
	w.begin(header)
	if header.format != was {
		w.isChanged = true
	}
	return nil
}

// trailer says what is left out behind the samples.
func (w *wav) trailer() string {
	return "what follows the samples is no WAV chunk and left out: " +
		w.end.rest().asSamples(w.header.format, w.header.unit())
}
