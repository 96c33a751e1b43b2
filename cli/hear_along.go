package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"echocast/hear"
	"echocast/room"
)

// asrRate is the sampling rate in Hz that speech recognisers get.
const asrRate = 16000

// hearAlongside writes what is heard in a room while the same connection speaks, until
// stop is called. After a lost connection it writes silence until the room is joined
// again. stop waits, and returns an error if writing failed.
func hearAlongside(ctx context.Context, from *room.Room, who string, rate int, to io.Writer,
	out *reporter) (stop func() error, err error) {
	wait, err := hear.RecordAlongside(ctx, from, who, rate, to, func(err error) {
		if !hasEnded(err) {
			out.warn("the room is not heard any more: %v", err)
		}
	})
	if err != nil {
		return nil, err
	}
	return func() error {
		if err := wait(); !hasEnded(err) {
			return err
		}
		return nil
	}, nil
}

// recordHeard writes what is heard in the room to the file of --hear, until the room is left.
func (s *sendCmd) recordHeard(ctx context.Context, to *target, out *reporter) error {
	if s.hear == "" {
		return nil
	}
	h := &hearCmd{streams: s.streams, rate: asrRate}
	written, err := h.open(ctx, s.hear)
	if err != nil {
		return fmt.Errorf("--hear %w", err)
	}
	end, err := hearAlongside(ctx, to.Room(), s.hearFrom, asrRate, written, out)
	if err != nil {
		return cmp.Or(err, written.Close())
	}
	to.onLeave = append(to.onLeave, end, written.Close)
	return nil
}
