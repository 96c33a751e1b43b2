//go:build !linux

package child

import (
	"os/exec"
	"syscall"
)

// dieWithParent does nothing. This system has no signal for a parent's death.
func dieWithParent(*syscall.SysProcAttr) {}

// parentPipe does nothing. This system cannot kill a process group when echocast dies.
type parentPipe struct{}

func newParentPipe(*exec.Cmd) *parentPipe { return &parentPipe{} }

func (*parentPipe) killWithParent(int) {}

func (*parentPipe) release() {}
