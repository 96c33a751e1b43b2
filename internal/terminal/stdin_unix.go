//go:build unix

package terminal

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pollable makes Close end a blocked read of a pipe on standard input. Go reads an
// inherited pipe with a blocking system call that cannot be cancelled, unless the
// descriptor is non-blocking. Other processes that share the pipe share that setting, so
// restore resets it.
func Pollable(stdin io.Reader) (reader io.Reader, restore func()) {
	file, ok := stdin.(*os.File)
	if !ok {
		return stdin, func() {}
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return stdin, func() {}
	}
	// The descriptor is closed on exec. A child with a copy of it would keep the pipe open.
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
