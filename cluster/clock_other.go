//go:build !linux

package cluster

import "time"

var started = time.Now()

// now returns the time on a clock that never goes back. The wall clock counts while the
// machine is suspended, the monotonic clock does not: the later of the two counts.
func now() time.Duration {
	t := time.Now()
	return max(t.Sub(started), t.Round(0).Sub(started.Round(0)))
}
