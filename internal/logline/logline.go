// Package logline writes lines for people, and turns them into records of log/slog
// where a program is to read them.
package logline

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Writer is the stream for people. Until Start it passes on what it gets. Several
// goroutines may write at the same time.
type Writer struct {
	prefix string // of a line

	mu      sync.Mutex
	w       io.Writer
	isLog   bool         // Start was called
	records *slog.Logger // nil while lines stay lines
}

// New writes to w. Each line begins with a prefix, which records leave out.
func New(w io.Writer, prefix string) *Writer { return &Writer{w: w, prefix: prefix} }

// The formats of a log.
const (
	Text = "text" // lines of name=value, beside those for people
	JSON = "json" // an object a line, those for people too
)

// Start begins a log in a format, and returns its logger. What hide makes of each text
// is written. From then on the stream is no terminal: a status line would be in the way.
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

// redactAttributes is an attribute without secrets, as short as people read it.
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

// lines puts the prefix before each line of a log.
type lines struct{ *Writer }

func (l lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := io.WriteString(l.w, l.prefix+string(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Write writes lines, or makes a record of each.
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

// Error writes the error that ends the program, as a record of that level if there are
// records.
func (w *Writer) Error(line string) {
	if records := w.started(); records != nil {
		records.Error(line)
		return
	}
	_, _ = io.WriteString(w, w.prefix+line+"\n") // nobody is left to hear of an error
}

// Unwrap returns the stream below, or nil once it is a log.
func (w *Writer) Unwrap() io.Writer {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isLog {
		return nil
	}
	return w.w
}
