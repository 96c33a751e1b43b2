//go:build !unix

package child

import "os/exec"

var shell = [2]string{"cmd", "/C"}

// group does nothing. On this system only the command itself is killed.
func group(*exec.Cmd) {}

func kill(cmd *exec.Cmd) error { return cmd.Process.Kill() }
