// Package sleep waits for a time, or for the end of a context.
package sleep

import (
	"context"
	"time"
)

// For waits for d, and returns nil, or the cause of ctx where that ends first.
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
