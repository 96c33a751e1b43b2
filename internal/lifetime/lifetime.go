// Package lifetime is what connections have in common about their end: this
// side closes them, or they end because the other side is gone.
package lifetime

import (
	"context"
	"net"
	"sync"
)

// Lifetime is the life of one connection. All its methods may be called at the
// same time from several goroutines.
type Lifetime struct {
	closeOnce sync.Once
	closing   chan struct{}

	endOnce sync.Once
	cause   error // read it after ended is closed
	ended   chan struct{}
}

// New begins a Lifetime.
func New() *Lifetime {
	return &Lifetime{closing: make(chan struct{}), ended: make(chan struct{})}
}

// Close begins the closing by this side. It reports whether this call did.
func (l *Lifetime) Close() (first bool) {
	l.closeOnce.Do(func() {
		first = true
		close(l.closing)
	})
	return first
}

// Closing is closed by Close.
func (l *Lifetime) Closing() <-chan struct{} { return l.closing }

// End records why the connection is of no use any more. Only the first reason
// counts; End returns that one.
func (l *Lifetime) End(cause error) error {
	l.endOnce.Do(func() {
		l.cause = cause
		close(l.ended)
	})
	return l.cause
}

// Ended is closed by End.
func (l *Lifetime) Ended() <-chan struct{} { return l.ended }

// HasEnded reports whether End was called.
func (l *Lifetime) HasEnded() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// Cause is the reason given to End, or nil as long as there is none.
func (l *Lifetime) Cause() error {
	if l.HasEnded() {
		return l.cause
	}
	return nil
}

// Stopped says why a call cannot go on that has to do with what was received
// before the end: net.ErrClosed, the cause of ctx, or nil.
func (l *Lifetime) Stopped(ctx context.Context) error {
	select {
	case <-l.closing:
		return net.ErrClosed
	default:
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// Err says why no call can go on: net.ErrClosed, the reason given to End, the
// cause of ctx, or nil.
func (l *Lifetime) Err(ctx context.Context) error {
	stopped := l.Stopped(ctx)
	if stopped == net.ErrClosed || !l.HasEnded() {
		return stopped
	}
	return l.cause
}

// Acquire takes a lock of one slot, which is freed by receiving from it. Unlike
// for a mutex, the wait ends with ctx and with Close.
func (l *Lifetime) Acquire(ctx context.Context, lock chan struct{}) error {
	if err := l.Stopped(ctx); err != nil {
		return err
	}
	select {
	case lock <- struct{}{}:
		return nil
	case <-l.closing:
	case <-ctx.Done():
	}
	return l.Stopped(ctx)
}
