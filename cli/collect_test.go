package cli

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"echocast/internal/testwait"
)

// percentNow is how much garbage may be added before a collection.
func percentNow() int {
	percent := debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	return percent
}

// The usual percentage holds from the first collection on, and not against what a
// command has chosen.
func TestCollectLater(t *testing.T) {
	t.Setenv("GOGC", "")
	before := percentNow()
	t.Cleanup(func() {
		debug.SetGCPercent(before)
		collectsAsAsked.Store(false)
	})
	collectLater(37)
	for deadline := time.Now().Add(testwait.Limit); percentNow() != 37; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("the collector has run, and the percentage is not the usual one")
		}
	}
	ran := make(chan struct{})
	collectLater(41)
	collect(73)
	runtime.AddCleanup(new([16]byte), func(int) { close(ran) }, 0)
	for done := false; !done; {
		runtime.GC()
		select {
		case <-ran:
			done = true
		default:
		}
	}
	runtime.GC()
	if got := percentNow(); got != 73 {
		t.Errorf("a command has chosen 73, and it is %d", got)
	}
}
