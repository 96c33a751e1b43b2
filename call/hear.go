package call

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"echocast/hear"
)

// Hear writes what from (room.User, room.Replica or room.All) says, as 16-bit samples at a
// rate in Hz. It ends when the room, ctx or the recording ends, limit has passed (0: no
// limit) or writing fails. It adds the events of the room to the subtitles of the recording,
// which may be nil.
func (c *Call) Hear(ctx context.Context, r *Recording, from string, rate int, limit time.Duration,
	to io.Writer) (hear.Stats, error) {
	stream, err := hear.NewStream(rate, to)
	if err != nil {
		return hear.Stats{}, err
	}
	err = stream.Record(ctx, limit, func(ctx context.Context) error {
		ctx, cancel := context.WithCancelCause(ctx)
		var following sync.WaitGroup
		following.Go(func() { cancel(c.FollowRoom(ctx, r, 0)) })
		err := c.room.Hear(ctx, from, stream.Packet, stream.Left)
		cancel(err)
		following.Wait()
		return context.Cause(ctx)
	})
	return stream.Stats(), err
}

// FollowRoom adds the events of the room to the subtitles of the recording, which may be
// nil. It ends when the room, ctx or the recording ends, and returns the error of that one.
// It returns nil if limit has passed (0: no limit).
func (c *Call) FollowRoom(ctx context.Context, r *Recording, limit time.Duration) error {
	if limit > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, limit, ErrRecorded)
		defer cancel()
		ctx = limited
	}
	ctx, stop := context.WithCancelCause(ctx)
	var waiting sync.WaitGroup
	waiting.Go(func() { stop(r.Wait(ctx)) })
	for {
		event, err := c.room.Stage().Next(ctx)
		if err == nil {
			r.Add(event)
			continue
		}
		stop(err)
		waiting.Wait()
		if err = context.Cause(ctx); errors.Is(err, ErrRecorded) {
			return nil
		}
		return err
	}
}
