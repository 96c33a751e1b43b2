//go:build !unix

package terminal

import "io"

// Pollable changes nothing. On this system a read of a pipe ends when its writer ends.
func Pollable(stdin io.Reader) (reader io.Reader, restore func()) { return stdin, func() {} }
