package echo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// turn is the place of one utterance in the line. Who is first in the line
// speaks.
type turn struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	leave  func() // gives the turn up, once

	losses   int     // of the connection, without getting further
	furthest float64 // seconds that were heard at one of them
}

// mostLosses is how often in a row the connection of an utterance may be lost
// before a second more of it was heard: a replica that breaks at one place of it
// would do so for ever.
const mostLosses = 5

// hopeless counts a loss after so many seconds, and reports whether it was one too
// many.
func (t *turn) hopeless(heard float64) bool {
	if heard >= t.furthest+1 {
		t.losses, t.furthest = 0, heard
	}
	t.losses++
	return t.losses >= mostLosses
}

// enter takes a place in the line, by the session's queue policy.
func (s *Session) enter(ctx context.Context) (*turn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch busy := len(s.line) > 0; {
	case s.lost != nil:
		return nil, s.lost
	case busy && s.options.Queue == QueueReject:
		return nil, ErrBusy
	case busy && s.options.Queue == QueueReplace:
		s.clear(ErrReplaced)
	case len(s.line) > s.options.MaxQueue:
		return nil, fmt.Errorf("%w: %d wait already", ErrBusy, s.options.MaxQueue)
	}
	t := &turn{}
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	t.leave = sync.OnceFunc(func() { s.leave(t) })
	s.line = append(s.line, t)
	return t, nil
}

// await returns when it is the turn of t.
func (s *Session) await(t *turn) error {
	if err := s.until(t.ctx, func() (bool, error) { return s.line[0] == t, nil }); err != nil {
		return err
	}
	s.mu.Lock()
	gap := time.Until(s.free)
	s.mu.Unlock()
	if err := pause(t.ctx, gap); err != nil {
		return err
	}
	if err := s.until(t.ctx, func() (bool, error) { return !s.paused, s.lost }); err != nil {
		return err
	}
	return s.waitThere(t.ctx)
}

// waitThere waits for the replica, and for a connection that is being made
// again before.
func (s *Session) waitThere(ctx context.Context) error {
	if s.options.SkipReady { // Redial is bounded
		return s.until(ctx, func() (bool, error) { return !s.rejoining, s.lost })
	}
	timeout := s.options.ReadyTimeout
	s.mu.Lock()
	if s.rejoining {
		timeout += s.options.RedialTimeout
	}
	s.mu.Unlock()
	return s.waitReady(ctx, timeout)
}

func (s *Session) leave(t *turn) {
	t.cancel(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line = slices.DeleteFunc(s.line, func(other *turn) bool { return other == t })
	s.change()
}

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
