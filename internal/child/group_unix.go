//go:build unix

package child

import (
	"os"
	"os/exec"
	"syscall"
)

var shell = [2]string{"sh", "-c"}

// group gives the command its own process group: echocast handles Ctrl-C on the
// terminal, and killing the group kills the command's child processes.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	cmd.Cancel = func() error {
		if kill(cmd) != nil {
			return os.ErrProcessDone
		}
		return nil
	}
}

func kill(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
