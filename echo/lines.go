package echo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
)

// Lines is a Conn that writes one message per line (NDJSON), for another program to
// send. It receives nothing.
type Lines struct {
	w *bufio.Writer
	// isLive flushes after each message.
	isLive bool
}

// NewLines returns Lines that write to w: buffered, or each message at once if live is
// set. Call Flush before waiting for more input.
func NewLines(w io.Writer, live bool) *Lines {
	return &Lines{w: bufio.NewWriterSize(w, 256<<10), isLive: live}
}

// Send writes msg and a newline. A write that blocks is not ended by ctx.
func (l *Lines) Send(ctx context.Context, msg []byte) error {
	if _, err := l.w.Write(msg); err != nil {
		return err
	}
	if err := l.w.WriteByte('\n'); err != nil {
		return err
	}
	if l.isLive {
		return l.w.Flush()
	}
	return nil
}

// Flush writes the buffered messages.
func (l *Lines) Flush() error { return l.w.Flush() }

// Receive waits for the end of ctx: nothing comes back.
func (l *Lines) Receive(ctx context.Context) ([]byte, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// RawLines reads messages: one JSON object of at most limit bytes from each line that
// is not empty. An error names its line and ends the sequence.
func RawLines(r io.Reader, limit int) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, limit)
		number := 0
		for lines.Scan() {
			number++
			text := bytes.TrimSpace(lines.Bytes())
			if len(text) == 0 {
				continue
			}
			if !json.Valid(text) || text[0] != '{' {
				yield(nil, fmt.Errorf("line %d is no JSON object", number))
				return
			}
			if !yield(Raw(bytes.Clone(text)), nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, fmt.Errorf("line %d: %w", number+1, err))
		}
	}
}
