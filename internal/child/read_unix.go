//go:build unix

package child

import (
	"os"
	"syscall"
	"time"
)

// readAtOnce reads what is in a pipe, without waiting for more.
func readAtOnce(pipe *os.File, p []byte) (n int) {
	_ = pipe.SetReadDeadline(time.Time{}) // one that has passed forbids any read
	raw, err := pipe.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Read(func(fd uintptr) bool { // a pipe that is closed has no more
		n, _ = syscall.Read(int(fd), p)
		return true
	})
	return max(n, 0)
}
