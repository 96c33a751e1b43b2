// Package lifetime tracks the end of a connection: either this side closes it, or the other
// side is gone.
package lifetime

import (
	"context"
	"net"
	"sync"
)

// Lifetime is the lifetime of one connection. Its methods may be called from several
// goroutines.
type Lifetime struct {
	closeOnce sync.Once
	closing   chan struct{}

	endOnce sync.Once
	cause   error // read it after ended is closed
	ended   chan struct{}
}

// New returns the Lifetime of a new connection.
func New() *Lifetime {
	return &Lifetime{closing: make(chan struct{}), ended: make(chan struct{})}
}

// Close records that this side closes the connection. It reports whether this is the first
// call.
func (l *Lifetime) Close() (first bool) {
	l.closeOnce.Do(func() {
		first = true
		close(l.closing)
	})
	return first
}

// Closing returns a channel that Close closes.
func (l *Lifetime) Closing() <-chan struct{} { return l.closing }

// End records why the connection has ended. Only the first reason counts. End returns the
// first reason.
func (l *Lifetime) End(cause error) error {
	l.endOnce.Do(func() {
		l.cause = cause
		close(l.ended)
	})
	return l.cause
}

// Ended returns a channel that End closes.
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

// Cause returns the reason given to End, or nil if End was not called yet.
func (l *Lifetime) Cause() error {
	if l.HasEnded() {
		return l.cause
	}
	return nil
}

// Stopped returns why a call must stop that may still read received data: net.ErrClosed,
// the cause of ctx, or nil.
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

// Err returns why calls must stop: net.ErrClosed, the reason given to End, the cause of
// ctx, or nil.
func (l *Lifetime) Err(ctx context.Context) error {
	stopped := l.Stopped(ctx)
	if stopped == net.ErrClosed || !l.HasEnded() {
		return stopped
	}
	return l.cause
}

// Acquire takes a lock that is a channel with one slot. Receiving from the channel frees
// the lock. Unlike with a mutex, the wait ends when ctx ends and at Close.
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
