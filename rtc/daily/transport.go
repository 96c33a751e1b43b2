package daily

import "context"

// transport joins a room and carries messages: a page of a browser, or a client
// of Daily's library.
type transport interface {
	// join enters the room, and returns the limit that it announces, or 0. Its
	// errors in Daily's words are a *reason.
	join(ctx context.Context, as *joinParams) (limit int, err error)
	// send hands a message over, to one or to everyone. An error that is the
	// cause of ctx says that it was not.
	send(ctx context.Context, to string, msg []byte) error
	// unsent are the messages that were handed over and, as far as is known,
	// not sent.
	unsent() [][]byte
	// listen makes an Audio the one that gets what a participant says.
	listen(ctx context.Context, session string, a *Audio) error
	leave(ctx context.Context) error
	// close frees everything, and returns when no event will come any more.
	close()

	// Ended is closed when the transport is of no use any more, for the reason
	// given to End, which is then its Cause.
	End(reason error) error
	HasEnded() bool
	Ended() <-chan struct{}
	Cause() error
}

// joinParams are the arguments of transport.join.
type joinParams struct {
	address, token, userName string

	callMachine string // pages only
	microphone  int    // Hz, or 0; pages only
}
