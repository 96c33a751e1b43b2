// Package roomtest provides rooms in memory with a stand-in replica, for tests of
// programs that speak in rooms:
//
//	r := roomtest.Open(nil)
//	defer r.Close()
//	joined, err := room.Join(ctx, r.Address, nil)
//
// It uses no network, so tests may use testing/synctest and fake time.
package roomtest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"echocast/internal/memconn"
	"echocast/replica"
	"echocast/room"
)

// Room is a room in memory.
type Room struct {
	Address string // for room.Join

	options replica.Options
	stop    context.CancelFunc
	ctx     context.Context //nolint:containedctx // the replicas' context, until Close
	running sync.WaitGroup

	mu      sync.Mutex
	reports []replica.Report
}

// rooms are the open rooms, by address.
var rooms = struct {
	sync.Mutex
	next int
	open map[string]*Room
}{open: map[string]*Room{}}

func init() { room.Register("memory", backend{}) }

// Open opens a room whose replicas use these options. nil means the defaults. Each
// connection gets a separate replica. The caller closes the room.
func Open(o *replica.Options) *Room {
	r := &Room{}
	if o != nil {
		r.options = *o
	}
	r.ctx, r.stop = context.WithCancel(context.Background())
	rooms.Lock()
	defer rooms.Unlock()
	rooms.next++
	r.Address = fmt.Sprintf("memory:%d", rooms.next)
	rooms.open[r.Address] = r
	return r
}

// Close ends the room, and waits for its replicas. It returns their reports, in the
// order in which they ended.
func (r *Room) Close() []replica.Report {
	rooms.Lock()
	delete(rooms.open, r.Address)
	rooms.Unlock()
	r.stop()
	r.running.Wait()
	return r.reports
}

// serve runs the replica of one connection.
func (r *Room) serve(conn *Conn) {
	defer conn.Close()
	options := r.options
	report, _ := replica.New(conn, &options).Run(r.ctx) // the error only says how the room ended
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

// Conn is one end of a pair: an echo.Conn, and a replica.Conn.
type Conn = memconn.Conn

// Pair returns the two ends of a connection in memory.
func Pair() (a, b *Conn) { return memconn.Pair() }
