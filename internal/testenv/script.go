package testenv

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// WriteScript writes a shell script that can be run at once, and returns its path. A file that
// any process has open for writing cannot be run ("text file busy"), so no program of this
// process is started meanwhile: it would inherit the file for a moment.
func WriteScript(t testing.TB, folder, name, lines string) (path string) {
	t.Helper()
	path = filepath.Join(folder, name)
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, []byte("#!/bin/sh\n"+lines+"\n"), 0o700) //nolint:gosec // it is run
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
