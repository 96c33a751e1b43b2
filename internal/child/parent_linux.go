package child

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithParent makes the kernel kill the command when echocast dies, even by SIGKILL. A
// leash does the same for the processes that the command starts.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// leash is a pipe whose writing end only echocast has. However echocast dies, the writing
// end then closes, and the kernel kills the process group that holds the reading end.
type leash struct{ theirs, ours *os.File }

// newLeash passes the reading end to the command. If no pipe can be made, it returns nil.
func newLeash(cmd *exec.Cmd) *leash {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return &leash{}
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	return &leash{theirs, ours}
}

// tie asks the kernel to send SIGKILL to the group when the pipe changes.
func (l *leash) tie(group int) {
	if l.theirs == nil {
		return
	}
	fd := l.theirs.Fd()
	_, _ = unix.FcntlInt(fd, unix.F_SETOWN, -group) // if a call fails, only the command dies
	_, _ = unix.FcntlInt(fd, unix.F_SETSIG, int(unix.SIGKILL))
	if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err == nil {
		_, _ = unix.FcntlInt(fd, unix.F_SETFL, flags|unix.O_ASYNC)
	}
	_ = l.theirs.Close() // the child has a copy
}

// release closes the pipe, which kills what is left of the group.
func (l *leash) release() {
	if l.ours != nil {
		_ = l.ours.Close()
		_ = l.theirs.Close()
	}
}
