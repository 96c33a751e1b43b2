// Package testwait limits how long tests wait, so that a test fails instead of hanging. It
// also limits the number of random trials.
package testwait

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// Limit bounds each wait of a test. It does not test speed: even on a busy machine, waits
// are much shorter.
const Limit = 2 * time.Minute

// Context returns a context that ends with the test, or after Limit. In the latter case its
// cause says so.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), Limit, fmt.Errorf("the test waited for %v", Limit))
	t.Cleanup(cancel)
	return ctx
}

// Receive returns the next value of ch, or the zero value if ch is closed. If nothing
// arrives within Limit, it ends the test. Like t.Fatal, it must be called from the test's
// goroutine.
func Receive[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	v, received := receive(ch)
	if !received {
		t.Fatalf("waited %v for a channel", Limit)
	}
	return v
}

// Came waits for ch as Receive does, but may be called from any goroutine. If nothing
// arrives, it fails the test and returns false.
func Came[T any](t testing.TB, ch <-chan T) bool {
	t.Helper()
	_, received := receive(ch)
	if !received {
		t.Errorf("waited %v for a channel", Limit)
	}
	return received
}

func receive[T any](ch <-chan T) (v T, received bool) {
	select {
	case v = <-ch:
		return v, true
	case <-time.After(Limit):
		return v, false
	}
}

// Trials returns how many of n trials a test makes, at least one. make fuzz sets
// ECHOCAST_LONG, which means all. Otherwise it is a tenth, or a thirtieth with the race
// detector, which makes each trial about ten times slower.
func Trials(n int) int {
	switch {
	case os.Getenv("ECHOCAST_LONG") != "":
		return n
	case HasRaceDetector:
		return max(1, n/30)
	}
	return max(1, n/10)
}
