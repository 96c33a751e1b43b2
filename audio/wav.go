package audio

import (
	"bufio"
	"errors"
	"io"
	"math"
	"slices"
)

// wav reads the samples of a WAV file, and of WAV files that follow it in the same stream with
// the same format. So `cat a.wav b.wav` is one utterance, as is the output of services that put
// a header before every piece of speech.
//
// This package reads WAV itself for several reasons. go-audio/wav reads float, A-law and mu-law
// samples as integers. It returns nothing if the data size is 0xFFFFFFFF, as in every pipe from
// ffmpeg. It allocates as much memory as a chunk claims to have. And go-audio/riff reads a
// truncated chunk size as 0.
type wav struct {
	r         *bufio.Reader
	header    wavHeader // of the run that is being read
	isChanged bool      // its format differs from the run before, which was not reported yet
	run       wavRun
	body      wavBody
	declared  int64 // frames of the first run, or -1
	frames    int64 // delivered from this run
	left      int64 // frames of this run still to deliver; the rest is padding
	end       *inputEnd
	warnings  warnings
	err       error
}

// wavBody decodes the bytes of one run after another, all with the same format.
type wavBody interface {
	ReadSamples(p []float32) (int, error)
	restart(c codec)
	leftover() int // bytes at the end of a run that are not a whole frame
}

// openWAV reads the first header. end determines how much of r is left; nil: not known.
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

// Info describes the input according to its first header.
func (w *wav) Info() Info {
	return Info{Container: "wav", Codec: w.header.codec.name, Format: w.header.format, Declared: w.declared}
}

// LFE returns the channel for low-frequency effects, or -1.
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

// endOfRun adds warnings about the oddities of a run.
func (w *wav) endOfRun() {
	if n := w.body.leftover(); n > 0 && !(n == 1 && w.run.isPadded()) {
		w.warnings.add("%s", leftOutWarning(n, w.header.unit()))
	}
	if w.run.short() {
		w.warnings.add("%s", endsEarly(w.header.format, w.header.frames(), w.frames))
	}
}

// next begins the run after the one that ended. If there is none, the error is io.EOF. Whether
// there is one is known only once more input arrives, or the input ends.
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

// trailer describes what is left out after the samples.
func (w *wav) trailer() string {
	return "what follows the samples is no WAV chunk and left out: " +
		w.end.rest().asSamples(w.header.format, w.header.unit())
}
