//go:build unix

package child

import (
	"os"
	"os/exec"
	"syscall"
)

var shell = [2]string{"sh", "-c"}

// group runs the command in a new process group. So Ctrl-C on the terminal reaches only
// echocast, and killing the group also kills the command's child processes.
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
