package daily

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
)

// Conn is a place in a room. All its methods may be called at the same time
// from several goroutines; calls of Send are carried out one after the other,
// and so are calls of Receive.
type Conn struct {
	address string
	options *Options
	inbox   *inbox
	limit   atomic.Int64 // what the room takes
	voice   voice        // what the page plays as a microphone

	sending   chan struct{} // one slot, held by Send
	receiving chan struct{} // one slot, held by Receive

	leave      context.CancelFunc // called by Close
	closing    <-chan struct{}    // closed by leave
	supervised chan struct{}      // closed when supervise returns
	closeErr   error              // read it after supervised is closed

	endOnce sync.Once
	cause   error         // why the connection ended; read it after ended is closed
	ended   chan struct{} // closed when the connection is of no use any more

	mu      sync.Mutex
	roster  roster
	lost    error         // why the room is being joined again, until it is
	way     entrance      // nil while there is none
	changed chan struct{} // closed when way or roster changes
}

// Join starts a browser, unless Options.Browser runs already, and joins a room.
// The address is a Daily room's, such as Tavus' conversation_url.
//
// ctx and Options.JoinTimeout bound Join, not the Conn. The error wraps
// ErrNoBrowser, ErrRefused, ErrLost (no way to Daily's servers), the cause of
// ctx or context.DeadlineExceeded.
func Join(ctx context.Context, address string, opts *Options) (*Conn, error) {
	options := opts.withDefaults()
	c, err := join(ctx, address, options)
	if err != nil {
		return nil, fmt.Errorf("daily: join %s: %w", redacted(address), err)
	}
	return c, nil
}

// redacted is an address without what may be secret in it.
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
	life, leave := context.WithCancel(context.WithoutCancel(ctx))
	c := &Conn{
		address:    address,
		options:    o,
		inbox:      newInbox(),
		sending:    make(chan struct{}, 1),
		receiving:  make(chan struct{}, 1),
		leave:      leave,
		closing:    life.Done(),
		supervised: make(chan struct{}),
		ended:      make(chan struct{}),
		roster:     roster{name: o.ReplicaName},
		changed:    make(chan struct{}),
	}
	p, err := c.enter(ctx)
	if err != nil {
		leave()
		return nil, err
	}
	c.use(p)
	go c.supervise(life, p)
	return c, nil
}

// check finds what would fail in the page with less clear words.
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

// enter opens a way in and joins the room by it.
func (c *Conn) enter(ctx context.Context) (entrance, error) {
	timeout := c.options.JoinTimeout
	cause := fmt.Errorf("not in the room within %v: %w", timeout, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, cause)
	defer cancel()
	way, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	limit, err := way.join(ctx, &admission{
		address: c.address, token: c.options.Token, userName: c.options.UserName,
		callMachine: c.options.CallMachine, microphone: c.microphoneRate(),
	})
	if err != nil {
		way.close()
		return nil, refusal(err)
	}
	if limit <= 0 {
		limit = c.options.MaxMessage
	}
	c.limit.Store(int64(min(limit, frameLimit-envelopeLimit)))
	return way, nil
}

func (c *Conn) open(ctx context.Context) (entrance, error) {
	if c.options.Library != nil {
		return openNative(c.options, c.handle)
	}
	return openPage(ctx, c.options, c.handle)
}

// microphoneRate is that of the page's microphone, or 0 where it has none.
func (c *Conn) microphoneRate() int {
	if c.options.Microphone {
		return MicrophoneRate
	}
	return 0
}

// refusal tells Daily's refusals from failures on the way to Daily.
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

// everyone is the recipient that stands for all in the room.
const everyone = "*"

// connectionError is Daily's type of error for a broken connection.
const connectionError = "connection-error"

// supervise watches over the way in, and joins again, once, when it breaks.
func (c *Conn) supervise(life context.Context, p entrance) {
	defer close(c.supervised)
	for attempts := 1; ; attempts-- {
		select {
		case <-p.lifetime().ended:
			c.use(nil)
			p.close()
		case <-c.closing:
			c.closeErr = c.goodbye(p)
			c.use(nil)
			p.close()
			return
		}
		cause := p.lifetime().cause
		if errors.Is(cause, ErrPeerGone) || attempts == 0 {
			c.end(cause)
			return
		}
		c.setLost(cause)
		next, err := c.enter(life)
		if err == nil {
			err = c.resend(life, next, p.unsent())
		}
		if err != nil {
			c.end(fmt.Errorf("%w; joining again: %v", cause, err))
			return
		}
		c.use(next)
		p = next
	}
}

// resend hands over what the entrance before did not send. What it has sent, and
// had no time to say so, is sent twice.
func (c *Conn) resend(ctx context.Context, by entrance, messages [][]byte) error {
	c.mu.Lock()
	to := cmp.Or(c.roster.replica, everyone)
	c.mu.Unlock()
	for _, message := range messages {
		if err := by.pass(ctx, to, message); err != nil {
			by.close()
			return err
		}
	}
	return nil
}

// use makes an entrance the one that sends, or none.
func (c *Conn) use(p entrance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.way = p
	c.stir()
}

// setLost notes why the next page joins the room again.
func (c *Conn) setLost(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = cause
}

// goodbye leaves the room.
func (c *Conn) goodbye(p entrance) error {
	timeout := c.options.LeaveTimeout
	cause := fmt.Errorf("not left the room within %v", timeout)
	ctx, cancel := context.WithTimeoutCause(context.Background(), timeout, cause)
	defer cancel()
	return p.leave(ctx)
}

// end notes why the connection is over, and wakes all who wait.
func (c *Conn) end(cause error) {
	c.endOnce.Do(func() {
		c.cause = cause
		close(c.ended)
	})
}

// handle takes an event of the room.
func (c *Conn) handle(p entrance, f frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f.Event {
	case "people":
		c.deliver(c.rejoined()...)
		c.deliver(c.roster.replace(f.People)...)
		c.stir()
	case "joined":
		c.deliver(c.roster.arrive(f.Person)...)
		c.stir()
	case "left":
		c.deliver(c.roster.depart(f.Person.SessionID)...)
		c.stir()
	case "message":
		if news := c.roster.hear(f.From, f.Data); len(news) > 0 {
			c.deliver(news...)
			c.stir()
		}
		c.deliver(f.Data)
	case "played":
		c.voice.end(f.Utterance)
	case "over":
		roomOver(p, f.Error)
	}
}

// roomOver takes Daily's word that the call is over. A connection that broke is
// worth another attempt.
func roomOver(p entrance, r *reason) {
	switch {
	case r == nil:
		p.end(ErrPeerGone)
	case r.Type == connectionError:
		p.end(fmt.Errorf("%w: %s", ErrLost, r.Message))
	default:
		p.end(fmt.Errorf("%w: %v", ErrPeerGone, r))
	}
}

// rejoined tells that the room was joined again, if it was.
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
			c.end(fmt.Errorf("%w: %d bytes wait to be received", ErrLost, inboxLimit))
		}
	}
}

// MaxMessage is the largest message that the room takes, in UTF-16 code units,
// which for ASCII are bytes. It can be another after room.rejoined.
func (c *Conn) MaxMessage() int { return int(c.limit.Load()) }

// Send returns when daily-js or the library has taken the message; what Daily
// does with it, they do not tell. Send does not keep msg, which has to be a JSON object.
//
// The error is the cause of ctx, net.ErrClosed, ErrPeerGone, ErrLost or
// ErrTooLarge. A Send that failed with anything but ErrLost has sent nothing,
// and one that was ended by its ctx or by msg leaves the connection as it was.
func (c *Conn) Send(ctx context.Context, msg []byte) error {
	if err := c.send(ctx, msg); err != nil {
		return fmt.Errorf("daily: send: %w", err)
	}
	return nil
}

func (c *Conn) send(ctx context.Context, msg []byte) error {
	if err := c.acquire(ctx, c.sending); err != nil {
		return err
	}
	defer func() { <-c.sending }()
	if trimmed := bytes.TrimLeft(msg, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' || !json.Valid(trimmed) {
		return errors.New("the message is not a JSON object")
	}
	for {
		p, to, err := c.current(ctx)
		if err != nil {
			return err
		}
		err = p.pass(ctx, to, msg)
		if !p.hasEnded() || err == nil {
			return err
		}
		// The way in has broken before the message was taken.
	}
}

// current waits for an entrance that is in the room, and says whom to send to.
func (c *Conn) current(ctx context.Context) (entrance, string, error) {
	for {
		if err := c.over(ctx); err != nil {
			return nil, "", err
		}
		c.mu.Lock()
		p, changed, to := c.way, c.changed, c.roster.replica
		c.mu.Unlock()
		if to == "" {
			to = everyone
		}
		if p != nil && !p.hasEnded() {
			return p, to, nil
		}
		select {
		case <-changed:
		case <-c.ended:
			return nil, "", c.cause
		case <-c.closing:
		case <-ctx.Done():
		}
	}
}

// acquire takes a one-slot lock. Unlike a mutex it can be waited for no longer
// than ctx and the connection last.
func (c *Conn) acquire(ctx context.Context, lock chan struct{}) error {
	if err := c.over(ctx); err != nil {
		return err
	}
	select {
	case lock <- struct{}{}:
		return nil
	case <-c.closing:
	case <-ctx.Done():
	}
	return c.over(ctx)
}

// over says why no call can go on: this side has closed, or ctx is done.
func (c *Conn) over(ctx context.Context) error {
	select {
	case <-c.closing:
		return net.ErrClosed
	default:
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// Receive returns the next message of the room or about it, which belongs to
// the caller. A ctx that is done ends this call only, and no message is lost by
// it.
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
	if err := c.acquire(ctx, c.receiving); err != nil {
		return nil, err
	}
	defer func() { <-c.receiving }()
	for {
		if err := c.over(ctx); err != nil {
			return nil, err
		}
		ended := c.hasEnded() // before the inbox: nothing comes after the end
		if message, found := c.inbox.take(); found {
			return message, nil
		}
		if ended {
			return nil, c.cause
		}
		select {
		case <-c.inbox.more:
		case <-c.ended:
		case <-c.closing:
		case <-ctx.Done():
		}
	}
}

// hasEnded reports whether the connection is of no use any more.
func (c *Conn) hasEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// Close leaves the room and frees the connection, and the browser if no other
// conversation uses it. It waits at most Options.LeaveTimeout for the page to
// have left, and then for every goroutine and process. Calls that are blocked
// fail with net.ErrClosed.
//
// The error says that the page did not leave in good order. Further calls wait
// for the first and return the same.
func (c *Conn) Close() error {
	c.leave()
	<-c.supervised
	if c.closeErr != nil {
		return fmt.Errorf("daily: close: %w", c.closeErr)
	}
	return nil
}
