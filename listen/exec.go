package listen

import (
	"bytes"
	"cmp"
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

// Limits of --exec.
const (
	maxWaiting = 1024    // events that wait for the command
	maxPrinted = 1 << 20 // bytes that a command may print
)

// Executor runs a command for each event, and sends the messages that it prints. A
// nil Executor does nothing.
type Executor struct {
	ExecOptions

	waiting chan job
	missed  int // events that add dropped
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

// ExecOptions configure an Executor.
type ExecOptions struct {
	Line    string        // command line for the shell
	Timeout time.Duration // of one run
	Jobs    int           // how many runs at the same time; 0: 1, in the order of the events
	// SendErrors answers a tool call whose command fails or takes too long with an
	// error result.
	SendErrors bool
	Linger     time.Duration // how long Close waits for running commands
	Send       func(ctx context.Context, msg echo.Message) error
	Say, Warn  Report
	Stderr     io.Writer // receives the commands' standard error
}

// job is one event for the command.
type job struct {
	event echo.Event
	line  []byte // the event as JSON
}

// NewExecutor starts an Executor with a goroutine for each of its Jobs. The caller
// closes it.
func NewExecutor(o ExecOptions) *Executor {
	e := &Executor{ExecOptions: o, waiting: make(chan job, maxWaiting)}
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	for range max(1, o.Jobs) {
		e.ended.Go(func() { e.work(ctx) })
	}
	return e
}

// work runs the commands that wait, until Close.
func (e *Executor) work(ctx context.Context) {
	for next := range e.waiting {
		if ctx.Err() != nil {
			return
		}
		e.run(ctx, next)
	}
}

// add queues an event. It drops the event if too many wait.
func (e *Executor) add(event echo.Event, line []byte) {
	if e == nil {
		return
	}
	select {
	case e.waiting <- job{event, line}:
	default:
		if e.missed++; e.missed == 1 {
			e.Warn("--exec: %d events wait for the command; new events are dropped", maxWaiting)
		}
	}
}

// Close waits for the commands of queued events, for at most Linger.
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

// resultTimeout bounds the time for sending the error result of a failed command.
const resultTimeout = 2 * time.Second

// run runs the command for an event, and reports its error, if any.
func (e *Executor) run(stopped context.Context, j job) {
	err := e.one(stopped, j.line)
	if err == nil {
		return
	}
	e.Warn("--exec: %v", err)
	call := j.event.ToolCall
	if !e.SendErrors || call == nil || call.ID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(stopped), resultTimeout)
	defer cancel()
	result := echo.ToolResult{ToolCallID: call.ID, Output: echo.ToolText(err.Error()), Status: echo.ToolError}
	if failed := e.Send(ctx, result); failed != nil {
		e.Warn("--exec-errors: %v", failed)
		return
	}
	e.Say("sent %s: %s", result.EventType(), result.Status)
}

// one runs the command for an event, and kills the processes that it leaves behind.
func (e *Executor) one(stopped context.Context, event []byte) error {
	ctx, cancel := context.WithTimeout(stopped, e.Timeout)
	defer cancel()
	cmd := child.Shell(ctx, e.Line)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(append(event, '\n')), e.Stderr
	process, err := child.Start(cmd)
	if err != nil {
		return err
	}
	printed, err := io.ReadAll(io.LimitReader(process.Stdout, maxPrinted+1))
	isOver := len(printed) > maxPrinted
	if isOver {
		process.Kill()
	}
	err = cmp.Or(process.Wait(), err)
	switch {
	case isOver:
		return fmt.Errorf("the command printed more than %d bytes; nothing was sent", maxPrinted)
	case stopped.Err() != nil:
		return errors.New("the command was killed because listen ended")
	case ctx.Err() != nil:
		return fmt.Errorf("the command took longer than %v", e.Timeout)
	case err != nil:
		return fmt.Errorf("the command failed: %w", err)
	}
	return e.answer(ctx, printed)
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
			return fmt.Errorf("the command did not print JSON: %w", err)
		}
		if echo.Raw(msg).EventType() == "" {
			return errors.New("the command printed an object without event_type, which is not a message")
		}
		if err := e.Send(ctx, echo.Raw(msg)); err != nil {
			return err
		}
		e.Say("sent %s", echo.Raw(msg).EventType())
	}
}
