//go:build (linux || darwin) && (amd64 || arm64) && (cgo || daily_core)

package core

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"echocast/internal/testwait"
)

// Files that are not the library are refused, with an error that says what they are.
func TestOpenRefuses(t *testing.T) {
	folder := t.TempDir()
	text, other := filepath.Join(folder, "text.so"), filepath.Join(folder, "other.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(testwait.Context(t), "cc", "-shared", "-fPIC", "-o", other, "-x",
		"c", "/dev/null").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for path, want := range map[string]string{
		text:                            "no shared library of this system",
		filepath.Join(folder, "absent"): "No such file",
		other:                           "is not Daily's library",
	} {
		if _, err := open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
