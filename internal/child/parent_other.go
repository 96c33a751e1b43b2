//go:build !linux

package child

import (
	"os/exec"
	"syscall"
)

// dieWithParent does nothing. This system has no signal for a parent's death.
func dieWithParent(*syscall.SysProcAttr) {}

// leash does nothing. This system cannot kill a process group when echocast dies.
type leash struct{}

func newLeash(*exec.Cmd) *leash { return &leash{} }

func (*leash) tie(int) {}

func (*leash) release() {}
