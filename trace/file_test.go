package trace

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A trace that is not complete is an error.
func TestIncompleteTrace(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /dev/full")
	}
	recorder, err := Create("/dev/full", "test", func(text string) string { return text })
	if err != nil {
		t.Fatal(err)
	}
	err = recorder.Close()
	if _, ok := errors.AsType[*IncompleteError](err); !ok || !strings.HasSuffix(err.Error(), syscall.ENOSPC.Error()) {
		t.Errorf("the error is %v", err)
	}
}

func TestOpenRefusesFolders(t *testing.T) {
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Error(err)
	}
	if _, err := Open("none"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
