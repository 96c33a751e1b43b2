// Package handover runs another program instead of this one.
package handover

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"echocast/internal/text"
)

// Find looks for a program in the folder of this one, and then in the PATH.
func Find(name string) (path string, err error) {
	if self, err := os.Executable(); err == nil {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), name)); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(name)
}

// Become runs the program at a path with the arguments of this one instead of this program.
// It returns only if there is an error.
func Become(path string) error {
	signal.Reset(syscall.SIGPIPE) // the program sets it itself
	return fmt.Errorf("%s: %w", path, text.WithoutPath(become(path, os.Args)))
}
