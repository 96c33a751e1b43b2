// Package logs hands a logger of log/slog down to the connections, in the context with
// which they are made:
//
//	ctx = logs.Into(ctx, slog.Default())
//	r, err := room.Join(ctx, address, nil)
//
// They then log what they do, so that "could not dial" has a reason: requests, their
// status and retries; ICE candidates and states; data channels; who joins and leaves a
// room. What they log at slog.LevelInfo is little for each connection; the words of
// pion, which carries WebRTC, come at slog.LevelDebug. Without a logger they are silent.
//
// A handler sees addresses of rooms and texts of other machines, which may hold secrets:
// it is the one who hides them.
package logs

import (
	"context"
	"log/slog"
)

type key struct{}

// Into returns a context with a logger for the connections that are made with it.
func Into(ctx context.Context, log *slog.Logger) context.Context {
	return context.WithValue(ctx, key{}, log)
}

var silent = slog.New(slog.DiscardHandler)

// From returns the logger of a context, or one that is silent.
func From(ctx context.Context) *slog.Logger {
	if log, ok := ctx.Value(key{}).(*slog.Logger); ok && log != nil {
		return log
	}
	return silent
}
