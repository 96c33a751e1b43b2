//go:build !linux

package child

import (
	"os/exec"
	"syscall"
)

// dieWithParent does nothing: this system has no signal for it.
func dieWithParent(*syscall.SysProcAttr) {}

// leash is nothing here: this system cannot kill a group when echocast dies.
type leash struct{}

func newLeash(*exec.Cmd) *leash { return &leash{} }

func (*leash) tie(int) {}

func (*leash) release() {}
