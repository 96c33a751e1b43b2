//go:build unix

package testwait

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Holder returns the beginning of a shell command. gone is closed when the shell and all
// processes that it has started have ended. Each of them holds one end of a pipe open.
func Holder(t testing.TB) (hold string, gone <-chan struct{}) {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "alive")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		pipe, err := os.Open(fifo) // blocks until the command opens it
		if err != nil {
			t.Error(err)
			return
		}
		defer pipe.Close()
		_, _ = io.Copy(io.Discard, pipe)
	}()
	return "exec 9>'" + fifo + "'; ", over
}
