package echo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"echocast/internal/sleep"
)

// turn is one utterance in the queue. The first in the queue speaks.
type turn struct {
	session *Session
	ctx     context.Context //nolint:containedctx // of the utterance, which waits in the queue
	cancel  context.CancelCauseFunc

	losses   int           // of the connection in a row, without progress
	furthest time.Duration // the furthest position heard
}

// mostLosses is how often in a row the connection may be lost with less than a second of
// progress. Without this limit, an utterance that always fails at the same place would be
// retried for ever.
const mostLosses = 5

// recordLoss counts a loss at the position heard, and reports whether the limit is
// reached.
func (t *turn) recordLoss(heard time.Duration) bool {
	if heard >= t.furthest+time.Second {
		t.losses, t.furthest = 0, heard
	}
	t.losses++
	return t.losses >= mostLosses
}

// enter joins the queue, according to the session's queue policy.
func (s *Session) enter(ctx context.Context) (*turn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch busy := len(s.queue) > 0; {
	case s.lost != nil:
		return nil, s.lost
	case busy && s.options.Queue == QueueReject:
		return nil, ErrBusy
	case busy && s.options.Queue == QueueReplace:
		s.clear(ErrReplaced)
	case len(s.queue) > s.options.MaxQueue:
		return nil, fmt.Errorf("%w: %d wait already", ErrBusy, s.options.MaxQueue)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	t := &turn{session: s, ctx: ctx, cancel: cancel}
	s.queue = append(s.queue, t)
	return t, nil
}

// await waits until t is first in the queue.
func (s *Session) await(t *turn) error {
	if err := s.until(t.ctx, func() (bool, error) { return s.queue[0] == t, nil }); err != nil {
		return err
	}
	s.mu.Lock()
	gap := time.Until(s.nextStart)
	s.mu.Unlock()
	if err := sleep.For(t.ctx, gap); err != nil {
		return err
	}
	return s.waitToBegin(t.ctx)
}

// waitToBegin waits for the end of a pause, and then for the replica.
func (s *Session) waitToBegin(ctx context.Context) error {
	if err := s.until(ctx, func() (bool, error) { return !s.isPaused, s.lost }); err != nil {
		return err
	}
	return s.waitReplica(ctx)
}

// errHeld reports that Pause was called while an utterance waited for the replica.
var errHeld = errors.New("held")

// waitReplica waits for a lost connection to be restored, and then for the replica.
func (s *Session) waitReplica(ctx context.Context) error {
	if s.options.SkipReady { // Redial bounds the wait
		return s.until(ctx, func() (bool, error) { return !s.isRejoining, s.lost })
	}
	timeout := s.options.ReadyTimeout
	s.mu.Lock()
	if s.isRejoining {
		timeout += s.options.RedialTimeout
	}
	s.mu.Unlock()
	return s.waitReady(ctx, timeout)
}

// leave removes the turn from the queue. It may be called again.
func (t *turn) leave() {
	t.cancel(nil)
	s := t.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.queue, t); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
		s.change()
	}
}
