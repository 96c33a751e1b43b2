//go:build !unix

// Package terminal reads keys from the terminal, and standard input in a way that
// can be ended.
package terminal

// WatchPresses delivers nothing: there is no SIGUSR2.
func WatchPresses() (presses <-chan struct{}, hasKeys bool, stop func()) {
	return nil, false, func() {}
}
