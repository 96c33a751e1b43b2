//go:build !unix

package cli

// watchPresses delivers nothing: there is no SIGUSR2.
func watchPresses() (presses <-chan struct{}, stop func()) { return nil, func() {} }
