package audio

import "golang.org/x/sys/unix"

// limitProcess limits the data of a process to memory bytes, and forbids it to write to files.
// If the system does not allow that, only ffmpeg's own limit holds.
func limitProcess(pid int, memory uint64) {
	_ = unix.Prlimit(pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: memory, Max: memory}, nil)
	_ = unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{}, nil)
}
