//go:build !unix

// Package terminal reads keys from the terminal, and standard input in a way that
// can be ended.
package terminal

import "context"

// WatchPresses does nothing: there is no SIGUSR2.
func WatchPresses(func(context.Context)) (hasKeys bool, stop func()) { return false, func() {} }
