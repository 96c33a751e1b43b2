package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode"

	"echocast/echo"
	"echocast/room"
)

// eventSource is where events come from.
type eventSource interface {
	// next returns the next event, room.ErrOver, or what went wrong.
	next(ctx context.Context) (echo.Event, error)
	// send sends a message to where the events come from.
	send(ctx context.Context, msg echo.Message) error
	close() error
}

// roomEvents are the events of a room, which is joined again after a loss.
type roomEvents struct {
	target *target
	over   context.Context // ends a while after the room was shut down; nil before
	ended  context.CancelFunc

	mu    sync.Mutex
	stage echo.Stage
}

func (r *roomEvents) current() echo.Stage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stage
}

// afterShutdown is how long the last words of a room that was shut down are
// waited for: the analysis of a conversation comes after its end.
const afterShutdown = 2 * time.Second

func (r *roomEvents) next(ctx context.Context) (echo.Event, error) {
	if r.over != nil {
		ctx = r.over
	}
	for {
		event, err := r.current().Next(ctx)
		if err == nil {
			if event.Kind == echo.Shutdown && r.over == nil {
				r.over, r.ended = context.WithTimeoutCause(ctx, afterShutdown, room.ErrOver)
			}
			return event, nil
		}
		switch cause := context.Cause(ctx); {
		case cause != nil:
			return echo.Event{}, cause
		case r.over != nil || hasEnded(err):
			return echo.Event{}, room.ErrOver
		}
		if err := r.rejoin(ctx); err != nil {
			return echo.Event{}, err
		}
	}
}

func (r *roomEvents) rejoin(ctx context.Context) error {
	stage, err := echo.Redial(ctx, r.target.redial, r.target.options.reconnectTimeout)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stage = stage
	return nil
}

func (r *roomEvents) send(ctx context.Context, msg echo.Message) error {
	sender, ok := r.current().(echo.MessageSender)
	if !ok {
		return echo.ErrUnsupported
	}
	return sender.Send(ctx, msg)
}

func (r *roomEvents) close() error {
	if r.ended != nil {
		r.ended()
	}
	return r.target.close()
}

// listener prints events.
type listener struct {
	source     eventSource
	out        *reporter
	stdout     io.Writer
	raw        bool
	kinds      map[echo.Kind]bool // nil: all
	most       int                // events to print; 0: all
	printed    int
	sequencer  *echo.Sequencer
	transcript *transcript // nil: none
	exec       *executor   // nil: none
}

// run prints until the events end, and waits for its reader of them.
func (l *listener) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	events := make(chan echo.Event)
	var reading sync.WaitGroup
	reading.Go(func() { cancel(l.read(ctx, events)) })
	err := l.loop(ctx, events)
	cancel(err)
	reading.Wait()
	return err
}

// read hands the events over, and says why there are no more.
func (l *listener) read(ctx context.Context, events chan<- echo.Event) error {
	for {
		event, err := l.source.next(ctx)
		if err != nil {
			return err
		}
		select {
		case events <- event:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// loop prints what comes, until ctx ends or enough is printed.
func (l *listener) loop(ctx context.Context, events <-chan echo.Event) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if at, ok := l.sequencer.Due(); ok {
			timer.Reset(time.Until(at))
		}
		var err error
		select {
		case event := <-events:
			err = l.take(event)
		case <-timer.C:
			err = l.flush(time.Now())
		case <-ctx.Done():
			return first(l.flush(time.Now().Add(time.Hour)), context.Cause(ctx)) // what waits is all there is
		}
		if err != nil {
			return err
		}
	}
}

func (l *listener) take(event echo.Event) error {
	if l.raw {
		return l.show(event)
	}
	now := time.Now()
	l.sequencer.Add(now, event)
	return l.flush(now)
}

// flush shows what is due at now.
func (l *listener) flush(now time.Time) error {
	for {
		event, gap, ok := l.sequencer.Next(now)
		if !ok {
			return nil
		}
		if gap > 0 {
			l.out.say("%s before number %d never came", counted(int(gap), "event"), event.Seq)
		}
		if err := l.show(event); err != nil {
			return err
		}
	}
}

// show prints an event, and hands it to whom else it concerns.
func (l *listener) show(event echo.Event) error {
	if err := l.transcript.add(event, time.Now()); err != nil {
		return err
	}
	if l.kinds != nil && !l.kinds[event.Kind] {
		return nil
	}
	line, err := l.line(event)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(l.stdout, "%s\n", line); err != nil {
		return stdoutError{err}
	}
	l.exec.add(line)
	if l.printed++; l.printed == l.most {
		return room.ErrOver
	}
	return nil
}

func (l *listener) line(event echo.Event) ([]byte, error) {
	if !l.raw {
		line, err := event.MarshalJSON()
		return escaped(line), err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, event.Raw); err != nil {
		return nil, fmt.Errorf("an event does not print: %w", err)
	}
	return escaped(line.Bytes()), nil
}

// escaped writes what could move a terminal, or turn its text around, in the
// way of JSON.
func escaped(line []byte) []byte {
	unsafe := func(c rune) bool { return unicode.IsControl(c) || unicode.Is(unicode.Cf, c) }
	if bytes.IndexFunc(line, unsafe) < 0 {
		return line
	}
	var out bytes.Buffer
	for _, c := range string(line) {
		if !unsafe(c) {
			out.WriteRune(c)
			continue
		}
		if high, low := surrogates(c); high != 0 {
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
			continue
		}
		fmt.Fprintf(&out, `\u%04x`, c)
	}
	return out.Bytes()
}

// surrogates are the two halves of a character beyond 16 bits, as JSON has it;
// zero for others.
func surrogates(c rune) (high, low rune) {
	if c < 0x10000 {
		return 0, 0
	}
	c -= 0x10000
	return 0xd800 + c>>10, 0xdc00 + c&0x3ff
}
