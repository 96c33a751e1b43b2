//go:build unix

package audio

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// isFileReady waits until a pipe can be read or has ended, and reports whether that happened
// before until.
func isFileReady(file *os.File, until time.Time) (ready bool) {
	conn, err := file.SyscallConn()
	if err != nil {
		return false
	}
	_ = conn.Control(func(fd uintptr) { // fails for a closed file, which is not ready
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, pollTime(until))
		for errors.Is(err, unix.EINTR) {
			n, err = unix.Poll(poll, pollTime(until))
		}
		ready = err == nil && n > 0
	})
	return ready
}

// pollTime returns the time left, in milliseconds.
func pollTime(until time.Time) int { return int(max(0, time.Until(until).Milliseconds())) }
