//go:build unix

package handover

import (
	"os"
	"syscall"
)

// become runs another program in this process. It returns only an error.
func become(path string, args []string) error {
	return &os.PathError{Op: "exec", Path: path, Err: syscall.Exec(path, args, os.Environ())}
}
