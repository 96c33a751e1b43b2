package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"echocast/audio"
	"echocast/internal/shutdown"
	"echocast/internal/terminal"
	"echocast/internal/text"
	"echocast/speak"
)

// stdinName is the input that stands for standard input.
const stdinName = speak.Stdin

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
	file, err := os.Stat(name)
	isPipe := name == stdinName || err == nil && !file.Mode().IsRegular()
	switch {
	case isPipe && s.prepare.Loudness != 0:
		return usagef("--loudness reads its input twice, which only a file allows; give --gain for %s, or "+
			"save it to a file first", speak.Title(name))
	case name == stdinName && terminal.Is(stdin):
		return usagef("standard input is a terminal; %s", pipeAudio)
	}
	return explained(speak.Check(ctx, name, &s.prepare))
}

// pipeAudio says what to type.
const pipeAudio = "pipe audio into it, for example: espeak-ng --stdout hello | echocast send -"

// explained adds the option that helps to an error of an input.
func explained(err error) error {
	if _, ok := errors.AsType[*audio.OptionError](err); ok {
		return optionError(err)
	}
	if wrong, ok := errors.AsType[*audio.RateError](err); ok {
		return fmt.Errorf("%w; leave out %s to believe the header, or add --force-format to believe %[2]s", err, wrong.By)
	}
	if errors.Is(err, audio.ErrUnknownFormat) {
		return fmt.Errorf("%w, for example: -f s16le --rate 24000 --channels 1", err)
	}
	in, isInput := errors.AsType[*speak.InputError](err)
	if isInput && in.Name == speak.Title(stdinName) && errors.Is(err, audio.ErrEmpty) {
		return fmt.Errorf("%w; %s", err, pipeAudio)
	}
	if _, ok := errors.AsType[*audio.LengthError](err); ok {
		return fmt.Errorf("%w; --max-duration TIME allows more", err)
	}
	return err
}

// inputFailure returns why an input was not spoken: the cause of ctx if that has ended, or
// err with the option that helps.
func inputFailure(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return shutdown.Cause(ctx, explained(err))
}

// describe returns the codec, the format and the length of an input, for people.
func describe(in *speak.Input) string {
	info := in.Audio.Info()
	text := fmt.Sprintf("%s, %s", info.Codec, info.Format)
	if info.Declared >= 0 {
		text += fmt.Sprintf(", %.3f s", info.Format.Duration(info.Declared).Seconds())
	}
	return text
}

// inputError is an error of an input, or of another file that is read.
func inputError(name string, err error) error { return &speak.InputError{Name: name, Err: plain(err)} }

// plain removes the operation and the path from a file error: the message already names the
// input.
func plain(err error) error { return text.WithoutPath(err) }

// named returns err with the name of the file that it is about.
func named(file string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", file, plain(err))
}
