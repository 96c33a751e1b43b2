package terminal

import (
	"context"
	"io"
)

// ReadUntil makes a blocked read of stdin return when ctx ends, by closing it. It
// returns the reader to use, and a function to call after reading.
func ReadUntil(ctx context.Context, stdin io.Reader) (reader io.Reader, restore func()) {
	reader, free := Pollable(stdin)
	closer, ok := reader.(io.Closer)
	if !ok {
		return reader, free
	}
	stop := context.AfterFunc(ctx, func() { _ = closer.Close() })
	return reader, func() {
		stop()
		free()
	}
}
