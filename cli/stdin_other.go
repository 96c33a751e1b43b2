//go:build !unix

package cli

import "io"

// pollable has nothing to do here: a read of a pipe ends with its writer.
func pollable(stdin io.Reader) (reader io.Reader, restore func()) { return stdin, func() {} }
