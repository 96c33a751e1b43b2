// Package agent connects a vendor's agent to a room by WebSocket: the agent hears the
// user, and the replica speaks its answers.
//
//	err := agent.Run(ctx, agent.Options{Kind: agent.OpenAI, Key: key, Speaker: session, Hear: hear})
//
// When the user cuts in, the agent sends an event. The package then interrupts the replica
// and tells the agent how much was heard, according to the receipt:
//
//	OpenAI Realtime     conversation.item.truncate, in milliseconds
//	ElevenLabs Agents   contextual_update, in words: the protocol has no truncation
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"echocast/internal/sleep"
	"echocast/playout"
)

// The kinds of agents.
const (
	OpenAI     = "openai"
	ElevenLabs = "elevenlabs"
)

// Kinds lists the kinds of agents.
func Kinds() []string { return []string{OpenAI, ElevenLabs} }

const (
	maxMessage   = 32 << 20 // bytes
	writeTimeout = 10 * time.Second
	dialTimeout  = 30 * time.Second
	readTimeout  = 5 * time.Second        // for Read to fail too after a failed Write
	messageTime  = 100 * time.Millisecond // length of the user's voice in one message
)

// Options select an agent, and connect it to a room.
type Options struct {
	Kind         string // OpenAI or ElevenLabs
	Name         string // the model (empty: gpt-realtime), or the agent's id at ElevenLabs
	URL          string // address of its WebSocket; empty: the vendor's
	Key          string // API key; ElevenLabs needs none for a public agent
	Instructions string // for OpenAI: instructions for the model; empty: its default

	Speaker     playout.Speaker // the replica, such as an *echo.Session
	SpeakerRate int             // Hz of the samples that it takes; 0: echo.DefaultRate
	// Hear writes the voice of the room's user in real time until ctx ends, as signed
	// 16-bit little-endian samples at a rate in Hz.
	Hear func(ctx context.Context, rate int, to io.Writer) error
	// Say is called with each text and its speaker: "user" or "agent". It may be nil.
	Say func(who, text string)
	// Warn is called with warnings that do not end the conversation. It may be nil.
	Warn func(text string)
}

// Conn is a WebSocket; *websocket.Conn is one.
type Conn interface {
	Read(ctx context.Context) (websocket.MessageType, []byte, error)
	Write(ctx context.Context, kind websocket.MessageType, data []byte) error
	Close(code websocket.StatusCode, reason string) error
}

// DialError reports that the agent could not be reached, or refused the connection.
type DialError struct {
	Status int // of its HTTP answer, or with which it closed the WebSocket; 0: there was no answer
	Err    error
}

// Error says why.
func (e *DialError) Error() string {
	if e.Status != 0 {
		return "the agent refused the connection: " + e.Err.Error()
	}
	return "the agent cannot be reached: " + e.Err.Error()
}

// IsUnauthorized reports whether the agent refused the API key, or needs one.
func (e *DialError) IsUnauthorized() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden ||
		slices.Contains(refusals, websocket.StatusCode(e.Status))
}

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }

// protocol implements the messages of one vendor's agent.
type protocol interface {
	// read handles a message. It returns the rate in Hz that the agent wants for the
	// user's voice; 0: no change.
	read(data []byte) (rate int, err error)
	// encodeVoice returns the message of a piece of the user's voice: signed 16-bit
	// little-endian samples.
	encodeVoice(samples []byte) []byte
	// drain waits until all audio was heard.
	drain()
	// close ends the current utterance, and waits for it.
	close()
}

// ErrBroken reports that the connection ended without a word of the agent.
var ErrBroken = errors.New("the connection to the agent broke")

// errEnded reports that the agent has ended the conversation.
var errEnded = errors.New("the agent has ended the conversation")

// Run dials the agent and lets it talk until the agent ends the conversation, ctx ends or
// the room is lost. It returns nil if the agent ended the conversation, and the cause of ctx
// if that ended. The error is a *DialError if the agent cannot be reached, or refuses us.
func Run(ctx context.Context, o Options) error {
	if !slices.Contains(Kinds(), o.Kind) {
		return fmt.Errorf("agent: no kind is called %q; there are %v", o.Kind, Kinds())
	}
	dialling, cancel := context.WithTimeoutCause(ctx, dialTimeout, fmt.Errorf("no answer for %v", dialTimeout))
	defer cancel()
	address, header, err := o.address(dialling)
	if err != nil {
		return err
	}
	conn, response, err := websocket.Dial(dialling, address, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		return dialError(response, err)
	}
	conn.SetReadLimit(maxMessage)
	return Talk(ctx, conn, o)
}

// dialError returns why an agent was not reached, without its address: a signed address
// contains a secret.
func dialError(response *http.Response, err error) error {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	if response != nil && response.StatusCode != http.StatusSwitchingProtocols {
		return &DialError{Status: response.StatusCode, Err: errors.New(response.Status)}
	}
	return &DialError{Err: err}
}

// address returns the address of the agent and the headers to send.
func (o *Options) address(ctx context.Context) (string, http.Header, error) {
	if o.Kind == ElevenLabs {
		address, err := o.elevenLabsAddress(ctx)
		return address, nil, err
	}
	header := http.Header{"Authorization": {"Bearer " + o.Key}}
	if o.URL != "" {
		return o.URL, header, nil
	}
	model := o.Name
	if model == "" {
		model = "gpt-realtime"
	}
	return "wss://api.openai.com/v1/realtime?model=" + url.QueryEscape(model), header, nil
}

// talk is one conversation.
type talk struct {
	options  Options
	conn     Conn
	protocol protocol
	out      chan []byte // messages that wait to be sent
}

// Talk lets an agent talk over a connection, as Run does, and closes the connection. When
// the agent ends the conversation, Talk speaks what the agent said before to its end.
func Talk(ctx context.Context, conn Conn, o Options) error {
	t := &talk{options: o, conn: conn, out: make(chan []byte, 256)}
	if o.Kind == ElevenLabs {
		t.protocol = newElevenLabs(ctx, t)
	} else {
		t.protocol = newOpenAI(ctx, t)
	}
	defer t.protocol.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running, reading sync.WaitGroup
	rates := make(chan int, 1)
	running.Go(func() { cancel(t.write(ctx)) })
	running.Go(func() { cancel(t.hear(ctx, rates)) })
	reading.Go(func() { cancel(t.read(ctx, rates)) })
	running.Wait()
	_ = conn.Close(websocket.StatusNormalClosure, "") // unblocks Read
	reading.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, errEnded) {
		return cause
	}
	t.protocol.drain()
	return nil
}

// send queues an event. It does not block: an agent that does not read is lost anyway.
func (t *talk) send(event any) {
	data, _ := json.Marshal(event) // strings and numbers always marshal
	t.sendRaw(data)
}

func (t *talk) sendRaw(data []byte) {
	select {
	case t.out <- data:
	default:
	}
}

func (t *talk) write(ctx context.Context) error {
	for {
		select {
		case data := <-t.out:
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
			err := t.conn.Write(limited, websocket.MessageText, data)
			cancel()
			if err != nil {
				awaitReader(ctx, err)
				return ended(err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// awaitReader waits, after a failed Write, until the reader has ended ctx. Only the reader learns
// that the agent said goodbye: the library closes the connection before Read returns that.
func awaitReader(ctx context.Context, failed error) {
	if errors.Is(failed, context.DeadlineExceeded) {
		return // the agent does not read, which the reader cannot know
	}
	_ = sleep.For(ctx, readTimeout)
}

func (t *talk) read(ctx context.Context, rates chan<- int) error {
	for {
		_, data, err := t.conn.Read(context.WithoutCancel(ctx)) // ended by Close
		if err != nil {
			return ended(err)
		}
		rate, err := t.protocol.read(data)
		if err != nil {
			t.warn(err.Error())
		}
		if rate > 0 {
			select {
			case rates <- rate:
			default: // the rate is known already
			}
		}
	}
}

// refusals are the statuses with which vendors close a connection whose key they refuse. OpenAI
// accepts any key at first, and then closes with 3000 and invalid_request_error.invalid_api_key.
// IANA registers 3000 as Unauthorized, and 3003 as Forbidden.
var refusals = []websocket.StatusCode{websocket.StatusPolicyViolation, 3000, 3003}

// ended returns why a connection has ended.
func ended(err error) error {
	closed, _ := errors.AsType[websocket.CloseError](err)
	switch closed.Code {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
		return errEnded
	}
	if slices.Contains(refusals, closed.Code) {
		return &DialError{Status: int(closed.Code), Err: fmt.Errorf("it was closed with %d: %s", closed.Code, closed.Reason)}
	}
	return fmt.Errorf("%w: %w", ErrBroken, err)
}

// hear sends the user's voice to the agent, once the agent has asked for it.
func (t *talk) hear(ctx context.Context, rates <-chan int) error {
	if t.options.Hear != nil {
		select {
		case rate := <-rates:
			pieces := &pieceWriter{talk: t, size: 2 * rate * int(messageTime/time.Millisecond) / 1000}
			if err := t.options.Hear(ctx, rate, pieces); err != nil {
				return err
			}
		case <-ctx.Done():
		}
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// pieceWriter is an io.Writer that sends the user's voice in pieces.
type pieceWriter struct {
	talk *talk
	size int
	held []byte
}

func (p *pieceWriter) Write(data []byte) (int, error) {
	p.held = append(p.held, data...)
	for len(p.held) >= p.size {
		p.talk.sendRaw(p.talk.protocol.encodeVoice(p.held[:p.size]))
		p.held = append([]byte(nil), p.held[p.size:]...)
	}
	return len(data), nil
}

func (t *talk) say(who, text string) {
	if t.options.Say != nil && text != "" {
		t.options.Say(who, text)
	}
}

func (t *talk) warn(text string) {
	if t.options.Warn != nil {
		t.options.Warn(text)
	}
}
