package mcp

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"echocast/echo"
)

// silentStage is a room in which nothing happens.
type silentStage struct{ echo.Stage }

func (silentStage) Next(ctx context.Context) (echo.Event, error) {
	<-ctx.Done()
	return echo.Event{}, context.Cause(ctx)
}

// An utterance that was accepted a moment ago, and has not reached the session yet, is
// interrupted too, and Close waits for it.
func TestAcceptedUtteranceIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		session, err := echo.NewSession(silentStage{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		s := New(session, "test")
		ctx, cancel := context.WithCancelCause(t.Context())
		over, err := s.begin(cancel)
		if err != nil {
			t.Fatal(err)
		}
		var isInterrupted, isClosed atomic.Bool
		go func() {
			_, _, _ = s.interrupt(t.Context(), nil, InterruptInput{})
			isInterrupted.Store(true)
		}()
		synctest.Wait()
		if !errors.Is(context.Cause(ctx), echo.ErrStopped) || isInterrupted.Load() {
			t.Errorf("the utterance ended with %v; interrupt returned: %t", context.Cause(ctx), isInterrupted.Load())
		}
		go func() {
			_ = s.Close()
			isClosed.Store(true)
		}()
		synctest.Wait()
		if isClosed.Load() {
			t.Error("Close did not wait for it")
		}
		s.end(over, echo.Receipt{})
		synctest.Wait()
		if !isInterrupted.Load() || !isClosed.Load() {
			t.Errorf("at the end, interrupt had returned: %t, Close: %t", isInterrupted.Load(), isClosed.Load())
		}
	})
}
