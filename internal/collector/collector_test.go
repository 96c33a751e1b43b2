package collector

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"echocast/internal/testwait"
)

// percentNow returns the current GOGC.
func percentNow() int {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return int(sample[0].Value.Uint64())
}

// SetDefault sets GOGC at the first collection, unless the program has chosen its own.
func TestSetDefault(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(goDefault)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	SetDefault(37)
	collectUntil(t, func() bool { return percentNow() == 37 })
	Set(73)
	setUnlessSet(41)
	if got := percentNow(); got != 73 {
		t.Errorf("a command has chosen 73, and it is %d", got)
	}
}

// collectUntil runs the collector until a condition is true.
func collectUntil(t *testing.T, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testwait.Limit); !happened(); runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("the collector changes nothing")
		}
	}
}
