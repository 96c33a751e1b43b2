package daily

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"sync/atomic"

	"echocast/internal/lifetime"
	"echocast/internal/redact"
	"echocast/logs"
)

// Conn is a connection to a room. All its methods may be called at the same time from
// several goroutines. Calls of Send run one after the other, and so do calls of Receive.
type Conn struct {
	address string
	options *Options
	log     *slog.Logger
	inbox   *inbox
	limit   atomic.Int64 // the room's message limit
	voice   voice        // playback of the page's microphone

	sendLock    chan struct{} // one slot, held by Send
	receiveLock chan struct{} // one slot, held by Receive

	lifetime   *lifetime.Lifetime
	stop       context.CancelFunc // stops rejoining; called by Close
	supervised chan struct{}      // closed when supervise returns
	closeErr   error              // read it after supervised is closed

	secrets *redact.Secrets

	mu            sync.Mutex
	roster        roster
	isInterrupted bool          // reported by Daily
	lost          error         // why the room is being rejoined; nil otherwise
	transport     transport     // nil while the room is being rejoined
	changed       chan struct{} // closed when transport or roster changes
}

// Join joins the Daily room at an address, such as Tavus' conversation_url. It starts a
// browser, unless Options.Browser is already running.
//
// ctx and Options.JoinTimeout bound Join, not the Conn. The error wraps ErrNoBrowser,
// ErrRefused, ErrLost (Daily's servers cannot be reached), the cause of ctx or
// context.DeadlineExceeded.
func Join(ctx context.Context, address string, opts *Options) (*Conn, error) {
	options := opts.withDefaults()
	c, err := join(ctx, address, options)
	if err != nil {
		return nil, fmt.Errorf("daily: join %s: %w", redacted(address), err)
	}
	return c, nil
}

// redacted returns an address without the parts that may be secret.
func redacted(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return "the room"
	}
	parsed.RawQuery, parsed.User = "", nil
	return parsed.String()
}

func join(ctx context.Context, address string, o *Options) (*Conn, error) {
	if err := check(address, o); err != nil {
		return nil, err
	}
	rejoining, stop := context.WithCancel(context.WithoutCancel(ctx))
	c := &Conn{
		address:     address,
		options:     o,
		log:         logs.From(ctx).With("room", redacted(address)),
		inbox:       newInbox(),
		sendLock:    make(chan struct{}, 1),
		receiveLock: make(chan struct{}, 1),
		lifetime:    lifetime.New(),
		stop:        stop,
		supervised:  make(chan struct{}),
		roster:      roster{name: o.ReplicaName, conversation: o.Conversation},
		secrets:     redact.New(o.Token),
		changed:     make(chan struct{}),
	}
	p, err := c.enter(ctx)
	if err != nil {
		stop()
		return nil, err
	}
	c.use(p)
	go c.supervise(rejoining, p)
	return c, nil
}

// check finds errors early that the page would report less clearly.
func check(address string, o *Options) error {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.Scheme != "https" && parsed.Scheme != "http" {
		return errors.New("not an http or https address of a room")
	}
	if o.DailyJS == "" {
		return nil
	}
	if _, err := os.Stat(o.DailyJS); err != nil {
		return fmt.Errorf("no daily-js: %v", err)
	}
	return nil
}

// enter starts a page or a client of the library, and joins the room.
func (c *Conn) enter(ctx context.Context) (transport, error) {
	timeout := c.options.JoinTimeout
	cause := fmt.Errorf("not in the room within %v: %w", timeout, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, cause)
	defer cancel()
	c.log.Info("starting the browser or the library", "browser", c.options.Library == nil, "timeout", timeout)
	t, err := c.open(ctx)
	if err != nil {
		c.log.Info("it did not start", "error", c.secrets.Error(err))
		return nil, err
	}
	c.log.Info("joining the room")
	limit, err := t.join(ctx, &joinParams{
		address: c.address, token: c.options.Token, userName: c.options.UserName,
		callMachine: c.options.CallMachine, microphone: c.microphoneRate(),
	})
	if err != nil {
		t.close()
		if r, ok := errors.AsType[*reason](err); ok {
			err = c.withoutSecrets(r)
		}
		c.log.Info("not joined", "error", c.secrets.Error(err))
		return nil, refusal(err)
	}
	if limit <= 0 {
		limit = c.options.MaxMessage
	}
	c.limit.Store(int64(min(limit, frameLimit-envelopeLimit)))
	c.log.Info("joined", "largest_message", c.MaxMessage())
	return t, nil
}

func (c *Conn) open(ctx context.Context) (transport, error) {
	if c.options.Library != nil {
		return openNative(c.options, c.handle)
	}
	return openPage(ctx, c.options, c.handle)
}

// microphoneRate returns the sampling rate of the page's microphone in Hz, or 0 without a
// microphone.
func (c *Conn) microphoneRate() int {
	if c.options.Microphone {
		return MicrophoneRate
	}
	return 0
}

// refusal distinguishes Daily's refusals from failures to reach Daily.
func refusal(err error) error {
	r, ok := errors.AsType[*reason](err)
	switch {
	case !ok:
		return err
	case r.Type == "":
		return errors.New(r.Message)
	case r.Type == connectionError:
		return fmt.Errorf("%w: %s", ErrLost, r.Message)
	}
	return &RefusedError{Type: r.Type, Message: r.Message}
}

// everyone is the recipient of messages to all in the room.
const everyone = "*"

// connectionError is Daily's type of error for a broken connection.
const connectionError = "connection-error"

// supervise watches the transport. When the transport breaks, supervise rejoins the room,
// once.
func (c *Conn) supervise(ctx context.Context, p transport) {
	defer close(c.supervised)
	for attempts := 1; ; attempts-- {
		select {
		case <-p.Ended():
			c.use(nil)
			p.close()
		case <-c.lifetime.Closing():
			c.closeErr = c.goodbye(p)
			c.use(nil)
			p.close()
			return
		}
		cause := p.Cause()
		c.log.Info("the connection to the room has ended", "cause", cause, "joins_again", attempts > 0)
		if errors.Is(cause, ErrPeerGone) || attempts == 0 {
			c.lifetime.End(cause)
			return
		}
		c.setLost(cause)
		next, err := c.enter(ctx)
		if err == nil {
			err = c.resend(ctx, next, p.unsent())
		}
		if err != nil {
			c.lifetime.End(fmt.Errorf("%w; joining again: %v", cause, err))
			return
		}
		c.use(next)
		p = next
	}
}

// resend sends the messages that the previous transport did not send. A message that it
// sent but could not confirm is sent twice.
func (c *Conn) resend(ctx context.Context, by transport, messages [][]byte) error {
	c.mu.Lock()
	to := cmp.Or(c.roster.recipient(), everyone)
	c.mu.Unlock()
	for _, message := range messages {
		if err := by.send(ctx, to, message); err != nil {
			by.close()
			return err
		}
	}
	return nil
}

// use makes a transport the current one. nil means none.
func (c *Conn) use(p transport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transport, c.isInterrupted = p, false
	c.notifyChange()
}

// setLost records why the room is being rejoined.
func (c *Conn) setLost(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = cause
}

// goodbye leaves the room.
func (c *Conn) goodbye(p transport) error {
	timeout := c.options.LeaveTimeout
	cause := fmt.Errorf("not left the room within %v", timeout)
	ctx, cancel := context.WithTimeoutCause(context.Background(), timeout, cause)
	defer cancel()
	return p.leave(ctx)
}

// handle processes an event of the room.
func (c *Conn) handle(p transport, f frame) {
	c.logEvent(f)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f.Event {
	case "people":
		c.deliver(c.rejoined()...)
		c.deliver(c.roster.replace(f.People)...)
		c.notifyChange()
	case "joined":
		c.deliver(c.roster.arrive(f.Person)...)
		c.notifyChange()
	case "left":
		c.deliver(c.roster.depart(f.Person.SessionID)...)
		c.notifyChange()
	case "message":
		if news := c.roster.hear(f.From, f.Data); len(news) > 0 {
			c.deliver(news...)
			c.notifyChange()
		}
		if !c.roster.isForeign(f.From, f.Data) {
			c.deliver(f.Data)
		}
	case "network":
		c.setInterrupted(!f.Connected)
	case "played":
		c.voice.end(f.Utterance)
	case "over":
		roomOver(p, c.withoutSecrets(f.Error))
	}
}

// logEvent logs an event: messages at slog.LevelDebug, all others at slog.LevelInfo.
func (c *Conn) logEvent(f frame) {
	switch f.Event {
	case "message":
		c.log.Debug("message", "from", f.From, "bytes", len(f.Data))
	case "people":
		c.log.Info("in the room", "participants", len(f.People))
	case "joined", "left":
		c.log.Info("participant "+f.Event, "name", f.Person.UserName, "session", f.Person.SessionID)
	case "network":
		c.log.Info("network", "connected", f.Connected)
	case "over":
		c.log.Info("the room is over", "error", f.Error != nil) // the error itself is the cause below
	}
}

// setInterrupted records whether Daily's signalling, which carries the messages, is
// interrupted. Until it recovers, messages wait. The caller holds c.mu.
func (c *Conn) setInterrupted(interrupted bool) {
	if interrupted == c.isInterrupted {
		return
	}
	c.isInterrupted = interrupted
	event := reconnectedEvent
	if interrupted {
		event = interruptedEvent
	}
	c.deliver(roomMessage(event, struct{}{}))
	c.notifyChange()
}

// withoutSecrets removes the token from an error in Daily's words.
func (c *Conn) withoutSecrets(r *reason) *reason {
	if r == nil {
		return nil
	}
	return &reason{Type: c.secrets.Text(r.Type), Message: c.secrets.Text(r.Message)}
}

// roomOver ends the transport for a reason from Daily: the call is over, unless only the
// connection broke. After a broken connection, joining again may help.
func roomOver(p transport, r *reason) {
	switch {
	case r == nil:
		p.End(ErrPeerGone)
	case r.Type == connectionError:
		p.End(fmt.Errorf("%w: %s", ErrLost, r.Message))
	default:
		p.End(fmt.Errorf("%w: %v", ErrPeerGone, r))
	}
}

// rejoined reports that the room was rejoined, if it was.
func (c *Conn) rejoined() [][]byte {
	if c.lost == nil {
		return nil
	}
	message := roomMessage(rejoinedEvent, map[string]string{"reason": c.lost.Error()})
	c.lost = nil
	return [][]byte{message}
}

// deliver queues messages for Receive.
func (c *Conn) deliver(messages ...[]byte) {
	for _, message := range messages {
		if !c.inbox.put(message) {
			c.lifetime.End(fmt.Errorf("%w: %d bytes wait to be received", ErrLost, inboxLimit))
		}
	}
}

// MaxMessage returns the largest message that the room takes, in UTF-16 code units. For
// ASCII these are bytes. The value can change with room.rejoined.
func (c *Conn) MaxMessage() int { return int(c.limit.Load()) }

// Send passes a message to daily-js or the library, and returns when they have taken it.
// They do not report delivery. msg must be a JSON object, and Send does not keep it.
//
// The error is the cause of ctx, net.ErrClosed, ErrPeerGone, ErrLost or ErrTooLarge. After
// any error but ErrLost, nothing was sent. If ctx or msg caused the error, the connection
// is still usable.
func (c *Conn) Send(ctx context.Context, msg []byte) error {
	if err := c.send(ctx, msg); err != nil {
		return fmt.Errorf("daily: send: %w", err)
	}
	return nil
}

func (c *Conn) send(ctx context.Context, msg []byte) error {
	if err := c.lifetime.Acquire(ctx, c.sendLock); err != nil {
		return err
	}
	defer func() { <-c.sendLock }()
	if trimmed := bytes.TrimLeft(msg, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' || !json.Valid(trimmed) {
		return errors.New("the message is not a JSON object")
	}
	for {
		p, to, err := c.current(ctx)
		if err != nil {
			return err
		}
		err = p.send(ctx, to, msg)
		if !p.HasEnded() || err == nil {
			return err
		}
		// The transport broke before the message was taken.
	}
}

// current waits for a transport that is in the room, and returns it with the address to send to.
func (c *Conn) current(ctx context.Context) (transport, string, error) {
	for {
		if err := c.lifetime.Stopped(ctx); err != nil {
			return nil, "", err
		}
		c.mu.Lock()
		interrupted := c.isInterrupted
		p, changed, to := c.transport, c.changed, c.roster.recipient()
		c.mu.Unlock()
		if to == "" {
			to = everyone
		}
		if p != nil && !p.HasEnded() && !interrupted {
			return p, to, nil
		}
		select {
		case <-changed:
		case <-c.lifetime.Ended():
			return nil, "", c.lifetime.Cause()
		case <-c.lifetime.Closing():
		case <-ctx.Done():
		}
	}
}

// Receive returns the next message of the room or about it, which belongs to the caller. If
// ctx ends, only this call ends, and no message is lost.
//
// The error is the cause of ctx, net.ErrClosed, or, after the last message that
// arrived, ErrPeerGone or ErrLost.
func (c *Conn) Receive(ctx context.Context) ([]byte, error) {
	msg, err := c.receive(ctx)
	if err != nil {
		return nil, fmt.Errorf("daily: receive: %w", err)
	}
	return msg, nil
}

func (c *Conn) receive(ctx context.Context) ([]byte, error) {
	if err := c.lifetime.Acquire(ctx, c.receiveLock); err != nil {
		return nil, err
	}
	defer func() { <-c.receiveLock }()
	for {
		if err := c.lifetime.Stopped(ctx); err != nil {
			return nil, err
		}
		ended := c.lifetime.HasEnded() // before the inbox: nothing comes after the end
		if message, found := c.inbox.take(); found {
			return message, nil
		}
		if ended {
			return nil, c.lifetime.Cause()
		}
		select {
		case <-c.inbox.more:
		case <-c.lifetime.Ended():
		case <-c.lifetime.Closing():
		case <-ctx.Done():
		}
	}
}

// Close leaves the room and frees the connection. It also ends the browser if no other
// conversation uses it. It waits at most Options.LeaveTimeout for the page to leave, and
// then for every goroutine and process. Blocked calls fail with net.ErrClosed.
//
// The error says that the page did not leave properly. Further calls wait for the first and
// return the same.
func (c *Conn) Close() error {
	c.lifetime.Close()
	c.stop()
	<-c.supervised
	if c.closeErr != nil {
		return fmt.Errorf("daily: close: %w", c.closeErr)
	}
	return nil
}
