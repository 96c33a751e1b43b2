//go:build unix

package cputime

import (
	"syscall"
	"time"
)

// Used returns the user and system time of this process until now.
func Used() time.Duration {
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
