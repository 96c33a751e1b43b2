// Package rest registers Tavus conversations with package room: tavus:CONVERSATION_ID. It
// speaks in them through requests to the REST API. It needs only an API key: no browser, no
// WebRTC.
//
// The service delivers the messages of one conversation in the order of their requests. So
// this package sends each message after the answer to the previous one. It repeats a
// message only if the service certainly did not deliver it. Every lost message is reported
// by an error; see [DeliveryError].
//
// REST returns no events. Without [Backend.Events], receipts are estimated by the clock.
package rest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"echocast/echo"
	"echocast/internal/sleep"
	"echocast/logs"
	"echocast/room"
	"echocast/tavus"
)

// Scheme begins the address of a conversation: tavus:CONVERSATION_ID.
const Scheme = "tavus"

func init() { room.Register(Scheme, &Backend{}) }

// Chunk lengths for 120 requests a minute of at most 65,536 bytes each. One second of audio
// at 24 kHz fits into a request and uses half of the rate. The first chunk is short so that
// speech begins soon, but long enough to play until the next request is done.
const (
	chunkLength = time.Second
	firstChunk  = 300 * time.Millisecond
)

// SendTimeout is the recommended echo.Options.SendTimeout for such a room. The service may
// ask to wait for a minute.
const SendTimeout = 90 * time.Second

// requestTimeout bounds one request. A message without an answer after this time may have
// been delivered.
const requestTimeout = 10 * time.Second

// EventSource passes on events of a conversation, such as a receiver of
// webhooks.
type EventSource interface {
	// ReceiveEvent returns the next event of the conversation with this id, as
	// JSON, or the cause of ctx.
	ReceiveEvent(ctx context.Context, conversation string) ([]byte, error)
}

// Backend joins conversations with an API key. All conversations that it joins share the
// request rate that the service allows, so it must not be copied after its first use.
type Backend struct {
	// Client calls the API. It is required.
	Client *tavus.Client
	// Events is the source of the conversations' events. nil means no events.
	Events EventSource
	// OnJoin, if not nil, is called when a conversation is joined for the first time.
	OnJoin func(tavus.Info)

	window  window
	mu      sync.Mutex
	senders map[string]*sender // by the id of the conversation
	idle    []*sender          // those that had no connection, the oldest first
}

// Join checks that the conversation at an address, tavus:CONVERSATION_ID, is active. It
// sends nothing, except an interrupt if an earlier connection was lost while the replica
// was speaking.
func (b *Backend) Join(ctx context.Context, address string, o *room.Options) (*room.Connection, error) {
	_, id, _ := strings.Cut(address, ":")
	if err := b.check(id, o); err != nil {
		return nil, err
	}
	info, err := b.Client.Conversation(ctx, id, false)
	if err != nil {
		return nil, err
	}
	if info.HasEnded() {
		return nil, &EndedError{id, info.Shutdown}
	}
	to, isNew := b.open(id)
	leave := sync.OnceFunc(func() { b.leave(to) })
	if isNew && b.OnJoin != nil {
		b.OnJoin(info)
	}
	if err := to.interruptIfFailed(ctx); err != nil {
		leave()
		return nil, err
	}
	stage := newStage(ctx, b, to, o)
	return &room.Connection{Stage: stage, Close: func() error {
		leave()
		return nil
	}}, nil
}

// check returns an error for options that such a room does not support.
func (b *Backend) check(id string, o *room.Options) error {
	switch {
	case b.Client == nil:
		return &room.CredentialError{Err: errors.New("a conversation is spoken in over REST with an API " +
			"key, and there is none")}
	case o.Hear:
		return &room.OptionError{Option: "Hear", Err: errors.New("nothing can be heard over REST")}
	case o.Microphone:
		return &room.OptionError{Option: "Microphone", Err: errors.New("there is no audio track over REST")}
	case o.Avatar != "":
		return &room.OptionError{Option: "Avatar", Err: errors.New("there is no participant to choose over REST")}
	case o.Conversation != "" && o.Conversation != id:
		return &room.OptionError{Option: "Conversation", Err: fmt.Errorf("the address is of conversation %q", id)}
	case o.MaxMessage > tavus.MaxAppMessage:
		return &room.OptionError{Option: "MaxMessage", Err: fmt.Errorf("a request has at most %d bytes", tavus.MaxAppMessage)}
	}
	if err := tavus.CheckID(id); err != nil {
		return &room.AddressError{Err: err}
	}
	if err := b.Client.Check(); err != nil {
		return &room.CredentialError{Err: err}
	}
	return nil
}

// mostIdle is how many conversations without a connection a Backend remembers. Each of them
// may be joined again after a loss.
const mostIdle = 1000

// open returns the sender of a conversation for another connection, and whether this is its
// first call. Later calls return the same sender.
func (b *Backend) open(id string) (s *sender, isNew bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s = b.senders[id]; s != nil {
		s.connections++
		return s, false
	}
	if b.senders == nil {
		b.senders = map[string]*sender{}
	}
	client := *b.Client
	client.Timeout = requestTimeout
	s = &sender{client: &client, id: id, window: &b.window, busy: make(chan struct{}, 1), connections: 1}
	b.senders[id] = s
	return s, true
}

// leave ends a connection of a sender, and forgets one that has been without a connection for
// longest if there are too many of them.
func (b *Backend) leave(s *sender) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.connections--; s.connections > 0 {
		return
	}
	b.idle = append(slices.DeleteFunc(b.idle, func(other *sender) bool { return other == s }), s)
	if len(b.idle) <= mostIdle {
		return
	}
	if oldest := b.idle[0]; oldest.connections == 0 {
		delete(b.senders, oldest.id)
	}
	b.idle = slices.Delete(b.idle, 0, 1)
}

// EndedError reports that a conversation has ended.
type EndedError struct{ ID, Reason string }

// Error names the conversation and, if known, the reason.
func (e *EndedError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("conversation %s has ended", e.ID)
	}
	return fmt.Sprintf("conversation %s has ended: %s", e.ID, e.Reason)
}

// Stage speaks in a conversation through requests. It is an echo.Stage with messages and
// text. It estimates by the clock when the replica has played the delivered audio.
type Stage struct {
	*echo.Messages
	sender *sender
	limits echo.Limits
	rate   int // Hz, of the current utterance

	isFirst bool // nothing of the utterance has been sent
	clock   playback
}

// Limits returns the limits of requests with messages of this size, with chunks that fit
// the rate.
func Limits(maxMessage int) echo.Limits {
	return echo.Limits{MaxMessage: maxMessage, Chunk: chunkLength, FirstChunk: firstChunk}
}

func newStage(ctx context.Context, b *Backend, to *sender, o *room.Options) *Stage {
	limits := Limits(cmp.Or(o.MaxMessage, tavus.MaxAppMessage))
	limits.ConversationID = to.id
	messages := &conn{sender: to, events: b.Events, log: logs.From(ctx)}
	return &Stage{
		Messages: echo.NewMessages(o.Wrapped(messages), to.id, limits.MaxMessage),
		sender:   to, limits: limits,
	}
}

// Limits returns the limits of a request, with chunks that fit the rate.
func (s *Stage) Limits() echo.Limits { return s.limits }

// Begin implements echo.Stage.
func (s *Stage) Begin(u echo.Utterance) error {
	s.isFirst, s.rate = true, u.Rate
	return s.Messages.Begin(u)
}

// Speak sends one chunk and returns when the service has delivered it. The error is a
// *DeliveryError, a *tavus.APIError if the service refused the chunk, or the cause of ctx.
func (s *Stage) Speak(ctx context.Context, pcm []float32, last bool) (int, error) {
	length := time.Duration(len(pcm)) * time.Second / time.Duration(s.rate)
	return s.say(ctx, length, func() (int, error) { return s.Messages.Speak(ctx, pcm, last) })
}

// textTime is the assumed speaking time of a character. It is longer than for most voices,
// because a conversation that ends too soon cuts off the last words.
const textTime = 90 * time.Millisecond

// SayText sends one piece of text, as Speak sends a chunk.
func (s *Stage) SayText(ctx context.Context, id, text string, last bool) (int, error) {
	length := time.Duration(len([]rune(text))) * textTime
	return s.say(ctx, length, func() (int, error) { return s.Messages.SayText(ctx, id, text, last) })
}

// say sends a part of an utterance whose playing time is length.
func (s *Stage) say(ctx context.Context, length time.Duration, send func() (int, error)) (int, error) {
	if s.isFirst {
		if err := s.sender.window.waitToBegin(ctx); err != nil {
			return 0, err
		}
	}
	n, err := send()
	if err == nil {
		s.isFirst = false
		s.clock.add(time.Now(), length)
		return n, nil
	}
	return n, plain(err)
}

// Send sends one message.
func (s *Stage) Send(ctx context.Context, msg echo.Message) error {
	if _, urgent := msg.(echo.Interrupt); !urgent {
		if err := s.sender.window.waitToBegin(ctx); err != nil {
			return err
		}
	}
	return plain(s.Messages.Send(ctx, msg))
}

// Interrupt stops the replica.
func (s *Stage) Interrupt(ctx context.Context) error {
	s.clock.stop()
	return plain(s.Messages.Interrupt(ctx))
}

// plain removes echo.ErrLost from an error, because a refused request is not a lost
// connection.
func plain(err error) error {
	if refused, ok := errors.AsType[*tavus.APIError](err); ok {
		return refused
	}
	if lost, ok := errors.AsType[*DeliveryError](err); ok {
		return lost
	}
	return err
}

// playedMargin is added to the estimated end of playback, because the replica renders
// pictures for the sound.
const playedMargin = 500 * time.Millisecond

// Played waits until, by estimate, the replica has played what was delivered.
func (s *Stage) Played(ctx context.Context) error {
	return sleep.For(ctx, time.Until(s.clock.end())+playedMargin)
}

// playback estimates when the replica has played what was delivered.
type playback struct {
	mu sync.Mutex
	at time.Time
}

func (p *playback) add(now time.Time, length time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at.Before(now) {
		p.at = now
	}
	p.at = p.at.Add(length)
}

func (p *playback) end() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// stop records an interrupt.
func (p *playback) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = time.Time{}
}
