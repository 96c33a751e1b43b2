package terminal

import (
	"context"
	"io"
)

// ReadUntil makes a blocked read of stdin return when ctx ends, by closing stdin. It
// returns the reader to use. restore must be called after reading.
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
