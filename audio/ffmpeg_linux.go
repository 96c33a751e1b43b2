package audio

import "golang.org/x/sys/unix"

// limitMemory bounds the data of a process, in bytes.
func limitMemory(pid int, limit uint64) {
	_ = unix.Prlimit(pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit}, nil) // where it may not be, ffmpeg's own bound holds
}
