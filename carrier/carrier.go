// Package carrier connects a telephone voice bot to a replica: it calls the bot's WebSocket as
// a telephone carrier does, lets the bot hear the user of a room, and lets the replica say what
// the bot answers.
//
//	options := carrier.Options{Speaker: session, Hear: hear}
//	err := carrier.Run(ctx, "wss://bot.example/media", twilio.New(nil), options)
//
// A Protocol defines the messages on the wire. Packages twilio and vonage have one each. All
// protocols have the same parts:
//
//	to the bot    a beginning, the user's voice in frames of 20 ms, marks that were
//	              passed, an end
//	from the bot  audio, marks behind it, and a command to clear what was not heard
//
// A mark comes back when the replica has played all audio before it, not when it was sent. A
// clear command interrupts the replica before anything else is done.
package carrier

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"

	"echocast/internal/sleep"
	"echocast/playout"
)

// FrameTime is the playing time of a frame of the user's voice.
const FrameTime = 20 * time.Millisecond

const (
	maxMessage   = 1 << 20          // bytes; 98 s of mu-law in base64
	writeTimeout = 10 * time.Second // after which a bot that reads nothing is lost
	readTimeout  = 5 * time.Second  // for Read to fail too after a failed Write
	dialTimeout  = 30 * time.Second
)

// Message is one message of a WebSocket.
type Message struct {
	IsBinary bool
	Data     []byte
}

// Order is what a message of the bot asks for: one of these, or nothing.
type Order struct {
	Audio   []int16 // at the rate of the protocol
	HasMark bool
	Mark    string
	Clear   bool
}

// Protocol translates between a call and the messages of a carrier. A Protocol belongs to one
// call. Run calls Read from one goroutine, and its other methods one at a time.
type Protocol interface {
	// Rate is the sampling rate in Hz, both ways.
	Rate() int
	// Start returns the messages that begin the call.
	Start() []Message
	// Voice returns the message for the user's next frame.
	Voice(frame []int16) Message
	// Mark returns the messages for a mark when all audio before it was heard or cleared.
	Mark(name string, isHeard bool) []Message
	// Cleared returns the messages that follow the marks after a clear.
	Cleared() []Message
	// Stop returns the messages that end the call.
	Stop() []Message
	// Read returns what a message of the bot asks for. Its error says what is wrong with the
	// message. Run ignores such a message.
	Read(m Message) (Order, error)
}

// Options say who speaks and who is heard.
type Options struct {
	Speaker     playout.Speaker // the replica, such as an *echo.Session
	SpeakerRate int             // Hz that it takes; 0: echo.DefaultRate
	// Hear writes the voice of the room's user as signed 16-bit little-endian samples at a
	// rate in Hz, in real time, until ctx ends. Nil: the bot hears silence.
	Hear func(ctx context.Context, rate int, to io.Writer) error
	// Idle is how long the bot may pause within an utterance; 0: playout.DefaultIdle.
	Idle time.Duration
	// Header is sent with the request for the WebSocket.
	Header http.Header
	// Warn, if it is set, is called with what was wrong with a message of the bot.
	Warn func(text string)
	// OnHeard, if it is set, is called with each utterance that has ended.
	OnHeard func(playout.Heard)
	// OnMark, if it is set, is called with each mark of the bot. isHeard says whether all
	// audio before it was heard, or some of it was cleared.
	OnMark func(name string, isHeard bool)
	// OnClear, if it is set, is called when the bot has cleared its audio.
	OnClear func()
}

// Conn is the part of *websocket.Conn that a call uses.
type Conn interface {
	Read(ctx context.Context) (websocket.MessageType, []byte, error)
	Write(ctx context.Context, kind websocket.MessageType, data []byte) error
	Close(code websocket.StatusCode, reason string) error
}

// ErrBroken says that the connection ended without a word of the bot, or that the bot reads no
// messages.
var ErrBroken = errors.New("the connection to the bot broke")

var errStuck = fmt.Errorf("%w: it has read nothing for %v", ErrBroken, writeTimeout)

// errStopped says that the carrier has ended the call.
var errStopped = errors.New("the call has ended")

// errHungUp says that the bot has ended the call.
var errHungUp = errors.New("the bot has hung up")

// DialError says that the bot could not be reached, or refused the connection.
type DialError struct {
	Status int // of its HTTP answer; 0: there was no answer
	Err    error
}

// Error says why.
func (e *DialError) Error() string {
	if e.Status != 0 {
		return "the bot refused the connection: " + e.Err.Error()
	}
	return "the bot cannot be reached: " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }

// Run calls a bot, and holds the call until the bot hangs up, ctx ends or the room is lost. It
// returns nil if the bot hangs up, and the cause of ctx if that ends. The error is a
// *DialError if the bot cannot be reached.
func Run(ctx context.Context, address string, p Protocol, o Options) error {
	conn, err := Dial(ctx, address, o.Header)
	if err != nil {
		return err
	}
	return Talk(ctx, conn, p, o)
}

// Dial opens the WebSocket of a bot. header may be nil. Dial follows no redirect, so it
// connects to the host of the address and to no other. The error is a *DialError.
func Dial(ctx context.Context, address string, header http.Header) (Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, fmt.Errorf("no answer for %v", dialTimeout))
	defer cancel()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	conn, response, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPHeader: header, HTTPClient: client})
	if response != nil && response.Body != nil {
		defer response.Body.Close() //nolint:errcheck // it was read, or is not needed
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // without the address, which may hold a secret
	}
	if err != nil && response != nil && response.StatusCode != http.StatusSwitchingProtocols {
		return nil, &DialError{response.StatusCode, errors.New(response.Status)}
	}
	if err != nil {
		return nil, &DialError{Err: err}
	}
	conn.SetReadLimit(maxMessage)
	return conn, nil
}

// Talk holds one call over a connection to a bot, as Run does, and closes the connection.
func Talk(ctx context.Context, conn Conn, p Protocol, o Options) error {
	c := &call{conn: conn, protocol: p, options: o}
	player, err := playout.New(o.Speaker, playout.Options{
		Rate: p.Rate(), SpeakerRate: o.SpeakerRate, Idle: o.Idle, Name: "the bot", OnMark: c.mark, OnHeard: o.OnHeard,
	})
	if err != nil {
		return err
	}
	c.player = player
	defer conn.Close(websocket.StatusNormalClosure, "") //nolint:errcheck // the bot may have closed it already
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.ctx = ctx
	if err := c.send(ctx, p.Start); err != nil {
		return fmt.Errorf("the call did not begin: %w", err)
	}
	var running, reading sync.WaitGroup
	running.Go(func() { cancel(player.Run(ctx)) })
	running.Go(func() { cancel(c.hear(ctx)) })
	reading.Go(func() { cancel(c.read(ctx)) })
	running.Wait()
	cause := context.Cause(ctx)
	if !errors.Is(cause, errHungUp) {
		_ = c.send(context.WithoutCancel(ctx), c.stop)        // fails if the bot has left
		_ = conn.Close(websocket.StatusNormalClosure, "stop") // ends the reading
	}
	reading.Wait()
	if errors.Is(cause, errHungUp) {
		return nil
	}
	return cause
}

// call is one call.
type call struct {
	conn     Conn
	protocol Protocol
	options  Options
	player   *playout.Player
	ctx      context.Context //nolint:containedctx // of the call, for marks

	sendMu sync.Mutex // held while messages are made and sent
	failed error      // why no more can be sent
}

// stop returns the last messages.
func (c *call) stop() []Message {
	c.failed = errStopped
	return c.protocol.Stop()
}

// send sends the messages that make returns, before any other message is made.
func (c *call) send(ctx context.Context, makes func() []Message) error {
	c.sendMu.Lock()
	defer c.sendMu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.failed != nil {
		return c.failed
	}
	// A context that ends in the middle of a message would end the connection.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), writeTimeout, errStuck)
	defer cancel()
	for _, m := range makes() {
		kind := websocket.MessageText
		if m.IsBinary {
			kind = websocket.MessageBinary
		}
		if err := c.conn.Write(ctx, kind, m.Data); err != nil {
			c.failed = c.broken(ctx, err)
			return c.failed
		}
	}
	return nil
}

// broken returns why the connection can no longer be used.
func (c *call) broken(ctx context.Context, err error) error {
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
		return errHungUp
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", ErrBroken, err)
}

// read reads and obeys the bot's messages.
func (c *call) read(ctx context.Context) error {
	for {
		kind, data, err := c.conn.Read(context.WithoutCancel(ctx)) // ended by Close
		if err != nil {
			return c.broken(ctx, err)
		}
		order, err := c.protocol.Read(Message{IsBinary: kind == websocket.MessageBinary, Data: data})
		if err == nil {
			err = c.obey(ctx, order)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && c.options.Warn != nil {
			c.options.Warn(err.Error())
		}
	}
}

// obey carries out what the bot asks for.
func (c *call) obey(ctx context.Context, order Order) error {
	switch {
	case order.Clear:
		c.player.Clear()
		if c.options.OnClear != nil {
			c.options.OnClear()
		}
		return c.send(ctx, c.protocol.Cleared)
	case order.HasMark:
		return c.player.Mark(order.Mark)
	case len(order.Audio) > 0:
		_, err := c.player.Add(order.Audio)
		return err
	}
	return nil
}

// mark tells the bot that a mark was passed, also while the call ends. If that fails, the
// reader notices.
func (c *call) mark(name string, isHeard bool) {
	_ = c.send(context.WithoutCancel(c.ctx), func() []Message { return c.protocol.Mark(name, isHeard) })
	if c.options.OnMark != nil {
		c.options.OnMark(name, isHeard)
	}
}

// hear sends the user's voice, or silence.
func (c *call) hear(ctx context.Context) error {
	frames := &frames{call: c, ctx: ctx, frame: make([]int16, 0, c.protocol.Rate()/int(time.Second/FrameTime))}
	if c.options.Hear == nil {
		return silence(ctx, frames)
	}
	if err := c.options.Hear(ctx, c.protocol.Rate(), frames); err != nil {
		return err
	}
	<-ctx.Done() // the user has left, and the bot may still speak
	return context.Cause(ctx)
}

// silence writes a frame of silence whenever one is due.
func silence(ctx context.Context, to *frames) error {
	frame := make([]byte, 2*cap(to.frame))
	ticker := time.NewTicker(FrameTime)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if _, err := to.Write(frame); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// awaitReader waits, after a failed Write, until the reader has ended ctx. Only the reader learns
// that the bot hung up: the library closes the connection before Read returns that.
func awaitReader(ctx context.Context, failed error) {
	if errors.Is(failed, errStuck) {
		return // which the reader cannot know
	}
	_ = sleep.For(ctx, readTimeout)
}

// frames is an io.Writer of samples that sends each complete frame.
type frames struct {
	call  *call
	ctx   context.Context //nolint:containedctx // of the writer
	frame []int16
	odd   []byte // half a sample
}

func (f *frames) Write(p []byte) (int, error) {
	all := append(f.odd, p...)
	for len(all) >= 2 {
		f.frame = append(f.frame, int16(binary.LittleEndian.Uint16(all)))
		all = all[2:]
		if len(f.frame) < cap(f.frame) {
			continue
		}
		if err := f.call.send(f.ctx, func() []Message { return []Message{f.call.protocol.Voice(f.frame)} }); err != nil {
			awaitReader(f.ctx, err)
			return 0, err
		}
		f.frame = f.frame[:0]
	}
	f.odd = append([]byte(nil), all...)
	return len(p), nil
}
