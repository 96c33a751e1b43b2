package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"

	"echocast/internal/child"
)

// asrRate is the sampling rate in Hz of what a recogniser gets.
const asrRate = 16000

// hearAlong hears rooms, one after the other, on the connections by which
// somebody speaks, and writes what is said until stop is called. Between a room
// that is lost and the next there is silence. stop waits for the end, which is an
// error only where the samples were not taken.
func hearAlong(ctx context.Context, rooms <-chan ears, from string, to io.Writer, out *reporter) (stop func() error, err error) {
	r, err := startRecogniser(asrRate, 0, to)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var listening sync.WaitGroup
	var failed error
	listening.Go(func() { hearEach(ctx, rooms, from, r, out) })
	listening.Go(func() {
		err := r.write(ctx)
		if context.Cause(ctx) == nil {
			failed = err
		}
		cancel(err)
	})
	return func() error {
		cancel(errRoomOver)
		listening.Wait()
		return failed
	}, nil
}

// hearEach hears one room after the other, until ctx ends.
func hearEach(ctx context.Context, rooms <-chan ears, from string, r *recogniser, out *reporter) {
	for {
		select {
		case room := <-rooms:
			err := room.Hear(ctx, from, r.packet, r.left)
			if ctx.Err() == nil && !errors.Is(err, errRoomOver) {
				out.warn("nothing is heard now: %v", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// along opens the file of --hear, and hears into it.
func (s *sending) along(ctx context.Context, rooms <-chan ears, out *reporter) (stop func() error, err error) {
	if s.hear == "" {
		return func() error { return nil }, nil
	}
	h := &hearing{rate: asrRate}
	h.streams = s.streams
	written, err := h.open(ctx, s.hear)
	if err != nil {
		return nil, fmt.Errorf("--hear %w", err)
	}
	end, err := hearAlong(ctx, rooms, s.hearFrom, written, out)
	if err != nil {
		return nil, first(err, written.close())
	}
	return func() error { return first(end(), written.close()) }, nil
}

// recognition is the command of converse --asr: it gets the samples of the user,
// and prints a line for each utterance.
type recognition struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	kill    context.CancelFunc
	hush    func() error
	reading sync.WaitGroup
}

// recognise starts the command, which tells heard what it understands.
func recognise(ctx context.Context, line string, rooms <-chan ears, out *reporter, heard func(heardUser)) (*recognition, error) {
	ctx, kill := context.WithCancel(ctx)
	r := &recognition{command: child.Shell(ctx, line), kill: kill}
	r.command.Stderr = out.people
	fail := func(err error) (*recognition, error) {
		kill()
		return nil, fmt.Errorf("--asr: %w", err)
	}
	stdout, err := r.command.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	if r.stdin, err = r.command.StdinPipe(); err != nil {
		return fail(err)
	}
	if err := r.command.Start(); err != nil {
		return fail(err)
	}
	r.reading.Go(func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if text := strings.TrimSpace(lines.Text()); text != "" {
				heard(heardUser{text: text})
			}
		}
		heard(heardUser{err: errors.New("--asr: the command has ended, and nobody else listens to the user")})
	})
	if r.hush, err = hearAlong(ctx, rooms, hearUser, r.stdin, out); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// close ends the command, by force, because it may be waiting for what will not
// come, and the hearing.
func (r *recognition) close() {
	r.kill()
	if r.hush != nil {
		_ = r.hush() // a command that takes no more has ended, which is told
	}
	_ = r.stdin.Close()
	r.reading.Wait()
	_ = r.command.Wait() // it was killed
}
