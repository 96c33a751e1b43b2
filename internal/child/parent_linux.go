package child

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithParent makes the kernel kill the command when echocast dies, even by SIGKILL. A
// parentPipe does the same for the processes that the command starts.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// parentPipe is a pipe whose writing end only echocast has. However echocast dies, the writing
// end then closes, and the kernel kills the process group that holds the reading end.
type parentPipe struct{ reader, writer *os.File }

// newParentPipe passes the reading end to the command. If no pipe can be made, it returns nil.
func newParentPipe(cmd *exec.Cmd) *parentPipe {
	reader, writer, err := os.Pipe()
	if err != nil {
		return &parentPipe{}
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, reader)
	return &parentPipe{reader, writer}
}

// killWithParent asks the kernel to send SIGKILL to the group when the pipe changes.
func (l *parentPipe) killWithParent(group int) {
	if l.reader == nil {
		return
	}
	fd := l.reader.Fd()
	_, _ = unix.FcntlInt(fd, unix.F_SETOWN, -group) // if a call fails, only the command dies
	_, _ = unix.FcntlInt(fd, unix.F_SETSIG, int(unix.SIGKILL))
	if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err == nil {
		_, _ = unix.FcntlInt(fd, unix.F_SETFL, flags|unix.O_ASYNC)
	}
	_ = l.reader.Close() // the child has a copy
}

// release closes the pipe, which kills what is left of the group.
func (l *parentPipe) release() {
	if l.writer != nil {
		_ = l.writer.Close()
		_ = l.reader.Close()
	}
}
