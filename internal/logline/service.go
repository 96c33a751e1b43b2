package logline

import (
	"context"
	"io"
	"log/slog"
)

// ServiceOptions are the settings of the logger of a long-running command.
type ServiceOptions struct {
	Records *slog.Logger        // gets everything instead of lines; nil: lines
	Lines   io.Writer           // output for people
	Prefix  string              // of a line
	Hide    func(string) string // removes the secrets from a line
	Quiet   bool                // log only warnings and errors
}

// NewService returns a logger that writes records, or for people lines of name=value.
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

// warnings handles only warnings and errors.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

// serviceLines adds the prefix to each line and removes secrets.
type serviceLines struct{ *ServiceOptions }

func (l serviceLines) Write(line []byte) (int, error) {
	_, err := io.WriteString(l.Lines, l.Prefix+l.Hide(string(line)))
	return len(line), err
}
