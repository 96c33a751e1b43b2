//go:build unix && !linux

package child

import "syscall"

// dieWithParent does nothing: this system has no signal for it.
func dieWithParent(*syscall.SysProcAttr) {}
