package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"echocast/hear"
	"echocast/room"
)

// asrRate is the sampling rate in Hz of what a recogniser gets.
const asrRate = 16000

// hearAlong writes what is heard in a room while the same connection speaks, until
// stop is called. After a lost connection it writes silence until the room is joined
// again. stop waits, and returns an error if writing failed.
func hearAlong(ctx context.Context, from *room.Room, who string, rate int, to io.Writer,
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

// along writes what is heard to the file of --hear.
func (s *sendCmd) along(ctx context.Context, from *room.Room, out *reporter) (stop func() error, err error) {
	if s.hear == "" {
		return func() error { return nil }, nil
	}
	h := &hearCmd{streams: s.streams, rate: asrRate}
	written, err := h.open(ctx, s.hear)
	if err != nil {
		return nil, fmt.Errorf("--hear %w", err)
	}
	end, err := hearAlong(ctx, from, s.hearFrom, asrRate, written, out)
	if err != nil {
		return nil, cmp.Or(err, written.Close())
	}
	return func() error { return cmp.Or(end(), written.Close()) }, nil
}
