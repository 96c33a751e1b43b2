package hear

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/pion/rtp"
)

// Room is a room that can still be heard after it was joined again, such as a
// *room.Room. Its HearOn calls lost with the error of each connection that ended.
type Room interface {
	HearOn(ctx context.Context, from string, packet func(track string, p *rtp.Packet), left func(track string),
		lost func(error))
}

// errStopped ends a recording.
var errStopped = errors.New("stopped")

// RecordAlongside records a participant of a room while the same connection speaks: 16-bit
// samples at a rate in Hz, and silence while nothing is heard. stop ends the recording and waits
// for it. Its error is one of writing, or the cause of ctx.
func RecordAlongside(
	ctx context.Context, room Room, from string, rate int, to io.Writer, lost func(error),
) (stop func() error, err error) {
	stream, err := NewStream(rate, to)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var recording sync.WaitGroup
	var failed error
	recording.Go(func() {
		failed = stream.Record(ctx, 0, func(ctx context.Context) error {
			room.HearOn(ctx, from, stream.Packet, stream.Left, lost)
			<-ctx.Done()
			return context.Cause(ctx)
		})
	})
	return func() error {
		cancel(errStopped)
		recording.Wait()
		if failed != errStopped {
			return failed
		}
		return nil
	}, nil
}
