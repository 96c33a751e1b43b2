package daily

import "context"

// transport joins a room and carries messages: a page of a browser, or a client
// of Daily's library.
type transport interface {
	// join enters the room, and returns the message limit that the room announces, or 0. An
	// error that Daily reports is a *reason.
	join(ctx context.Context, as *joinParams) (limit int, err error)
	// send sends a message to one participant or to everyone. If the error is the cause of
	// ctx, the message was not sent.
	send(ctx context.Context, to string, msg []byte) error
	// unsent returns the messages that were passed to send but, as far as is known, were
	// not sent.
	unsent() [][]byte
	// listen directs a participant's sound to an Audio.
	listen(ctx context.Context, session string, a *Audio) error
	leave(ctx context.Context) error
	// close frees everything, and returns when no more events can arrive.
	close()

	// Ended returns a channel that is closed when the transport has broken, for the
	// reason given to End, which Cause then returns.
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
