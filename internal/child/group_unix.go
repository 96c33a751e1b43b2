//go:build unix

package child

import (
	"os"
	"os/exec"
	"syscall"
)

var shell = [2]string{"sh", "-c"}

// group puts the command into a process group of its own: Ctrl-C on the terminal
// is echocast's to handle, and killing the group kills all that the command
// started.
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
