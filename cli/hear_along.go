package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"sync"

	"echocast/hear"
	"echocast/room"
)

// asrRate is the sampling rate in Hz of what a recogniser gets.
const asrRate = 16000

// hearAlong hears a room on the connections by which somebody speaks, and writes
// what is said until stop is called. Between a connection that is lost and the
// next there is silence. stop waits for the end, which is an error only where the
// samples were not taken.
func hearAlong(ctx context.Context, from *room.Room, who string, to io.Writer, out *reporter) (stop func() error, err error) {
	stream, err := hear.NewStream(asrRate, to)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var recording sync.WaitGroup
	recording.Go(func() {
		cancel(stream.Record(ctx, 0, func(ctx context.Context) error {
			from.HearOn(ctx, who, stream.Packet, stream.Left, func(err error) {
				if !hasEnded(err) {
					out.warn("nothing is heard now: %v", err)
				}
			})
			<-ctx.Done()
			return context.Cause(ctx)
		}))
	})
	return func() error {
		cancel(room.ErrOver)
		recording.Wait()
		if err := context.Cause(ctx); !hasEnded(err) {
			return err
		}
		return nil
	}, nil
}

// along opens the file of --hear, and hears into it.
func (s *sendCmd) along(ctx context.Context, from *room.Room, out *reporter) (stop func() error, err error) {
	if s.hear == "" {
		return func() error { return nil }, nil
	}
	h := &hearCmd{streams: s.streams, rate: asrRate}
	written, err := h.open(ctx, s.hear)
	if err != nil {
		return nil, fmt.Errorf("--hear %w", err)
	}
	end, err := hearAlong(ctx, from, s.hearFrom, written, out)
	if err != nil {
		return nil, cmp.Or(err, written.close())
	}
	return func() error { return cmp.Or(end(), written.close()) }, nil
}
