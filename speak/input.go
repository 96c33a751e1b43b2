// Package speak speaks audio files and standard input through a session, one
// utterance each.
package speak

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/text"
)

// Stdin is the name that stands for standard input.
const Stdin = "-"

// Audio is audio ready to be spoken: an *audio.Prepared, or the sentences of an answer.
type Audio interface {
	audio.Source
	Info() audio.Info
	FramesRead() int64
	Warnings() []string
	Words() []audio.Word
	Close() error
}

// Input is an opened input: an audio file, or standard input.
type Input struct {
	Name   string
	Audio  Audio // nil until the input is prepared
	Reader io.Reader

	feed *echo.Feed // reads Audio ahead; nil: nobody does
}

// InputError reports an error of one input.
type InputError struct {
	Name string // the name in messages, as Title returns it
	Err  error
}

// Error names the input and says why.
func (e *InputError) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *InputError) Unwrap() error { return e.Err }

// Open opens an input and prepares its audio. The name Stdin stands for stdin, which
// stays open. An error is an *InputError, or an *audio.OptionError. The caller closes
// the input.
func Open(ctx context.Context, name string, stdin io.Reader, o *audio.PrepareOptions) (*Input, error) {
	in, err := OpenReader(name, stdin)
	if err != nil {
		return nil, err
	}
	prepared, err := audio.Prepare(ctx, in.Reader, o)
	if err != nil {
		in.Close()
		return nil, in.Refused(err)
	}
	in.Audio = prepared
	return in, nil
}

// OpenReader opens the reader of an input, and leaves Audio nil. The caller closes the
// input.
func OpenReader(name string, stdin io.Reader) (*Input, error) {
	if name == Stdin {
		return &Input{Name: name, Reader: stdin}, nil
	}
	file, err := os.Open(name)
	switch isURL := strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "http://"); {
	case err != nil && isURL:
		return nil, &InputError{name, errors.New("an input is a file, not a URL; " +
			"pipe it: curl -s URL | echocast send -")}
	case err != nil:
		return nil, &InputError{name, text.WithoutPath(err)}
	}
	return &Input{Name: name, Reader: file}, nil
}

// OpenStdin waits for the first byte of stdin, and prepares its audio.
func OpenStdin(ctx context.Context, stdin io.Reader, o *audio.PrepareOptions) (*Input, error) {
	first := peekedReader{Reader: bufio.NewReader(stdin)}
	first.Closer, _ = stdin.(io.Closer)
	if _, err := first.Peek(1); errors.Is(err, io.EOF) {
		return nil, &InputError{Title(Stdin), errors.New("the input is empty")}
	}
	return Open(ctx, Stdin, first, o)
}

// peekedReader is standard input after its first byte has been read ahead.
type peekedReader struct {
	*bufio.Reader
	io.Closer
}

// Close ends a read that blocks, if standard input can be closed.
func (p peekedReader) Close() error {
	if p.Closer == nil {
		return nil
	}
	return p.Closer.Close()
}

// Check returns the error that Open or the first read would return for a file. It opens
// no pipe, because that would consume its data.
func Check(ctx context.Context, name string, o *audio.PrepareOptions) error {
	if file, err := os.Stat(name); err == nil && file.IsDir() {
		return &InputError{name, errors.New("is a directory; name the audio files in it")}
	} else if name == Stdin || err == nil && !file.Mode().IsRegular() {
		return nil
	}
	unmeasured := *o
	unmeasured.Loudness = 0
	in, err := Open(ctx, name, nil, &unmeasured)
	if err != nil {
		return err
	}
	defer in.Close()
	var sample [16]float32
	if _, err := in.Audio.ReadSamples(sample[:]); errors.Is(err, io.EOF) {
		return &InputError{in.Title(), echo.ErrNoAudio}
	}
	return nil
}

// Refused adds the name of the input to an error of preparing it.
func (in *Input) Refused(err error) error {
	if _, ok := errors.AsType[*audio.OptionError](err); ok || err == nil {
		return err
	}
	if failed := in.Failed(err); failed != err {
		return failed
	}
	return &InputError{in.Title(), text.WithoutPath(err)}
}

// Failed adds the name of the input to an *audio.InputError, and returns other errors
// unchanged.
func (in *Input) Failed(err error) error {
	if broken, ok := errors.AsType[*audio.InputError](err); ok {
		return &InputError{in.Title(), &audio.InputError{At: broken.At, Err: text.WithoutPath(broken.Err)}}
	}
	if errors.Is(err, echo.ErrNoAudio) {
		return &InputError{in.Title(), echo.ErrNoAudio}
	}
	return err
}

// IsFile reports whether the input is a regular file, which is always ready to be
// read.
func (in *Input) IsFile() bool {
	file, ok := in.Reader.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode().IsRegular()
}

// Warnings returns the remarks of Audio, or none while it is still being read: they are
// complete only at its end.
func (in *Input) Warnings() []string {
	if in.feed != nil && in.feed.IsReading() {
		return nil
	}
	return in.Audio.Warnings()
}

// Title returns the name of the input in messages.
func (in *Input) Title() string { return Title(in.Name) }

// Title returns the name of an input in messages.
func Title(name string) string {
	if name == Stdin {
		return "standard input"
	}
	return name
}

// Close frees the input. It closes the reader first, because a decoder may wait for a
// read; standard input is left open.
func (in *Input) Close() {
	if in.Name != Stdin {
		in.Abort()
	}
	if in.Audio != nil {
		_ = in.Audio.Close() // only frees memory
		in.Audio = nil
	}
}

// Abort closes the reader of the input, which unblocks a read.
func (in *Input) Abort() {
	if closer, ok := in.Reader.(io.Closer); ok {
		_ = closer.Close() // it was only read
	}
}
