package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"echocast/internal/testenv"
)

// The monitor gets what the replica recorded: in a file, with a trace, and in a player.
func TestMonitor(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the player of this test is a script")
	}
	dir := t.TempDir()
	in, record, heard := write(t, "in.wav", pulse(0, 4800, 0, 0.5)), filepath.Join(dir, "r.wav"),
		filepath.Join(dir, "m.wav")
	r := run(t, nil, "send", "--monitor", heard, "--record", record, "--trace", filepath.Join(dir, "t"), in, in)
	want, err := os.ReadFile(record)
	if err != nil || r.code != 0 || len(want) != 44+4*4800 {
		t.Fatalf("code %d, %v, %d bytes: %s", r.code, err, len(want), r.stderr)
	}
	if got, err := os.ReadFile(heard); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d, %v", len(got), len(want), err)
	}
	if trace, err := os.ReadFile(filepath.Join(dir, "t")); err != nil ||
		!bytes.Contains(trace, []byte(`"kind":"receipt"`)) {
		t.Errorf("the trace is not complete: %v", err)
	}
	testenv.WriteScript(t, dir, "paplay", "/bin/cat > "+filepath.Join(dir, "played"))
	t.Setenv("PATH", dir)
	played := filepath.Join(dir, "played")
	for _, words := range [][]string{{"--monitor", "play", in}, {in, "--monitor"}, {"--monitor", "--no-ffmpeg", in}} {
		_ = os.Remove(played) // that of the line before
		if r := run(t, nil, append([]string{"send"}, words...)...); r.code != 0 {
			t.Errorf("%v: code %d: %s", words, r.code, r.stderr)
		}
		if got, err := os.ReadFile(played); err != nil || !bytes.Equal(got, want[44:44+2*4800]) {
			t.Errorf("%v: %d bytes were played, %v", words, len(got), err)
		}
	}
}

func TestMonitorRefusals(t *testing.T) {
	in := write(t, "in.wav", pulse(0, 2400, 0, 0.5))
	t.Setenv("PATH", t.TempDir())
	for _, c := range []struct {
		where string
		code  int
		says  string
	}{
		{"play", 2, "--monitor play: no program to play with: install one of paplay,"},
		{in, 2, "would overwrite the input"},
		{filepath.Join(t.TempDir(), "no", "m.wav"), 2, "--monitor "},
	} {
		if r := run(t, nil, "send", "--monitor", c.where, in); r.code != c.code || !strings.Contains(r.stderr, c.says) {
			t.Errorf("%s: code %d, %s", c.where, r.code, r.stderr)
		}
	}
}
