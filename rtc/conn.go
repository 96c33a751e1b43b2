package rtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/pion/sctp"

	"echocast/internal/lifetime"
)

// firstReadBuffer holds any event of a replica except the longest texts. The buffer
// grows for larger messages.
const firstReadBuffer = 2 << 10

// Conn is an open connection. All its methods may be called at the same time from several
// goroutines. Calls of Send run one after the other, and so do calls of Receive.
type Conn struct {
	peer     *peer
	messages channel
	options  *Options
	release  func(orderly bool) // tells the listener that the session is over
	limit    int                // bytes of the largest message the peer takes

	sendLock    chan struct{} // one slot, held by Send
	receiveLock chan struct{} // one slot, held by Receive
	buffer      []byte        // what Receive reads into
	low         chan struct{} // one slot, filled when little is left unacknowledged

	lifetime *lifetime.Lifetime // ends when the peer is gone or lost
	closed   chan struct{}      // closed when Close has done its work
	closeErr error              // read it after closed is closed

	pings        channel       // the ping channel, or nil; read it after supervised is closed
	supervised   chan struct{} // closed when supervise returns
	answered     chan struct{} // closed at the peer's first pong
	answeredOnce sync.Once
	pingsEnded   chan struct{} // closed when the peer has reset the ping channel
	readers      sync.WaitGroup
}

// newConn starts the goroutines of a connection with an open message channel.
func newConn(p *peer, messages channel, o *Options, release func(orderly bool)) *Conn {
	c := &Conn{
		peer:        p,
		messages:    messages,
		options:     o,
		release:     release,
		limit:       p.maxMessage(),
		sendLock:    make(chan struct{}, 1),
		receiveLock: make(chan struct{}, 1),
		buffer:      make([]byte, min(firstReadBuffer, o.MaxMessage)),
		low:         make(chan struct{}, 1),
		lifetime:    lifetime.New(),
		closed:      make(chan struct{}),
		supervised:  make(chan struct{}),
		answered:    make(chan struct{}),
		pingsEnded:  make(chan struct{}),
	}
	messages.SetBufferedAmountLowThreshold(uint64(o.LowWater))
	messages.OnBufferedAmountLow(func() {
		select {
		case c.low <- struct{}{}:
		default:
		}
	})
	go c.supervise()
	return c
}

// MaxMessage returns the largest message the peer takes, in bytes.
func (c *Conn) MaxMessage() int { return c.limit }

// Unacknowledged returns how many sent bytes the peer has not acknowledged. After the
// end of the connection it returns the last value.
func (c *Conn) Unacknowledged() int { return int(c.messages.BufferedAmount()) }

// Send queues one text message, and does not keep msg. It blocks while more than
// Options.HighWater bytes wait for the peer's acknowledgement, until at most
// Options.LowWater bytes do.
//
// The error is the cause of ctx, net.ErrClosed, ErrPeerGone, ErrLost or ErrTooLarge. If
// Send fails, it has sent nothing. If its ctx or the size of msg caused the error, the
// connection is still usable.
func (c *Conn) Send(ctx context.Context, msg []byte) error {
	if err := c.send(ctx, msg); err != nil {
		return fmt.Errorf("rtc: send: %w", err)
	}
	return nil
}

func (c *Conn) send(ctx context.Context, msg []byte) error {
	if err := c.lifetime.Acquire(ctx, c.sendLock); err != nil {
		return err
	}
	defer func() { <-c.sendLock }()
	if len(msg) > c.limit {
		return fmt.Errorf("%w: %d bytes, the peer takes %d", ErrTooLarge, len(msg), c.limit)
	}
	if err := c.waitForRoom(ctx); err != nil {
		return err
	}
	if _, err := c.messages.WriteDataChannel(msg, true); err != nil {
		return c.end(c.brokenBy(err))
	}
	return nil
}

// waitForRoom blocks while too much is unacknowledged by the peer.
func (c *Conn) waitForRoom(ctx context.Context) error {
	for limit := c.options.HighWater; ; limit = c.options.LowWater {
		if err := c.lifetime.Err(ctx); err != nil {
			return err
		}
		if c.messages.BufferedAmount() <= uint64(limit) {
			return nil
		}
		select {
		case <-c.low:
		case <-c.lifetime.Ended():
		case <-c.lifetime.Closing():
		case <-ctx.Done():
		}
	}
}

// Receive returns the next message, which belongs to the caller. If ctx ends, only this
// call ends, and no message is lost.
//
// The error is the cause of ctx, net.ErrClosed, or, after the last message
// that arrived, ErrPeerGone or ErrLost. ErrTooLarge says that the peer sent
// more than Options.MaxMessage bytes; it ends the connection.
func (c *Conn) Receive(ctx context.Context) ([]byte, error) {
	msg, err := c.receive(ctx)
	if err != nil {
		return nil, fmt.Errorf("rtc: receive: %w", err)
	}
	return msg, nil
}

func (c *Conn) receive(ctx context.Context) ([]byte, error) {
	if err := c.lifetime.Acquire(ctx, c.receiveLock); err != nil {
		return nil, err
	}
	defer func() { <-c.receiveLock }()
	defer c.interruptWhenDone(ctx)()
	for {
		n, _, err := c.messages.ReadDataChannel(c.buffer)
		if err == nil {
			return append(make([]byte, 0, n), c.buffer[:n]...), nil
		}
		if err := c.afterRead(ctx, err); err != nil {
			return nil, err
		}
	}
}

// interruptWhenDone makes a blocked read return once ctx is done. The function it
// returns stops this; later reads are not affected.
func (c *Conn) interruptWhenDone(ctx context.Context) (stop func()) {
	interrupted := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		c.interruptRead()
		close(interrupted)
	})
	return func() {
		if !cancel() {
			<-interrupted
		}
	}
}

// interruptRead makes the current or next read of the message channel return as soon as
// nothing is left to read.
func (c *Conn) interruptRead() {
	_ = c.messages.SetReadDeadline(time.Unix(1, 0))
}

// afterRead decides what a failed read means. A nil error means: read again.
func (c *Conn) afterRead(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, io.ErrShortBuffer):
		return c.growBuffer()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c.afterInterrupt(ctx)
	default:
		return c.orClosed(c.end(c.brokenBy(err)))
	}
}

// brokenBy returns why the connection ended after its channel failed with err. Browsers
// abort the association when a page calls close() or is left. A Conn that aborts without a
// bye has not delivered everything.
func (c *Conn) brokenBy(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, sctp.ErrResetPacketInStateNotExist):
		// The second error: the peer reset its channel, and left before we could reset
		// ours.
		return ErrPeerGone
	case errors.Is(err, sctp.ErrChunk) && (!c.hasAnswered() || strings.Contains(err.Error(), browserAbort)):
		return ErrPeerGone
	}
	return fmt.Errorf("%w: %s", ErrLost, withoutPointers(err.Error()))
}

// browserAbort is the reason that Chromium and Firefox give when they abort.
const browserAbort = "Close called"

var pointer = regexp.MustCompile(`\[?\b0x[0-9a-f]+\b\]? ?`)

// withoutPointers removes the memory addresses that pion puts into its errors.
func withoutPointers(text string) string { return pointer.ReplaceAllString(text, "") }

// orClosed returns err, or net.ErrClosed if this side has closed.
func (c *Conn) orClosed(err error) error {
	if closed := c.lifetime.Stopped(context.Background()); closed != nil {
		return closed
	}
	return err
}

// growBuffer makes room for a message that has arrived and is still queued.
func (c *Conn) growBuffer() error {
	limit := c.options.MaxMessage
	if len(c.buffer) >= limit {
		return c.end(fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit))
	}
	c.buffer = make([]byte, min(2*len(c.buffer), limit))
	return nil
}

// afterInterrupt finds out which call an interrupt was for. It clears an interrupt that an
// earlier call left behind: pion sets a deadline in a separate goroutine, which can be
// late. The order matters, because end interrupts last.
func (c *Conn) afterInterrupt(ctx context.Context) error {
	_ = c.messages.SetReadDeadline(time.Time{})
	if err := c.lifetime.Stopped(ctx); err != nil {
		return err
	}
	if c.lifetime.HasEnded() {
		c.interruptRead()
		return c.lifetime.Cause()
	}
	return nil
}

// end records why the connection is over, and wakes all waiting calls. Only the first
// reason counts; end returns that one.
func (c *Conn) end(reason error) error {
	defer c.interruptRead()
	if !c.lifetime.HasEnded() {
		c.options.Log.Info("connection ended", "reason", reason)
	}
	return c.lifetime.End(reason)
}

// Close says goodbye and frees the connection. It waits at most Options.CloseTimeout for
// the peer to acknowledge what was sent, and then for every goroutine of the connection.
// Blocked calls fail with net.ErrClosed.
//
// The error says that the peer did not acknowledge everything. Further calls
// wait for the first and return the same.
func (c *Conn) Close() error {
	if c.lifetime.Close() {
		if err := c.close(); err != nil {
			c.closeErr = fmt.Errorf("rtc: close: %w", err)
		}
		close(c.closed)
	}
	<-c.closed
	return c.closeErr
}

func (c *Conn) close() error {
	c.interruptRead()
	<-c.supervised
	c.sendLock <- struct{}{} // no Send is under way, and none will be
	c.readers.Go(c.discard)

	timeout := time.NewTimer(c.options.CloseTimeout)
	defer timeout.Stop()
	c.requestAcknowledgement()
	err := c.flush(timeout.C)
	if err == nil {
		c.closeHandshake(timeout.C)
	}
	c.release(err == nil)
	c.peer.close()
	c.readers.Wait()
	return err
}

// discard reads and drops messages until the association ends. Otherwise a full receive
// window would block the peer, and it could not take part in the close handshake.
func (c *Conn) discard() {
	c.receiveLock <- struct{}{}
	for {
		_, _, err := c.messages.ReadDataChannel(c.buffer)
		switch {
		case err == nil:
		case errors.Is(err, io.ErrShortBuffer) && c.growBuffer() == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			_ = c.messages.SetReadDeadline(time.Time{})
		default:
			return
		}
	}
}

// flush waits until the peer has acknowledged everything.
func (c *Conn) flush(timeout <-chan time.Time) error {
	c.messages.SetBufferedAmountLowThreshold(0)
	for {
		waiting := c.messages.BufferedAmount()
		if waiting == 0 {
			return nil
		}
		select {
		case <-c.low:
		case <-c.lifetime.Ended():
			return fmt.Errorf("%d bytes not delivered: %w", waiting, c.lifetime.Cause())
		case <-c.peer.broken: // supervise, which would end the connection, has returned
			return fmt.Errorf("%d bytes not delivered: %w", waiting, c.end(c.brokenTransport()))
		case <-timeout:
			return fmt.Errorf("%d bytes not acknowledged within %v", waiting, c.options.CloseTimeout)
		}
	}
}

// requestAcknowledgement sends a ping behind what the peer has not acknowledged: SCTP
// acknowledges two packets at once, and a single one only after 0.2 s.
func (c *Conn) requestAcknowledgement() {
	if c.pings != nil && c.messages.BufferedAmount() > 0 {
		c.sendPing()
	}
}

// closeHandshake sends bye, resets the channels and waits for the peer to reset the ping
// channel. The peer does so even if nobody calls Receive there. By then it has read the
// bye, so it does not mistake the end of the association for a lost connection.
func (c *Conn) closeHandshake(timeout <-chan time.Time) {
	if c.lifetime.HasEnded() {
		return
	}
	_ = c.messages.Close()
	if !c.hasPings() {
		return
	}
	_, _ = c.pings.WriteDataChannel([]byte(bye), true)
	_ = c.pings.Close()
	select {
	case <-c.pingsEnded:
	case <-c.peer.broken:
	case <-timeout:
	}
}

// pingsOpen is how long the ping channel may take to open after the message channel.
const pingsOpen = 250 * time.Millisecond

// hasPings waits for the ping channel of a connection that is closed right after it was
// made.
func (c *Conn) hasPings() bool {
	if c.pings != nil {
		return true
	}
	late := time.NewTimer(min(pingsOpen, c.options.CloseTimeout))
	defer late.Stop()
	select {
	case c.pings = <-c.peer.pings:
		c.readers.Go(c.answer)
		return true
	case <-c.lifetime.Ended():
	case <-c.peer.broken:
	case <-late.C:
	}
	return false
}
