// Package call joins the room of a conversation and manages everything around it: it
// creates the conversation and ends it afterwards, starts a stand-in replica if there is
// no room, receives events of a conversation over REST, records a trace, reconnects
// after a loss, and falls back to a microphone.
package call

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"echocast/echo"
	"echocast/internal/shutdown"
	"echocast/replica/serve"
	"echocast/room"
	"echocast/room/daily"
	"echocast/room/peer"
	"echocast/room/rest"
	"echocast/tavus"
	"echocast/trace"
	"echocast/webhook"
)

// Options say which room to join, and how. All functions except Create and OnJoin must
// be set.
type Options struct {
	Address string // of the room; if it is empty and Create nil: a stand-in replica in this process
	Room    room.Options
	// Join joins the room at an address, like room.Join.
	Join func(ctx context.Context, address string, o *room.Options) (*room.Room, error)
	// Explain adds advice to an error of reconnecting.
	Explain func(error) error

	// Create creates the conversation to join, which Close ends. Its room is the one at
	// Address or, if that is empty, a new room.
	Create func(ctx context.Context) (*tavus.Conversation, error)
	// OverREST reaches a conversation by requests instead of its Daily room.
	OverREST bool
	Client   func() (*tavus.Client, error)
	Daily    func() (*daily.Backend, error)
	// Webhook is the address on which to receive events, over REST; empty: receive none.
	// WebhookURL is the address at which the service reaches it.
	Webhook, WebhookURL string
	OnJoin              func(tavus.Info) // over REST

	// HasFallback makes the session continue with a microphone once the replica is
	// lost.
	HasFallback bool

	Record string // WAV file of what the stand-in hears; empty: none
	// HasPage also serves a web page of the stand-in. WillRecord says that Call.Record will
	// join the stand-in.
	HasPage, WillRecord bool
	Trace               *trace.FileRecorder // nil: none

	ReadyTimeout, ReconnectTimeout time.Duration

	Say, Warn   func(format string, args ...any)
	OnReconnect func(text string)
	OnEndFailed func(error) // the conversation may be open
}

// ErrNoDailyRoom reports a conversation without a Daily room.
var ErrNoDailyRoom = errors.New("has no Daily room")

// WebhookError reports an address on which callbacks cannot be received.
type WebhookError struct {
	Address string
	Err     error
}

// Error says why.
func (e *WebhookError) Error() string { return e.Err.Error() }

// EndError reports a conversation that could not be ended, and may be open.
type EndError struct{ Err error }

// Error says why.
func (e *EndError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e *EndError) Unwrap() error { return e.Err }

// Call is a joined room, with what was created for it. One goroutine uses it.
type Call struct {
	options  *Options
	at       string       // the address of the room
	joined   room.Options // how it was joined
	room     *room.Room
	local    *serve.Local      // nil if the replica is elsewhere
	receiver *webhook.Receiver // of events, over REST; nil if there is none
	// conversation was created for this call; nil if it existed before.
	conversation  *tavus.Conversation
	cancelCleanup func()          // cancels the cleanup at exit: the conversation has ended
	ctx           context.Context //nolint:containedctx // of the run, for the end of the conversation
}

// awayTimeout is how long the replica may be away before the fallback is used.
const awayTimeout = 5 * time.Second

// Join creates the conversation if needed, and joins the room. The caller closes the
// Call.
func Join(ctx context.Context, o *Options) (*Call, error) {
	c := &Call{options: o, ctx: ctx}
	if err := c.join(ctx); err != nil {
		return nil, cmp.Or(err, c.Close())
	}
	return c, nil
}

func (c *Call) join(ctx context.Context) (err error) {
	o, with := c.options, c.options.Room
	if o.Trace != nil {
		with.Wrap = wrapBoth(o.Trace.Conn, with.Wrap)
	}
	if o.OverREST {
		if with.Backend, err = c.restBackend(); err != nil {
			return err
		}
	}
	address, err := c.address(ctx, &with)
	if err != nil {
		return err
	}
	if err := c.addFallback(&with); err != nil {
		return err
	}
	c.at, c.joined = address, with
	c.room, err = o.Join(ctx, address, &with)
	return err
}

// address finds or creates the room to join, and completes the options for it.
func (c *Call) address(ctx context.Context, with *room.Options) (address string, err error) {
	o := c.options
	switch {
	case o.Create != nil:
		return c.create(ctx, with)
	case o.Address == "":
		participants := 1
		if o.WillRecord {
			participants++
		}
		c.local, err = serve.StartLocal(&serve.LocalOptions{
			Participants: participants, Page: o.HasPage,
			Record: o.Record, MessageLimit: cmp.Or(with.MaxMessage, echo.DefaultMaxMessage),
			OnComplaint: func(text string) { o.Say("the replica complains: %s", text) },
		})
		if err != nil {
			return "", err
		}
		with.Backend = &peer.Backend{}
		return c.local.URL(), nil
	case strings.HasPrefix(o.Address, rest.Scheme+":") && !o.OverREST:
		return c.dailyAddress(ctx)
	}
	return o.Address, nil
}

// create creates a conversation, and returns the address of its room.
func (c *Call) create(ctx context.Context, with *room.Options) (address string, err error) {
	o := c.options
	if c.conversation, err = o.Create(ctx); err != nil {
		return "", err
	}
	c.cancelCleanup = shutdown.AtExit(func() { _ = c.closeConversation() })
	with.Conversation = c.conversation.ID
	if o.Address != "" { // a LiveKit room
		return o.Address, nil
	}
	if o.OverREST {
		return rest.Scheme + ":" + c.conversation.ID, nil
	}
	backend, err := o.Daily()
	if err != nil {
		return "", err
	}
	backend.Token = cmp.Or(backend.Token, c.conversation.Token)
	with.Backend = backend
	return daily.Scheme + c.conversation.URL, nil
}

// dailyAddress returns the address of the Daily room of the conversation at Options.Address.
func (c *Call) dailyAddress(ctx context.Context) (string, error) {
	client, err := c.options.Client()
	if err != nil {
		return "", err
	}
	id := strings.TrimPrefix(c.options.Address, rest.Scheme+":")
	info, err := client.Conversation(ctx, id, false)
	switch {
	case err != nil:
		return "", err
	case info.HasEnded():
		return "", &rest.EndedError{ID: id, Reason: info.Shutdown}
	case info.URL == "":
		return "", fmt.Errorf("conversation %s %w", id, ErrNoDailyRoom)
	}
	return daily.Scheme + info.URL, nil
}

// restBackend returns the backend for conversations over REST, and begins to receive
// events.
func (c *Call) restBackend() (*rest.Backend, error) {
	o := c.options
	client, err := o.Client()
	if err != nil {
		return nil, err
	}
	backend := &rest.Backend{Client: client, OnJoin: c.onJoin}
	if o.Webhook == "" {
		return backend, nil
	}
	c.receiver, err = webhook.Listen(o.Webhook, &webhook.Options{PublicURL: o.WebhookURL, Linger: shutdown.Timeout / 2})
	if err != nil {
		return nil, &WebhookError{o.Webhook, err}
	}
	o.Say("receiving callbacks on %s", c.receiver.URL())
	backend.Events = c.receiver
	return backend, nil
}

// onJoin reports the conversation over REST, with its token, which the service returns only
// when the conversation is created.
func (c *Call) onJoin(info tavus.Info) {
	if c.conversation != nil {
		info = c.conversation.Info
	} else {
		c.options.Say("conversation %s: %s", info.ID, info.URL)
	}
	if c.options.OnJoin != nil {
		c.options.OnJoin(info)
	}
}

// addFallback makes the room rejoin with a microphone once the replica is lost.
func (c *Call) addFallback(with *room.Options) error {
	if !c.options.HasFallback {
		return nil
	}
	backend, err := c.options.Daily()
	if err != nil {
		return err
	}
	with.Fallback = &room.Fallback{Backend: backend, OnFall: func(why error) {
		c.options.Warn("the replica is lost (%v): continuing with a microphone", why)
	}}
	if c.options.OverREST {
		with.Fallback.Address = func(ctx context.Context) (string, error) {
			if created := c.conversation; created != nil {
				backend.Token = created.Token
				return daily.Scheme + created.URL, nil
			}
			return c.dailyAddress(ctx)
		}
	}
	return nil
}

// wrapBoth applies inner, and then outer if it is not nil.
func wrapBoth(inner, outer func(echo.Conn) echo.Conn) func(echo.Conn) echo.Conn {
	if outer == nil {
		return inner
	}
	return func(conn echo.Conn) echo.Conn { return outer(inner(conn)) }
}

// Room returns the room.
func (c *Call) Room() *room.Room { return c.room }

// Limit returns the largest message in bytes.
func (c *Call) Limit() int {
	return cmp.Or(c.room.Limits().MaxMessage, c.options.Room.MaxMessage, echo.DefaultMaxMessage)
}

// Local returns the stand-in replica in this process; nil if the replica is elsewhere.
func (c *Call) Local() *serve.Local { return c.local }

// HasEvents reports whether the room sends events of the replica.
func (c *Call) HasEvents() bool {
	_, isREST := c.room.Stage().(*rest.Stage)
	return !isREST || c.receiver != nil
}

// Session opens a session in the room, and completes its options.
func (c *Call) Session(options *echo.Options) (*echo.Session, error) {
	o := c.options
	options.ReadyTimeout, options.RedialTimeout = o.ReadyTimeout, o.ReconnectTimeout
	if c.local == nil {
		options.Redial = c.Redial
	}
	if _, isREST := c.room.Stage().(*rest.Stage); isREST {
		options.SendTimeout = rest.SendTimeout
	}
	if o.Trace != nil {
		options.Observe = observeBoth(options.Observe, o.Trace.Observe)
	}
	if o.HasFallback {
		options.AwayTimeout = awayTimeout
		event := options.OnEvent
		options.OnEvent = func(e echo.Event) {
			c.room.Notice(e)
			if event != nil {
				event(e)
			}
		}
		if options.OnLoss == echo.ReconnectAbandon || options.OnLoss == "" {
			options.OnLoss = echo.ReconnectResume
		}
	}
	return echo.NewSession(c.room.Stage(), options)
}

// observeBoth calls one function and then another. The first may be nil.
func observeBoth(one, other func(echo.Moment)) func(echo.Moment) {
	if one == nil {
		return other
	}
	return func(m echo.Moment) {
		one(m)
		other(m)
	}
}

// Redial joins the room again after a loss.
func (c *Call) Redial(ctx context.Context) (echo.Stage, error) {
	if c.room.Stage() != nil {
		c.options.OnReconnect("the connection was lost; reconnecting")
	}
	stage, err := c.room.Rejoin(ctx)
	if err != nil {
		return nil, c.options.Explain(err)
	}
	c.options.OnReconnect("reconnected")
	return stage, nil
}

// Close delivers what was sent, leaves the room, ends the conversation if Join created it,
// and completes the trace. Close the session before the call.
func (c *Call) Close() error {
	if c.room != nil {
		_ = c.room.Close() // receipts report what was not delivered
	}
	if c.receiver != nil {
		_ = c.receiver.Close() // never fails
	}
	var failed error
	if c.local != nil {
		failed = c.local.Close()
	}
	failed = cmp.Or(failed, c.endConversation())
	if c.options.Trace != nil {
		failed = cmp.Or(failed, c.options.Trace.Close())
	}
	return failed
}

func (c *Call) closeConversation() error {
	err := c.conversation.Close(c.ctx)
	if err != nil {
		c.options.OnEndFailed(err)
	}
	return err
}

// endConversation ends and reports the conversation that was created, if any.
func (c *Call) endConversation() error {
	if c.conversation == nil {
		return nil
	}
	if err := c.closeConversation(); err != nil {
		return &EndError{err}
	}
	c.cancelCleanup()
	c.options.Say("conversation %s has ended", c.conversation.ID)
	return nil
}
