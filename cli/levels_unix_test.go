//go:build unix

package cli_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestLoudnessOfAPipeIsRefused(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, nil, "encode", "--loudness", "-16", pipe)
	if r.code != 2 || !strings.Contains(r.stderr, "give --gain") || r.stdout != "" {
		t.Errorf("code %d: %s", r.code, r.stderr)
	}
}
