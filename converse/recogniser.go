package converse

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"echocast/internal/child"
	"echocast/internal/sleep"
)

// Limits of restarting a recogniser.
const (
	firstRestart    = time.Second
	maxRestart      = 30 * time.Second
	maxFailedStarts = 5       // in a row, without a line
	maxLine         = 1 << 20 // bytes of an utterance
)

// recognise runs the recogniser until ctx ends, restarts it when it exits, and passes
// on its lines. A recogniser that keeps exiting without a line ends the conversation.
func (c *conversation) recognise(ctx context.Context, hand func(userEvent) bool) {
	in := &switchWriter{}
	hush, err := c.options.Listen(ctx, in)
	if err != nil {
		hand(userEvent{err: &CommandError{"recogniser", err}})
		return
	}
	pause := firstRestart
	for failures := 0; failures < maxFailedStarts && ctx.Err() == nil; failures++ {
		isUseful, err := c.understand(ctx, in, hand)
		if ctx.Err() != nil {
			break
		}
		if isUseful {
			failures, pause = -1, firstRestart
		}
		c.note(Note{Kind: NoteFailed, Answer: "recogniser", Reason: fmt.Sprintf("%v; it starts again in %v", err, pause)})
		_ = sleep.For(ctx, pause) // the loop checks ctx
		pause = min(2*pause, maxRestart)
	}
	err = hush()
	if ctx.Err() == nil {
		hand(userEvent{
			err: errors.Join(&CommandError{"recogniser", fmt.Errorf("ended %d times without a line", maxFailedStarts)}, err)})
	}
}

// recogniseOnce runs the recogniser until it exits, and reports whether it printed
// anything. The error says why it exited.
func (c *conversation) recogniseOnce(ctx context.Context, in *switchWriter,
	hand func(userEvent) bool) (isUseful bool, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cmd := child.Shell(ctx, c.options.Recogniser)
	cmd.Stderr = c.options.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return false, &CommandError{"recogniser", err}
	}
	process, err := child.Start(cmd)
	if err != nil {
		return false, &CommandError{"recogniser", err}
	}
	in.use(stdin)
	for text, err := range readLines(process.Stdout) {
		if err != nil {
			c.note(Note{Kind: NoteFailed, Answer: "recogniser", Reason: err.Error()})
			continue
		}
		isUseful = true
		if !hand(userEvent{kind: userSaid, text: text}) {
			stop()
			break
		}
	}
	_, err = process.WaitFor(exitTimeout)
	in.use(nil)
	if err == nil {
		err = errors.New("exit status 0")
	}
	return isUseful, &CommandError{"recogniser", fmt.Errorf("ended: %w", err)}
}

// readLines yields the lines of r that are not empty. Text after a carriage return
// replaces the text before it, as on a terminal, because recognisers show partial results
// in this way. A line that is too long is skipped and yields an error.
func readLines(r io.Reader) func(yield func(string, error) bool) {
	return func(yield func(string, error) bool) {
		reader := bufio.NewReader(r)
		var line []byte
		isTooLong := false
		for {
			part, err := reader.ReadSlice('\n')
			line = overwrite(line, part)
			if isTooLong = isTooLong || len(bytes.TrimRight(line, "\r\n")) > maxLine; isTooLong {
				line = line[:0]
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			text := strings.TrimSpace(string(line))
			switch {
			case isTooLong:
				if !yield("", fmt.Errorf("a line of more than %d bytes was left out", maxLine)) {
					return
				}
			case text != "" && !yield(text, nil):
				return
			}
			line, isTooLong = line[:0], false
			if err != nil {
				return
			}
		}
	}
}

// overwrite appends part to line; a carriage return in it discards the text before.
func overwrite(line, part []byte) []byte {
	end := len(bytes.TrimRight(part, "\r\n"))
	if end > 0 && bytes.HasSuffix(line, []byte("\r")) {
		line = line[:0]
	}
	if at := bytes.LastIndexByte(part[:end], '\r'); at >= 0 {
		line, part = line[:0], part[at+1:]
	}
	return append(line, part...)
}

// switchWriter writes to the running command. It drops what is written while no command runs.
type switchWriter struct {
	mu sync.Mutex
	to io.WriteCloser
}

func (s *switchWriter) use(to io.WriteCloser) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to != nil {
		_ = s.to.Close() // its command has ended
	}
	s.to = to
}

func (s *switchWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	to := s.to
	s.mu.Unlock()
	if to != nil {
		_, _ = to.Write(p) // fails only if the command has ended, which is reported elsewhere
	}
	return len(p), nil
}
