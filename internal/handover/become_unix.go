//go:build unix

package handover

import (
	"os"
	"syscall"
)

// become replaces this process by another program. It returns only if there is an error.
func become(path string, args []string) error {
	return &os.PathError{Op: "exec", Path: path, Err: syscall.Exec(path, args, os.Environ())}
}
