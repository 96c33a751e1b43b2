package hear

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"echocast/internal/child"
	"echocast/internal/outfile"
	"echocast/internal/text"
)

// ErrCommandEnded reports that the command of ToCommand stopped reading.
var ErrCommandEnded = errors.New("the command has ended")

// Output receives the samples of a Stream, with a WAV header if asked for. It must be
// closed.
type Output struct {
	io.Writer
	finish func() error
	hurry  func() // see hurrier
}

// hurrier is a writer whose write may block for ever. Hurry is called when no more follows. It
// unblocks a write after a while.
type hurrier interface{ Hurry() }

// Hurry ends a command that does not read what is left. It does nothing for other outputs.
func (o *Output) Hurry() { o.hurry() }

// Close completes a file, or ends a command.
func (o *Output) Close() error { return o.finish() }

// To returns an Output that writes to w and does not close it. isWAV adds a WAV header
// for a rate in Hz.
func To(w io.Writer, isWAV bool, rate int) (*Output, error) {
	return begin(&Output{w, func() error { return nil }, func() {}}, isWAV, rate)
}

// ToFile returns an Output that creates a file and completes its WAV header.
func ToFile(name string, isWAV bool, rate int) (*Output, error) {
	file, err := outfile.Create(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, text.WithoutPath(err))
	}
	return begin(&Output{file, func() error {
		var failed error
		if isWAV {
			failed = CompleteWAV(file)
		}
		return text.WithoutPath(errors.Join(failed, file.Close()))
	}, func() {}}, isWAV, rate)
}

// ToCommand returns an Output that writes to the standard input of a shell command. The
// command's own output goes to stdout and stderr. Close waits up to linger for the command
// to end by itself, and Hurry for it to read on.
func ToCommand(ctx context.Context, line string, stdout, stderr io.Writer, linger time.Duration, isWAV bool,
	rate int) (*Output, error) {
	commandCtx, kill := context.WithCancel(context.WithoutCancel(ctx))
	cmd := child.Shell(commandCtx, line)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		kill()
		return nil, err
	}
	process, err := child.Start(cmd)
	if err != nil {
		kill()
		return nil, err
	}
	return begin(&Output{commandWriter{stdin}, func() error {
		_ = stdin.Close()
		defer time.AfterFunc(linger, kill).Stop()
		defer kill()
		err := process.Wait()
		if _, failed := errors.AsType[*exec.ExitError](err); failed {
			return fmt.Errorf("the command failed: %w", err)
		}
		return nil
	}, func() { time.AfterFunc(linger, kill) }}, isWAV, rate)
}

func begin(o *Output, isWAV bool, rate int) (*Output, error) {
	if !isWAV {
		return o, nil
	}
	if _, err := o.Write(WAVHeader(rate)); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// commandWriter returns ErrCommandEnded once the command has stopped reading.
type commandWriter struct{ io.Writer }

func (w commandWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		err = ErrCommandEnded
	}
	return n, err
}
