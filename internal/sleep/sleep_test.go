package sleep

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enough := errors.New("enough")
		for _, c := range []struct{ sleep, end, took time.Duration }{
			{time.Second, time.Minute, time.Second},
			{time.Minute, time.Second, time.Second},
			{-1, time.Second, 0},
		} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), c.end, enough)
			began := time.Now()
			err := For(ctx, c.sleep)
			if took := time.Since(began); took != c.took || errors.Is(err, enough) != (c.sleep > c.end) {
				t.Errorf("For(%v) took %v with a context of %v: %v", c.sleep, took, c.end, err)
			}
			cancel()
			if err := For(ctx, -1); err == nil {
				t.Error("it does not say that ctx has ended")
			}
		}
	})
}
