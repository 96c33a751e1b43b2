package daily

import (
	"context"
	"sync"
)

// entrance is what a Conn is in a room by: a page of a browser, or a client of
// Daily's library.
type entrance interface {
	// join enters the room, and returns the limit that it announces, or 0. Its
	// errors in Daily's words are a *reason.
	join(ctx context.Context, as *admission) (limit int, err error)
	// pass hands a message over, to one or to everyone. An error that is the
	// cause of ctx says that it was not.
	pass(ctx context.Context, to string, msg []byte) error
	// unsent are the messages that were handed over and, as far as is known,
	// not sent.
	unsent() [][]byte
	// listen makes an Audio the one that gets what a participant says.
	listen(ctx context.Context, session string, a *Audio) error
	leave(ctx context.Context) error
	// close frees everything, and returns when no event will come any more.
	close()

	end(reason error)
	hasEnded() bool
	lifetime() *life
}

// admission is what one tells to get in.
type admission struct {
	address, token, userName string

	callMachine string // pages only
	microphone  int    // Hz, or 0; pages only
}

// life is how long an entrance is of use.
type life struct {
	once  sync.Once
	cause error         // why it is over; read it after ended is closed
	ended chan struct{} // closed when it is of no use any more
}

func newLife() *life { return &life{ended: make(chan struct{})} }

func (l *life) lifetime() *life { return l }

// end notes why the entrance is over, and wakes all who wait for it. Only the
// first reason counts.
func (l *life) end(reason error) {
	l.once.Do(func() {
		l.cause = reason
		close(l.ended)
	})
}

func (l *life) hasEnded() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}
