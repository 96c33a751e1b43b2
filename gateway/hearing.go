package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtp"

	"echocast/audio"
	"echocast/echo"
	"echocast/hear"
	"echocast/internal/pcm"
	"echocast/room"
)

// hearRate is the sampling rate in Hz at which rooms are heard. The audio of each listener is
// resampled from it to the listener's own rate.
const hearRate = echo.DefaultRate

// listenerBacklog is how much audio waits for a listener. If more waits, the listener loses
// it.
const listenerBacklog = 2 * time.Second

// sides are the values of HearOptions.From.
var sides = []string{room.User, room.Replica, room.All}

// hearer hears the room of a conversation once for all its listeners.
type hearer struct {
	from      string // one of sides
	isReplica func(track string) bool

	mu        sync.Mutex
	listeners map[*listener]bool
}

// listener hears one or both sides. Its backlog is bounded, so that a slow listener does not
// block the others.
type listener struct {
	from   string
	stream *hear.Stream

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	pending []int16
	lost    int64 // samples, before pending
	onLost  func(time.Duration)
	err     error // why nothing follows
}

// HearOptions say what a listener hears.
type HearOptions struct {
	From string // room.User, room.Replica or room.All; empty: all that is heard of the room
	Rate int    // Hz; 0: 24000
	// OnLost, if it is set, is called before the next write with how much audio was lost
	// because the listener was slow.
	OnLost func(time.Duration)
	// begin, if it is set, is called as soon as nothing of what follows can be missed.
	begin func() error
}

// hear hears a joined room until the conversation ends.
func (c *Conversation) hear(p *joinedRoom) {
	p.room.HearOn(c.ctx, c.hearer.from, c.hearer.packet, c.hearer.left, func(err error) {
		if !errors.Is(err, room.ErrOver) {
			c.warn(fmt.Sprintf("hearing the room has ended: %v", err))
		}
	})
}

// warn reports a problem that is not an error, in the history and in the log.
func (c *Conversation) warn(text string) {
	text = c.gateway.secrets.Secrets().Text(text)
	c.gateway.log.Warn(text, "conversation", c.ID)
	c.history.add("warning", map[string]string{"text": text})
}

// packet passes a packet of the room to the listeners of that side.
func (e *hearer) packet(track string, p *rtp.Packet) {
	e.each(track, func(l *listener) { l.stream.Packet(track, p) })
}

func (e *hearer) left(track string) {
	e.each(track, func(l *listener) { l.stream.Left(track) })
}

func (e *hearer) each(track string, do func(*listener)) {
	side := e.from
	if side == room.All {
		side = room.User
		if e.isReplica(track) {
			side = room.Replica
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for l := range e.listeners {
		if l.from == room.All || l.from == side {
			do(l)
		}
	}
}

func (e *hearer) add(l *listener) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listeners[l] = true
}

func (e *hearer) remove(l *listener) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.listeners, l)
}

// Hear writes what is said in the room as signed 16-bit little-endian mono samples, in real
// time, until ctx or the conversation ends (then it returns the cause) or until a write fails.
// The error is an *InvalidError if the conversation is not heard. A writer that is more than
// two seconds behind loses audio.
func (c *Conversation) Hear(ctx context.Context, o HearOptions, to io.Writer) error {
	from, err := c.canHear(&o)
	if err != nil {
		return err
	}
	l := &listener{from: from, changed: make(chan struct{}), onLost: o.OnLost}
	if l.stream, err = hear.NewStream(hearRate, l); err != nil {
		return err
	}
	samples, err := audio.ResampleBy(audio.FIR, l, o.Rate)
	if err != nil {
		return err
	}
	defer samples.Close() //nolint:errcheck // it holds only memory
	ctx, cancel := context.WithCancelCause(ctx)
	defer context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) })()
	c.hearer.add(l)
	var recording sync.WaitGroup
	recording.Go(func() {
		l.end(l.stream.Record(ctx, 0, func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}))
	})
	if o.begin != nil {
		err = o.begin()
	}
	if err == nil {
		err = copySamples(to, samples, o.Rate)
	}
	cancel(err)
	recording.Wait()
	c.hearer.remove(l)
	return err
}

// canHear returns which side is heard, and refuses one that the conversation does not hear.
func (c *Conversation) canHear(o *HearOptions) (from string, err error) {
	heard := c.Spec.heard()
	if heard == "" {
		return "", invalid("hear", `this conversation was created without hearing: create it with "hear":"user"`)
	}
	if o.Rate == 0 {
		o.Rate = hearRate
	}
	from = o.From
	switch {
	case from == "":
		from = heard
	case !slices.Contains(sides, from):
		return "", invalid("from", "it must be user, replica or all")
	case from != heard && heard != room.All:
		return "", invalid("from", `only the %s is heard: create the conversation with "hear":"all"`, heard)
	}
	if !slices.Contains(hear.Rates(), o.Rate) {
		return "", invalid("rate", "it must be one of %v", hear.Rates())
	}
	return from, nil
}

// copySamples writes samples at a rate as they arrive, in pieces of at most 20 ms.
func copySamples(to io.Writer, from audio.Source, rate int) error {
	var quantiser pcm.Quantiser
	samples := make([]float32, rate/50)
	for {
		n, err := from.ReadSamples(samples)
		if err != nil {
			return err
		}
		if _, err := to.Write(quantiser.Bytes(samples[:n])); err != nil {
			return err
		}
	}
}

// Write takes samples of the stream. If the backlog would exceed its limit, it drops all that
// waits.
func (l *listener) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const limit = int(hearRate * listenerBacklog / time.Second)
	if len(l.pending)+len(data)/2 > limit {
		l.lost += int64(len(l.pending))
		l.pending = l.pending[:0]
	}
	for i := 0; i+1 < len(data); i += 2 {
		l.pending = append(l.pending, int16(binary.LittleEndian.Uint16(data[i:])))
	}
	l.change()
	return len(data), nil
}

// end ends the stream with an error that says why.
func (l *listener) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	l.change()
}

func (l *listener) change() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Format returns the format of the stream.
func (l *listener) Format() audio.Format { return audio.Format{Rate: hearRate, Channels: 1} }

// ReadSamples returns the samples that wait, or waits for some.
func (l *listener) ReadSamples(p []float32) (int, error) {
	for {
		l.mu.Lock()
		n, lost, err, changed := l.take(p), l.lost, l.err, l.changed
		l.lost = 0
		l.mu.Unlock()
		if lost > 0 && l.onLost != nil {
			l.onLost(time.Duration(lost) * time.Second / hearRate)
		}
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		<-changed
	}
}

func (l *listener) take(p []float32) int {
	n := min(len(p), len(l.pending))
	for i, sample := range l.pending[:n] {
		p[i] = float32(sample) / 32768
	}
	l.pending = append(l.pending[:0], l.pending[n:]...)
	return n
}
