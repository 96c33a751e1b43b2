//go:build !unix

// Package terminal reads keys from the terminal, and reads standard input in a way that can
// be cancelled.
package terminal

import "context"

// WatchPresses does nothing. This system has no SIGUSR2.
func WatchPresses(func(context.Context)) (hasKeys bool, stop func()) { return false, func() {} }
