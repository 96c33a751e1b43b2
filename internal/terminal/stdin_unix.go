//go:build unix

package terminal

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pollable makes a pipe on standard input one whose Close ends a blocked read.
// Go reads an inherited pipe with a blocking system call that nothing ends,
// unless the descriptor is non-blocking. That is a property of the pipe, which
// other processes may share, so restore takes it back.
func Pollable(stdin io.Reader) (reader io.Reader, restore func()) {
	file, ok := stdin.(*os.File)
	if !ok {
		return stdin, func() {}
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return stdin, func() {}
	}
	// Closed on exec: a child that kept it would keep the pipe open.
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return stdin, func() {}
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd)
		return stdin, func() {}
	}
	pipe := os.NewFile(uintptr(fd), file.Name())
	return pipe, func() {
		_ = pipe.Close()
		_ = syscall.SetNonblock(int(file.Fd()), false)
	}
}
