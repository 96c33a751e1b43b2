// Package roomtest has rooms in memory with a stand-in replica in them, for
// tests of programs that speak in rooms:
//
//	r := roomtest.Open(nil)
//	defer r.Close()
//	joined, err := room.Join(ctx, r.Address, nil)
//
// Nothing leaves the process, and no goroutine waits for a network, so a test
// may use testing/synctest and take no time.
package roomtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"echocast/replica"
	"echocast/room"
)

// Room is a room in memory.
type Room struct {
	Address string // for room.Join

	options replica.Options
	stop    context.CancelFunc
	life    context.Context //nolint:containedctx // of the replica, until Close
	running sync.WaitGroup

	mu      sync.Mutex
	reports []replica.Report
}

// rooms are those that are open, by their addresses.
var rooms = struct {
	sync.Mutex
	next int
	open map[string]*Room
}{open: map[string]*Room{}}

func init() { room.Register("memory", backend{}) }

// Open makes a room whose replica behaves as o says; nil is the usual way. Each
// who joins has a replica of their own. The room must be closed.
func Open(o *replica.Options) *Room {
	r := &Room{}
	if o != nil {
		r.options = *o
	}
	r.life, r.stop = context.WithCancel(context.Background())
	rooms.Lock()
	defer rooms.Unlock()
	rooms.next++
	r.Address = fmt.Sprintf("memory:%d", rooms.next)
	rooms.open[r.Address] = r
	return r
}

// Close ends the room, and waits for its replicas. It returns what they heard,
// in the order in which they ended.
func (r *Room) Close() []replica.Report {
	rooms.Lock()
	delete(rooms.open, r.Address)
	rooms.Unlock()
	r.stop()
	r.running.Wait()
	return r.reports
}

// serve is the replica of one connection.
func (r *Room) serve(conn *Conn) {
	defer conn.Close()
	options := r.options
	report, _ := replica.New(conn, &options).Run(r.life) // its error is the end of the room
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports = append(r.reports, report)
}

// backend joins rooms in memory.
type backend struct{}

func (backend) Join(_ context.Context, address string, o *room.Options) (*room.Connection, error) {
	if o.Microphone || o.Hear {
		return nil, &room.OptionError{Option: "Microphone, Hear", Err: errors.New("a room in memory carries messages only")}
	}
	rooms.Lock()
	r, ok := rooms.open[address]
	rooms.Unlock()
	if !ok {
		return nil, &room.AddressError{Err: fmt.Errorf("no room is open at %s", address)}
	}
	ours, theirs := Pair()
	r.running.Go(func() { r.serve(theirs) })
	return &room.Connection{Stage: o.Messages(ours, room.LocalConversation, o.MaxMessage), Close: ours.Close}, nil
}

// backlog is how many messages wait for the other end before Send blocks.
const backlog = 64

// Conn is one end of a pair: an echo.Conn, and a replica.Conn.
type Conn struct {
	out, in   chan []byte
	gone      chan struct{} // closed by Close of the other end
	closed    chan struct{}
	closeOnce func()
}

// Pair returns the two ends of a connection in memory.
func Pair() (a, b *Conn) {
	there, back := make(chan []byte, backlog), make(chan []byte, backlog)
	closedA, closedB := make(chan struct{}), make(chan struct{})
	a = &Conn{there, back, closedB, closedA, sync.OnceFunc(func() { close(closedA) })}
	b = &Conn{back, there, closedA, closedB, sync.OnceFunc(func() { close(closedB) })}
	return a, b
}

// Send passes a message on, and waits while the other end has many to read. The
// error is net.ErrClosed, io.EOF where the other end was closed, or the cause of
// ctx.
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

// Receive returns the next message. When the other end was closed, all that it
// sent comes first, and then io.EOF.
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

// ended is why the connection has ended, or nil.
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
