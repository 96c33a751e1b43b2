// Package collector sets when Go's garbage collector runs.
package collector

import (
	"os"
	"runtime"
	"runtime/debug"
)

// goDefault is Go's default percentage. If it is in effect, nobody has chosen another.
const goDefault = 100

// Set sets GOGC, the percentage by which the heap may grow between collections, unless the
// environment sets it. It returns the previous percentage.
func Set(percent int) (before int) {
	if os.Getenv("GOGC") != "" {
		return percent
	}
	return debug.SetGCPercent(percent)
}

// SetDefault calls Set at the first collection, unless the program has called Set before.
// The first collection happens at Go's minimum heap of 4 MB, which a short command does not
// reach. Calling Set at the start would cost two collections, a quarter of the processor
// time of a short command.
func SetDefault(percent int) {
	runtime.AddCleanup(new([16]byte), setUnlessSet, percent)
}

// setUnlessSet calls Set, unless the program has called Set before.
func setUnlessSet(percent int) {
	if chosen := Set(percent); chosen != goDefault {
		Set(chosen)
	}
}
