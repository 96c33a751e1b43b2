// Package listen prints the events of a room, or of the callbacks of a conversation,
// in order as lines of JSON. It can write a transcript and run a command for each
// event.
package listen

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
	"unicode"

	"echocast/echo"
	"echocast/internal/text"
	"echocast/room"
)

// Source is a source of events: a room, or callbacks.
type Source interface {
	// Next returns the next event, or room.ErrOver or another error.
	Next(ctx context.Context) (echo.Event, error)
	// Send sends a message to the source.
	Send(ctx context.Context, msg echo.Message) error
	// Close closes the source.
	Close() error
}

// Report prints a line for people.
type Report func(format string, args ...any)

// Options say which events to print, and where else to send them.
type Options struct {
	Out    io.Writer          // a line of JSON for each event
	Raw    bool               // print each message unchanged, in order of arrival
	Kinds  map[echo.Kind]bool // kinds to print; nil: all
	Count  int                // how many events to print; 0: all
	Window time.Duration      // how long an event waits for earlier ones
	Say    Report             // reports lost events
	// PerConversation orders the events of each conversation separately.
	PerConversation bool

	Transcript *Transcript // nil: none
	Exec       *Executor   // nil: none
}

// Run prints events until they or ctx end. Its error is room.ErrOver if the room ended
// normally. It starts one goroutine, which reads, and waits for it.
func Run(ctx context.Context, source Source, o *Options) error {
	l := &listener{Options: o, source: source, sequencers: map[string]*echo.Sequencer{}}
	ctx, cancel := context.WithCancelCause(ctx)
	events := make(chan echo.Event)
	var reading sync.WaitGroup
	reading.Go(func() { cancel(l.read(ctx, events)) })
	err := l.loop(ctx, events)
	cancel(err)
	reading.Wait()
	return err
}

// listener prints events.
type listener struct {
	*Options
	source     Source
	printed    int
	sequencers map[string]*echo.Sequencer // by conversation, with Options.PerConversation
}

// maxConversations is how many conversations are ordered separately; their callbacks
// may arrive for days.
const maxConversations = 1000

// sequencer returns the sequencer of the event's conversation.
func (l *listener) sequencer(event echo.Event) *echo.Sequencer {
	id := ""
	if l.PerConversation {
		id = event.ConversationID
	}
	if l.sequencers[id] == nil {
		if len(l.sequencers) >= maxConversations {
			maps.DeleteFunc(l.sequencers, func(_ string, s *echo.Sequencer) bool {
				_, waits := s.Due()
				return !waits
			})
		}
		l.sequencers[id] = echo.NewSequencer(l.Window)
	}
	return l.sequencers[id]
}

// due returns when to show the next event; ok is false if none waits.
func (l *listener) due() (at time.Time, ok bool) {
	for _, s := range l.sequencers {
		if next, waits := s.Due(); waits && (!ok || next.Before(at)) {
			at, ok = next, true
		}
	}
	return at, ok
}

// read passes events on until the source fails or ends, and returns its error.
func (l *listener) read(ctx context.Context, events chan<- echo.Event) error {
	for {
		event, err := l.source.Next(ctx)
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

// loop prints events until ctx ends or Count is reached.
func (l *listener) loop(ctx context.Context, events <-chan echo.Event) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if at, ok := l.due(); ok {
			timer.Reset(time.Until(at))
		}
		var err error
		select {
		case event := <-events:
			err = l.take(event)
		case <-timer.C:
			err = l.flush(time.Now())
		case <-ctx.Done():
			return cmp.Or(l.flush(time.Now().Add(time.Hour)), context.Cause(ctx)) // do not wait for more
		}
		if err != nil {
			return err
		}
	}
}

func (l *listener) take(event echo.Event) error {
	if l.Raw {
		return l.show(event)
	}
	now := time.Now()
	sequencer := l.sequencer(event)
	sequencer.Add(now, event)
	return l.flushOne(sequencer, now)
}

// flush prints the events that are due.
func (l *listener) flush(now time.Time) error {
	for _, id := range slices.Sorted(maps.Keys(l.sequencers)) {
		if err := l.flushOne(l.sequencers[id], now); err != nil {
			return err
		}
	}
	return nil
}

// flushOne shows the due events of one conversation.
func (l *listener) flushOne(sequencer *echo.Sequencer, now time.Time) error {
	for {
		event, gap, ok := sequencer.Next(now)
		if !ok {
			return nil
		}
		if gap > 0 {
			l.Say("%s before number %d missing", text.Count(int(gap), "event"), event.Seq)
		}
		if err := l.show(event); err != nil {
			return err
		}
	}
}

// show prints an event, and passes it to the transcript and the command.
func (l *listener) show(event echo.Event) error {
	if err := l.Transcript.Add(event, time.Now()); err != nil {
		return err
	}
	if l.Kinds != nil && !l.Kinds[event.Kind] {
		return nil
	}
	line, err := l.line(event)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(l.Out, "%s\n", line); err != nil {
		return err
	}
	l.Exec.add(event, line)
	if l.printed++; l.printed == l.Count {
		return room.ErrOver
	}
	return nil
}

func (l *listener) line(event echo.Event) ([]byte, error) {
	if !l.Raw {
		line, err := event.MarshalJSON()
		return escaped(line), err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, event.Raw); err != nil {
		return nil, fmt.Errorf("an event does not print: %w", err)
	}
	return escaped(line.Bytes()), nil
}

// escaped escapes control and direction characters as JSON does.
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

// surrogates returns the UTF-16 surrogates of a character beyond 16 bits; zero for
// others.
func surrogates(c rune) (high, low rune) {
	if c < 0x10000 {
		return 0, 0
	}
	c -= 0x10000
	return 0xd800 + c>>10, 0xdc00 + c&0x3ff
}
