package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"echocast/cli"
	"echocast/internal/shutdown"
	"echocast/internal/testwait"
)

// talk writes a talk, and a sound of 100 ms beside it.
func talk(t *testing.T, text string) string {
	t.Helper()
	name := write(t, "a.wav", pulse(0, 2400, 0, 0.5))
	file := filepath.Join(filepath.Dir(name), "talk.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A talk that is heard as expected exits with 0, otherwise with 11; the reports for CI are
// complete.
func TestVoiceTest(t *testing.T) {
	t.Parallel()
	good := talk(t, "say:\n- {name: hello, file: a.wav, at_most: {first_audio: 50s}}")
	bad := talk(t, "name: slow\nsay:\n- {file: a.wav, at_least: {spoken: 3s}}\n- {file: b.wav}\n")
	report := filepath.Join(t.TempDir(), "report.xml")
	r := run(t, nil, "test", "--junit", report, good, bad)
	for _, want := range []string{
		"ok    talk: hello: heard in full", "FAIL  slow: a.wav\n      spoken is", "FAIL  slow: b.wav\n      open ",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q is missing:\n%s", want, r.stdout)
		}
	}
	if r.code != 11 || r.stderr != "echocast: some utterances were not heard as expected\n" {
		t.Errorf("code %d, %s", r.code, r.stderr)
	}
	written, err := os.ReadFile(report)
	if err != nil || !strings.Contains(string(written), `tests="3" failures="1" errors="1"`) {
		t.Errorf("%v, %s", err, written)
	}
	r = run(t, nil, "test", "--json", good)
	var result struct {
		Passed  bool
		Figures map[string]float64
		Receipt struct{ Outcome string }
	}
	if err := json.Unmarshal([]byte(r.stdout), &result); err != nil || r.code != 0 || !result.Passed ||
		result.Receipt.Outcome != "finished" || result.Figures["first_audio"] <= 0 {
		t.Errorf("code %d, %v: %s%s", r.code, err, r.stdout, r.stderr)
	}
}

// After Ctrl-C, test reports how much of the talks was spoken.
func TestVoiceTestInterrupted(t *testing.T) {
	file := talk(t, "say:\n- file: a.wav\n- file: a.wav")
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	cancel(shutdown.SignalError{Signal: syscall.SIGINT})
	var stdout, stderr bytes.Buffer
	code := cli.Run(ctx, []string{"echocast", "test", file}, cli.Streams{Out: &stdout, Err: &stderr})
	if want := "echocast: 0 of 2 spoken: 0 passed, 0 failed\n"; code != 130 || !strings.HasPrefix(stderr.String(), want) {
		t.Errorf("code %d, %s%s", code, &stdout, &stderr)
	}
}

// Nothing is spoken before all talks were read. A mistake in a talk is reported with its line.
func TestVoiceTestRefusals(t *testing.T) {
	good, bad := talk(t, "say:\n- file: a.wav"), talk(t, "say:\n- file: a.wav\n  nmae: x")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 2, "name a talk"},
		{[]string{good, bad}, 3, "talk.yaml:3: no key is called \"nmae\""},
		{[]string{"nothing.yaml"}, 3, "nothing.yaml: no such file"},
		{[]string{t.TempDir()}, 3, "is a directory; name the talks in it"},
		{[]string{"--junit", good, good}, 2, "would overwrite the input"},
	} {
		r := run(t, nil, append([]string{"test"}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.says) || r.stdout != "" {
			t.Errorf("%q: code %d, %s%s", c.args, r.code, r.stdout, r.stderr)
		}
	}
}
