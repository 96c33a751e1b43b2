// Package logline writes lines for people, or turns them into records of log/slog for
// programs.
package logline

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Writer is the output for people. Until Start is called, it writes lines unchanged.
// Several goroutines may write at the same time.
type Writer struct {
	prefix string // of each line

	mu      sync.Mutex
	w       io.Writer
	isLog   bool         // Start was called
	records *slog.Logger // nil while lines are written as lines
}

// New returns a Writer to w. Each line begins with a prefix, which records omit.
func New(w io.Writer, prefix string) *Writer { return &Writer{w: w, prefix: prefix} }

// The formats of a log.
const (
	Text = "text" // lines of name=value, between those for people
	JSON = "json" // one object per line, including lines for people
)

// Start begins a log in a format, and returns its logger. It applies hide to each text.
// From then on the stream does not count as a terminal, so that no status line mixes with
// the log.
func (w *Writer) Start(format string, level slog.Level, hide func(string) string) *slog.Logger {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isLog = true
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		return redactAttributes(a, format, hide)
	}}
	if format == JSON {
		w.records = slog.New(slog.NewJSONHandler(w.w, options))
		return w.records
	}
	return slog.New(slog.NewTextHandler(lines{w}, options))
}

// redactAttributes returns an attribute with secrets hidden, in a short form for people.
func redactAttributes(a slog.Attr, format string, hide func(string) string) slog.Attr {
	if format == Text {
		switch value := a.Value.Any().(type) {
		case time.Time:
			if a.Key == slog.TimeKey {
				return slog.String(a.Key, value.Format("15:04:05.000"))
			}
		case slog.Level:
			if value == slog.LevelInfo {
				return slog.Attr{}
			}
		}
	}
	switch value := a.Value.Any().(type) {
	case string:
		a.Value = slog.StringValue(hide(value))
	case error:
		a.Value = slog.StringValue(hide(value.Error()))
	case time.Duration:
		a.Value = slog.StringValue(value.Round(time.Millisecond).String())
	}
	return a
}

// lines adds the prefix to each line of a log.
type lines struct{ *Writer }

func (l lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := io.WriteString(l.w, l.prefix+string(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Write writes lines, or a record for each line once Start was called.
func (w *Writer) Write(p []byte) (int, error) {
	if records := w.started(); records != nil {
		for line := range bytes.Lines(p) {
			if text := strings.TrimSpace(strings.TrimPrefix(string(line), w.prefix)); text != "" {
				records.Info(text)
			}
		}
		return len(p), nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}

func (w *Writer) started() *slog.Logger {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.records
}

// Error writes the error that ends the program. If there are records, it is a record with
// level error.
func (w *Writer) Error(line string) {
	if records := w.started(); records != nil {
		records.Error(line)
		return
	}
	_, _ = io.WriteString(w, w.prefix+line+"\n") // a write error cannot be reported
}

// Unwrap returns the underlying stream, or nil after Start.
func (w *Writer) Unwrap() io.Writer {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isLog {
		return nil
	}
	return w.w
}
