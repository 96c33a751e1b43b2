package echo

import (
	"bufio"
	"context"
	"io"
)

// Lines is a Conn that writes each message on a line (NDJSON), for another program to
// send. It receives nothing.
type Lines struct {
	w *bufio.Writer
	// live writes each message out at once.
	live bool
}

// NewLines writes to w: in large pieces, or each message at once where live is
// set. Flush writes what is held; whoever waits for more input calls it before.
func NewLines(w io.Writer, live bool) *Lines {
	return &Lines{w: bufio.NewWriterSize(w, 256<<10), live: live}
}

// Send writes msg and a newline. A write that blocks is not ended by ctx.
func (l *Lines) Send(ctx context.Context, msg []byte) error {
	if _, err := l.w.Write(msg); err != nil {
		return err
	}
	if err := l.w.WriteByte('\n'); err != nil {
		return err
	}
	if l.live {
		return l.w.Flush()
	}
	return nil
}

// Flush writes what is buffered.
func (l *Lines) Flush() error { return l.w.Flush() }

// Receive waits for the end of ctx: nothing comes back.
func (l *Lines) Receive(ctx context.Context) ([]byte, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}
