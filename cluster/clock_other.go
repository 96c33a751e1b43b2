//go:build !linux

package cluster

import "time"

var started = time.Now()

// now is the time on a clock that never goes back. The clock on the wall counts while
// the machine is suspended, the other does not: the later one counts.
func now() time.Duration {
	t := time.Now()
	return max(t.Sub(started), t.Round(0).Sub(started.Round(0)))
}
