package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"golang.org/x/term"

	"echocast/audio"
	"echocast/echo"
)

// stdinName is the input that stands for standard input.
const stdinName = "-"

// input is one opened input: bytes, decoded, mono, at the rate of the wire.
type input struct {
	name   string
	reader io.Reader
	audio  *audio.Input
	// decoded is the audio, at the rate that is believed.
	decoded   audio.Source
	frames    atomic.Int64 // read of it so far
	resampled audio.Resampled
	source    audio.Source // what is spoken
	trimmed   *audio.Trimmed
	clipped   int64
	notes     []string
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

// checkInputs finds out before anything is said whether the inputs can be: a
// regular file is opened and its header is read, the rest must exist.
func checkInputs(names []string, stdin io.Reader, s *settings) error {
	for _, name := range names {
		if err := s.levels.checkInput(name); err != nil {
			return err
		}
		if name == stdinName {
			if isTerminal(stdin) {
				return usagef("standard input is a terminal; pipe audio into it, for example: espeak-ng --stdout hello | echocast send -")
			}
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return &inputError{name, plain(err)}
		}
		if info.IsDir() {
			return &inputError{name, errors.New("is a directory; name the audio files in it")}
		}
		if !info.Mode().IsRegular() {
			continue
		}
		in, err := openInput(name, stdin, s, 0)
		if err != nil {
			return err
		}
		in.close()
	}
	return nil
}

// openInput opens one input, to be made louder by gain in dB. The caller closes
// it.
func openInput(name string, stdin io.Reader, s *settings, gain float64) (*input, error) {
	in, err := openDecoder(name, stdin, s)
	if err != nil {
		return nil, err
	}
	if err := in.prepare(s, gain); err != nil {
		in.close()
		return nil, &inputError{in.title(), err}
	}
	return in, nil
}

// openDecoder opens one input as far as its samples as they are.
func openDecoder(name string, stdin io.Reader, s *settings) (*input, error) {
	in := &input{name: name, reader: stdin}
	if name != stdinName {
		file, err := os.Open(name)
		if err != nil {
			return nil, &inputError{name, plain(err)}
		}
		in.reader = file
	}
	if err := in.decode(s); err != nil {
		in.close()
		return nil, &inputError{in.title(), plain(err)}
	}
	return in, nil
}

func (in *input) decode(s *settings) error {
	decoded, err := audio.Open(in.reader, &s.audio)
	if err != nil {
		return err
	}
	in.audio = decoded
	in.decoded, err = s.preset.believe(in)
	return err
}

// counter counts the frames that are read from a source.
type counter struct {
	audio.Source
	frames *atomic.Int64
}

func (c *counter) ReadSamples(p []float32) (int, error) {
	n, err := c.Source.ReadSamples(p)
	c.frames.Add(int64(n / c.Format().Channels))
	return n, err
}

// read is how many samples of each channel were read so far.
func (in *input) read() int64 { return in.frames.Load() }

// regular reports whether the input is a file, which never makes anybody wait.
func (in *input) regular() bool {
	file, ok := in.reader.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode().IsRegular()
}

// prepare makes of the decoded audio what is spoken.
func (in *input) prepare(s *settings, gain float64) error {
	mono, err := s.levels.mono(in.decoded)
	if err != nil {
		return err
	}
	if in.resampled, err = audio.ResampleBy(s.method(), &counter{mono, &in.frames}, echo.DefaultRate); err != nil {
		return err
	}
	in.source = s.levels.apply(in, in.resampled, gain)
	return nil
}

// title is how the input is called in messages.
func (in *input) title() string {
	if in.name == stdinName {
		return "standard input"
	}
	return in.name
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
	var broken *audio.InputError
	if errors.As(err, &broken) {
		return &inputError{in.title(), &audio.InputError{At: broken.At, Err: plain(broken.Err)}}
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
	if in.resampled != nil {
		_ = in.resampled.Close() // frees memory; nothing is lost
	}
	if in.audio != nil {
		_ = in.audio.Close()
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

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// endReads makes a blocked read of stdin return when ctx ends, by closing it.
// It returns what to read from, and what to call when all is read.
func endReads(ctx context.Context, stdin io.Reader) (io.Reader, func()) {
	reader, restore := pollable(stdin)
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
