package lifetime_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"echocast/internal/lifetime"
	"echocast/internal/testwait"
)

func TestFirstCauseIsKept(t *testing.T) {
	l := lifetime.New()
	if l.HasEnded() || l.Cause() != nil || l.Err(testwait.Context(t)) != nil {
		t.Error("it has ended before its end")
	}
	if l.End(io.EOF) != io.EOF || l.End(io.ErrUnexpectedEOF) != io.EOF || l.Cause() != io.EOF {
		t.Errorf("ended with %v", l.Cause())
	}
	testwait.Receive(t, l.Ended())
	if l.Stopped(testwait.Context(t)) != nil || l.Err(testwait.Context(t)) != io.EOF {
		t.Error("Stopped heeds the end, or Err does not")
	}
}

func TestCloseOverridesOtherCauses(t *testing.T) {
	l := lifetime.New()
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	cause := errors.New("interrupted")
	cancel(cause)
	if l.Stopped(ctx) != cause || l.Err(ctx) != cause {
		t.Error("the cause of the context is not told")
	}
	l.End(io.EOF)
	if l.Err(ctx) != io.EOF {
		t.Error("the end does not come before the context")
	}
	if !l.Close() || l.Close() {
		t.Error("Close does not report the first call alone")
	}
	testwait.Receive(t, l.Closing())
	if l.Stopped(ctx) != net.ErrClosed || l.Err(ctx) != net.ErrClosed {
		t.Error("closing does not come first")
	}
}

func TestAcquireEnds(t *testing.T) {
	l, lock := lifetime.New(), make(chan struct{}, 1)
	if err := l.Acquire(testwait.Context(t), lock); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testwait.Context(t))
	waiting := make(chan error, 2)
	go func() { waiting <- l.Acquire(ctx, lock) }()
	cancel()
	if err := testwait.Receive(t, waiting); err != context.Canceled {
		t.Errorf("ended by its context: %v", err)
	}
	go func() { waiting <- l.Acquire(context.Background(), lock) }()
	l.Close()
	if err := testwait.Receive(t, waiting); err != net.ErrClosed {
		t.Errorf("ended by Close: %v", err)
	}
	if len(lock) != 1 {
		t.Error("the lock was taken twice")
	}
}
