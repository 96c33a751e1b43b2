// Package memconn provides in-memory connections that carry messages.
package memconn

import (
	"context"
	"io"
	"net"
	"sync"
)

// backlog is how many messages may wait for the other end before Send blocks.
const backlog = 64

// Conn is one end of a pair. It is an echo.Conn and a replica.Conn.
type Conn struct {
	out, in   chan []byte
	gone      chan struct{} // closed by Close of the other end
	closed    chan struct{}
	closeOnce func()
}

// Pair returns the two ends of a new connection.
func Pair() (a, b *Conn) {
	there, back := make(chan []byte, backlog), make(chan []byte, backlog)
	closedA, closedB := make(chan struct{}), make(chan struct{})
	a = &Conn{there, back, closedB, closedA, sync.OnceFunc(func() { close(closedA) })}
	b = &Conn{back, there, closedA, closedB, sync.OnceFunc(func() { close(closedB) })}
	return a, b
}

// Send sends a message. It blocks while too many messages wait at the other end. The error
// is net.ErrClosed, io.EOF if the other end was closed, or the cause of ctx.
func (c *Conn) Send(ctx context.Context, msg []byte) error {
	if err := c.ended(); err != nil {
		return err
	}
	select {
	case c.out <- append([]byte(nil), msg...):
		return nil
	case <-c.closed:
	case <-c.gone:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return c.ended()
}

// Receive returns the next message. After the other end was closed, it first returns
// the remaining messages, and then io.EOF.
func (c *Conn) Receive(ctx context.Context) ([]byte, error) {
	select {
	case msg := <-c.in:
		return msg, nil
	case <-c.closed:
	case <-c.gone:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case msg := <-c.in:
		return msg, nil
	default:
		return nil, c.ended()
	}
}

// ended returns why the connection has ended, or nil.
func (c *Conn) ended() error {
	select {
	case <-c.closed:
		return net.ErrClosed
	default:
	}
	select {
	case <-c.gone:
		return io.EOF
	default:
		return nil
	}
}

// Close ends the connection. It may be called twice.
func (c *Conn) Close() error {
	c.closeOnce()
	return nil
}
