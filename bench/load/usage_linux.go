package load

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// usage returns the resource usage of this process so far.
func usage() (use processUsage) {
	var times syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &times) == nil {
		use.Processor = float64(times.Utime.Nano()+times.Stime.Nano()) / 1e9
	}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			pages, _ := strconv.ParseInt(fields[1], 10, 64)
			use.Memory = pages * int64(os.Getpagesize())
		}
	}
	return use
}
