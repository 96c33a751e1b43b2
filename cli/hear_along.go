package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"

	"echocast/hear"
	"echocast/internal/child"
	"echocast/room"
)

// asrRate is the sampling rate in Hz of what a recogniser gets.
const asrRate = 16000

// hearAlong hears a room on the connections by which somebody speaks, and writes
// what is said until stop is called. Between a connection that is lost and the
// next there is silence. stop waits for the end, which is an error only where the
// samples were not taken.
func hearAlong(ctx context.Context, from *room.Room, who string, to io.Writer, out *reporter) (stop func() error, err error) {
	stream, err := hear.NewStream(asrRate, to)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var recording sync.WaitGroup
	recording.Go(func() {
		cancel(stream.Record(ctx, 0, func(ctx context.Context) error {
			from.HearOn(ctx, who, stream.Packet, stream.Left, func(err error) {
				if !hasEnded(err) {
					out.warn("nothing is heard now: %v", err)
				}
			})
			<-ctx.Done()
			return context.Cause(ctx)
		}))
	})
	return func() error {
		cancel(room.ErrOver)
		recording.Wait()
		if err := context.Cause(ctx); !hasEnded(err) {
			return err
		}
		return nil
	}, nil
}

// along opens the file of --hear, and hears into it.
func (s *sendCmd) along(ctx context.Context, from *room.Room, out *reporter) (stop func() error, err error) {
	if s.hear == "" {
		return func() error { return nil }, nil
	}
	h := &hearCmd{streams: s.streams, rate: asrRate}
	written, err := h.open(ctx, s.hear)
	if err != nil {
		return nil, fmt.Errorf("--hear %w", err)
	}
	end, err := hearAlong(ctx, from, s.hearFrom, written, out)
	if err != nil {
		return nil, cmp.Or(err, written.close())
	}
	return func() error { return cmp.Or(end(), written.close()) }, nil
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
func recognise(ctx context.Context, line string, from *room.Room, out *reporter, heard func(heardUser)) (*recognition, error) {
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
	if r.hush, err = hearAlong(ctx, from, room.User, r.stdin, out); err != nil {
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
