package logline

import (
	"context"
	"io"
	"log/slog"
)

// ServiceOptions are the settings of the logger of a command that runs for long.
type ServiceOptions struct {
	Records *slog.Logger        // that take all, in place of lines; nil: lines
	Lines   io.Writer           // for people
	Prefix  string              // of a line
	Hide    func(string) string // takes the secrets out of a line
	Quiet   bool                // only warnings and errors
}

// NewService returns a logger that writes records, or lines of name=value for people.
func NewService(o *ServiceOptions) *slog.Logger {
	switch {
	case o.Records != nil && o.Quiet:
		return slog.New(warnings{o.Records.Handler()})
	case o.Records != nil:
		return o.Records
	}
	options := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	if o.Quiet {
		options.Level = slog.LevelWarn
	}
	return slog.New(slog.NewTextHandler(serviceLines{o}, options))
}

// warnings handles warnings and errors alone.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

// serviceLines writes lines with the prefix, and without the secrets in them.
type serviceLines struct{ *ServiceOptions }

func (l serviceLines) Write(line []byte) (int, error) {
	_, err := io.WriteString(l.Lines, l.Prefix+l.Hide(string(line)))
	return len(line), err
}
