package audio

import "golang.org/x/sys/unix"

// limitProcess bounds the data of a process, in bytes, and forbids it to write to
// files. Where that is not allowed, ffmpeg's own bound holds.
func limitProcess(pid int, memory uint64) {
	_ = unix.Prlimit(pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: memory, Max: memory}, nil)
	_ = unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{}, nil)
}
