package audio

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"

	"echocast/internal/child"
)

// ffmpegArgs make ffmpeg turn whatever comes on its standard input into 32-bit
// float WAV on its standard output. Its input may name other files or addresses
// (playlists do); the whitelist keeps it from opening any.
var ffmpegArgs = []string{
	"-nostdin", "-hide_banner", "-loglevel", "error",
	"-protocol_whitelist", "pipe", "-i", "pipe:0",
	"-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav", "pipe:1",
}

// ffmpeg is a decoder that is another process. One goroutine feeds it from the
// input, because it reads and writes as it likes; Close ends both.
type ffmpeg struct {
	*wav
	command *exec.Cmd
	stderr  lastLine
	fed     chan error // what ended the feeding: nil at the end of the input
	finish  sync.Once
	failed  error // why the process ended
	err     error
}

// openFFmpeg starts the program and waits for the header of its WAV.
func openFFmpeg(r io.Reader, program string) (decoder, error) {
	d := &ffmpeg{command: exec.Command(program, ffmpegArgs...), fed: make(chan error, 1)}
	d.command.Stderr = &d.stderr
	d.command.Env = child.MinimalEnviron()
	in, err := d.command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("ffmpeg: %w", err)
	}
	out, err := d.command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("ffmpeg: %w", err)
	}
	if err := d.command.Start(); err != nil {
		return nil, fmt.Errorf("ffmpeg: %w", err)
	}
	go func() { d.fed <- feed(in, r) }()
	return d, d.begin(out)
}

// begin reads the header. Without one, the process has ended or is ended.
func (d *ffmpeg) begin(out io.Reader) error {
	dec, err := openWAV(bufio.NewReaderSize(out, pcmBuffer))
	if err == nil {
		d.wav = dec
		return nil
	}
	if errors.Is(err, ErrFormat) { // it wrote no WAV: it says why
		if failed := d.wait(); failed != nil {
			err = failed
		}
	}
	_ = d.Close()
	return err
}

// readError is an error of the input, as opposed to one of the pipe.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

// feed copies r to the process until r ends or the process takes no more.
func feed(in io.WriteCloser, r io.Reader) error {
	_, err := io.Copy(in, markErrors{r})
	_ = in.Close() // the process sees the end of its input
	var broken readError
	if errors.As(err, &broken) {
		return broken.error
	}
	return nil // that the process went away is told by its exit
}

type markErrors struct{ r io.Reader }

func (m markErrors) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = readError{err}
	}
	return n, err
}

func (d *ffmpeg) Info() Info {
	info := d.wav.Info()
	info.Container = "ffmpeg"
	return info
}

// ReadSamples reads what the process writes. Where that ends, the process says
// whether it is the end of the sound.
func (d *ffmpeg) ReadSamples(p []float32) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.wav.ReadSamples(p)
	if errors.Is(err, io.EOF) {
		if failed := d.wait(); failed != nil {
			err = failed
		}
	}
	d.err = err
	return n, err
}

// wait waits for the process, then for the feeding, and says what failed.
func (d *ffmpeg) wait() error {
	d.finish.Do(func() {
		exit := d.command.Wait()
		fed := <-d.fed
		switch {
		case fed != nil:
			d.failed = fed
		case exit != nil, d.stderr.said():
			// It goes on after damage and exits as if all were well; what it
			// says at its level "error" tells.
			d.failed = fmt.Errorf("%w: ffmpeg: %s", ErrFormat, d.stderr.or(exit))
		}
	})
	return d.failed
}

// Close ends the process and waits for it and for the feeding of it. A read of
// the input that is under way is waited for as well.
func (d *ffmpeg) Close() error {
	_ = d.command.Process.Kill() // it may have ended
	_ = d.wait()                 // it was killed, or ReadSamples has told
	if d.err == nil {
		d.err = errFFmpegClosed
	}
	return nil
}

var errFFmpegClosed = errors.New("ffmpeg: read after Close")

// lastLine keeps the beginning of the last line that is written to it.
type lastLine struct {
	text  []byte
	ended bool // the line in text is over
}

const maxLastLine = 512

func (l *lastLine) Write(p []byte) (int, error) {
	for _, part := range bytes.SplitAfter(p, []byte("\n")) {
		if len(part) > 0 && l.ended {
			l.text, l.ended = l.text[:0], false
		}
		l.text = append(l.text, part[:min(len(part), maxLastLine-len(l.text))]...)
		l.ended = l.ended || bytes.HasSuffix(part, []byte("\n"))
	}
	return len(p), nil
}

func (l *lastLine) said() bool { return len(bytes.TrimSpace(l.text)) > 0 }

// or returns the line, or what other says if there is none.
func (l *lastLine) or(other error) string {
	if l.said() {
		return string(bytes.TrimSpace(l.text))
	}
	return other.Error()
}
