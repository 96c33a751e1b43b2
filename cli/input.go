package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/terminal"
)

// stdinName is the input that stands for standard input.
const stdinName = "-"

// input is one opened input: an audio file, or standard input, that is ready to
// be spoken.
type input struct {
	name   string
	reader io.Reader
	audio  preparedAudio
}

// preparedAudio is audio that is ready to be spoken: an *audio.Prepared, or the
// sentences of an answer.
type preparedAudio interface {
	audio.Source
	Info() audio.Info
	FramesRead() int64
	Warnings() []string
	Words() []audio.Word
	Close() error
}

func checkNames(names []string) error {
	if len(names) == 0 {
		return usagef("name an input: an audio file, or - for standard input")
	}
	stdin := 0
	for _, name := range names {
		if name == stdinName {
			stdin++
		}
	}
	if stdin > 1 {
		return usagef("standard input can be read once; - is named %d times", stdin)
	}
	return nil
}

// checkInputs opens the inputs that are files, and closes them again, so that one
// that cannot be spoken is refused before anything is said.
func checkInputs(ctx context.Context, names []string, stdin io.Reader, s *settings) error {
	for _, name := range names {
		if err := s.checkInput(ctx, name, stdin); err != nil {
			return err
		}
	}
	return nil
}

func (s *settings) checkInput(ctx context.Context, name string, stdin io.Reader) error {
	file := fileInfo(name)
	isFile := file != nil && file.Mode().IsRegular()
	switch {
	case name == stdinName && s.prepare.Loudness != 0, file != nil && !isFile && s.prepare.Loudness != 0:
		return usagef("--loudness reads its input twice, which only a file allows; give --gain for %s, or "+
			"save it to a file first", inputTitle(name))
	case name == stdinName && terminal.Is(stdin):
		return usagef("standard input is a terminal; pipe audio into it, for example: espeak-ng --stdout " +
			"hello | echocast send -")
	case name == stdinName:
		return nil
	case file != nil && file.IsDir():
		return &inputError{name, errors.New("is a directory; name the audio files in it")}
	case file != nil && !isFile:
		return nil // opening a pipe would take what comes from it
	}
	unmeasured := s.prepare
	unmeasured.Loudness = 0
	in, err := openInput(ctx, name, stdin, &unmeasured)
	if err != nil {
		return err
	}
	defer in.close()
	var sample [16]float32
	if _, err := in.audio.ReadSamples(sample[:]); errors.Is(err, io.EOF) {
		return &inputError{in.title(), echo.ErrNoAudio}
	}
	return nil
}

// fileInfo describes the file that is an input; nil where there is none.
func fileInfo(name string) os.FileInfo {
	if name == stdinName {
		return nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil
	}
	return info
}

// openInput opens one input and prepares it. The caller closes it.
func openInput(ctx context.Context, name string, stdin io.Reader, o *audio.PrepareOptions) (*input, error) {
	in, err := openFile(name, stdin)
	if err != nil {
		return nil, err
	}
	prepared, err := audio.Prepare(ctx, in.reader, o)
	if err != nil {
		in.close()
		return nil, in.refused(err)
	}
	in.audio = prepared
	return in, nil
}

// openFile opens what an input is read from.
func openFile(name string, stdin io.Reader) (*input, error) {
	if name == stdinName {
		return &input{name: name, reader: stdin}, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, &inputError{name, plain(err)}
	}
	return &input{name: name, reader: file}, nil
}

// refused is an error of preparing the input, with the options that mend it.
func (in *input) refused(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*audio.OptionError](err); ok {
		return optionError(err)
	}
	if wrong, ok := errors.AsType[*audio.RateError](err); ok {
		err = fmt.Errorf("%w; leave out %s to believe the header, or add --force-format to believe %[2]s", wrong, wrong.By)
	}
	err = lengthened(err)
	if failed := in.failed(err); failed != err {
		return failed
	}
	return &inputError{in.title(), plain(err)}
}

// lengthened says which option allows an input that was too long.
func lengthened(err error) error {
	if long, ok := err.(*audio.LengthError); ok {
		return fmt.Errorf("%w; --max-duration TIME allows more", long)
	}
	return err
}

// isFile reports whether the input is a regular file, which is always ready to
// be read.
func (in *input) isFile() bool {
	file, ok := in.reader.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode().IsRegular()
}

// title is how the input is called in messages.
func (in *input) title() string { return inputTitle(in.name) }

func inputTitle(name string) string {
	if name == stdinName {
		return "standard input"
	}
	return name
}

// describe says what was found, for people.
func (in *input) describe() string {
	info := in.audio.Info()
	text := fmt.Sprintf("%s, %s", info.Codec, info.Format)
	if info.Declared >= 0 {
		text += fmt.Sprintf(", %.3f s", info.Format.Duration(info.Declared).Seconds())
	}
	return text
}

// failed names the input in an error of its own, and leaves others as they are.
func (in *input) failed(err error) error {
	if broken, ok := errors.AsType[*audio.InputError](err); ok {
		return &inputError{in.title(), &audio.InputError{At: broken.At, Err: lengthened(plain(broken.Err))}}
	}
	if errors.Is(err, echo.ErrNoAudio) {
		return &inputError{in.title(), echo.ErrNoAudio}
	}
	return err
}

// close frees the input. What is read from is closed first, because a decoder
// may wait for a read of it; standard input is left to its owner.
func (in *input) close() {
	if in.name != stdinName {
		in.abort()
	}
	if in.audio != nil {
		_ = in.audio.Close() // frees memory; nothing is lost
		in.audio = nil
	}
}

// abort closes what the input is read from, which ends a read that blocks.
func (in *input) abort() {
	if closer, ok := in.reader.(io.Closer); ok {
		_ = closer.Close() // it was only read
	}
}

// plain takes the operation and the path off a file error: the message names
// the input already.
func plain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// named returns err with the name of the file that it is about.
func named(file string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", file, plain(err))
}

// endReads makes a blocked read of stdin return when ctx ends, by closing it.
// It returns what to read from, and what to call when all is read.
func endReads(ctx context.Context, stdin io.Reader) (io.Reader, func()) {
	reader, restore := terminal.Pollable(stdin)
	closer, ok := reader.(io.Closer)
	if !ok {
		return reader, restore
	}
	stop := context.AfterFunc(ctx, func() { _ = closer.Close() })
	return reader, func() {
		stop()
		restore()
	}
}
