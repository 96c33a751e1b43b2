// Package sleep waits for a duration or until a context ends.
package sleep

import (
	"context"
	"time"
)

// For waits for d and returns nil. If ctx ends first, it returns the cause of ctx.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
