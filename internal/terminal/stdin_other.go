//go:build !unix

package terminal

import "io"

// Pollable has nothing to do here: a read of a pipe ends with its writer.
func Pollable(stdin io.Reader) (reader io.Reader, restore func()) { return stdin, func() {} }
