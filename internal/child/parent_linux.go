package child

import "syscall"

// dieWithParent makes the kernel kill the command when echocast dies, also by
// SIGKILL. What the command started itself is not killed then, but finds its
// pipes closed.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
