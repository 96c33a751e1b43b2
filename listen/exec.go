package listen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"echocast/echo"
	"echocast/internal/child"
)

// Bounds of --exec.
const (
	maxWaiting = 1024    // events that wait for the command
	maxPrinted = 1 << 20 // bytes that a command may print
)

// Executor runs a command for one event after the other, and sends the messages
// that it prints. A nil Executor does nothing.
type Executor struct {
	ExecOptions

	waiting chan []byte
	missed  int // of add
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

// ExecOptions say what an Executor runs.
type ExecOptions struct {
	Line      string        // of the shell
	Timeout   time.Duration // of one run
	Linger    time.Duration // how long Close waits for what was begun
	Send      func(ctx context.Context, msg echo.Message) error
	Say, Warn Report
	Stderr    io.Writer // of the commands
}

// NewExecutor starts an executor, which has to be closed. It runs one goroutine.
func NewExecutor(o ExecOptions) *Executor {
	e := &Executor{ExecOptions: o, waiting: make(chan []byte, maxWaiting)}
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.ended.Go(func() {
		for event := range e.waiting {
			if ctx.Err() != nil {
				return
			}
			if err := e.one(ctx, event); err != nil {
				e.Warn("--exec: %v", err)
			}
		}
	})
	return e
}

// add hands over an event. One that comes while too many wait is left out.
func (e *Executor) add(event []byte) {
	if e == nil {
		return
	}
	select {
	case e.waiting <- event:
	default:
		if e.missed++; e.missed == 1 {
			e.Warn("--exec: %d events wait for the command; those that come now are left out", maxWaiting)
		}
	}
}

// Close lets the commands of what was added end, but not for long, and waits.
func (e *Executor) Close() {
	if e == nil {
		return
	}
	close(e.waiting)
	limit := time.AfterFunc(e.Linger, e.stop)
	e.ended.Wait()
	limit.Stop()
	e.stop()
}

// one runs the command for an event.
func (e *Executor) one(stopped context.Context, event []byte) error {
	ctx, cancel := context.WithTimeout(stopped, e.Timeout)
	defer cancel()
	printed := &bounded{left: maxPrinted}
	cmd := child.Shell(ctx, e.Line)
	cmd.Stdin = bytes.NewReader(append(event, '\n'))
	cmd.Stdout = printed
	cmd.Stderr = e.Stderr
	switch err := cmd.Run(); {
	case printed.over:
		return fmt.Errorf("the command printed more than %d bytes; nothing of it is sent", maxPrinted)
	case stopped.Err() != nil:
		return errors.New("the command had not ended when listening did, and was killed")
	case ctx.Err() != nil:
		return fmt.Errorf("the command took longer than %v", e.Timeout)
	case err != nil:
		return fmt.Errorf("the command failed: %w", err)
	}
	return e.answer(ctx, printed.kept.Bytes())
}

// answer sends the objects that a command printed.
func (e *Executor) answer(ctx context.Context, printed []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(printed))
	for {
		var msg json.RawMessage
		err := decoder.Decode(&msg)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("what the command printed is no JSON: %w", err)
		}
		if echo.Raw(msg).EventType() == "" {
			return errors.New("what the command printed is no message: it has no event_type")
		}
		if err := e.Send(ctx, echo.Raw(msg)); err != nil {
			return err
		}
		e.Say("sent %s", echo.Raw(msg).EventType())
	}
}

// bounded keeps what is written, up to a bound.
type bounded struct {
	kept bytes.Buffer
	left int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(p) > b.left {
		b.over = true
		return 0, errors.New("too much")
	}
	b.left -= len(p)
	return b.kept.Write(p)
}
