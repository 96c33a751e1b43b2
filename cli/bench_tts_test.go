package cli_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// A voice is measured run by run; a run that fails is reported, and fails the bench.
func TestBenchTTS(t *testing.T) {
	raw := []string{"bench", "tts", "-f", "s16le", "--rate", "8000", "--channels", "1"}
	with := func(args ...string) []string { return append(slices.Clone(raw), args...) }
	lines := write(t, "lines.txt", []byte("3200\n1600\n"))
	r := run(t, nil, with("--runs", "3", "--json", "--text", lines, "--", `read n; head -c $n /dev/zero`)...)
	var lengths []float64
	for line := range strings.Lines(r.stdout) {
		var run struct {
			Run, Runs, Failed int
			Seconds           float64 `json:"audio_seconds"`
			Lead              any
		}
		if err := json.Unmarshal([]byte(line), &run); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		lengths = append(lengths, run.Seconds)
		if (run.Runs == 3) != (run.Lead != nil) || (run.Runs == 3) == (run.Run > 0) {
			t.Errorf("%s", line)
		}
	}
	if r.code != 0 || !slices.Equal(lengths, []float64{0.2, 0.1, 0.2, 0.5}) {
		t.Errorf("code %d, %v: %s%s", r.code, lengths, r.stdout, r.stderr)
	}
	r = run(t, nil, with("--runs", "2", "--text", "x", "--", "echo no key >&2; exit 4")...)
	if r.code != 3 || strings.Count(r.stderr, "exit status 4: no key") != 2 ||
		!strings.Contains(r.stderr, "2 of 2 runs failed") || !strings.HasPrefix(r.stdout, "runs         0 of 2") {
		t.Errorf("code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	for _, args := range [][]string{
		{}, {"--runs", "0", "--", "x"}, {"--timeout", "0s", "--", "x"}, {"--preset", "?", "--", "x"},
	} {
		if r := run(t, nil, append([]string{"bench", "tts"}, args...)...); r.code != 2 {
			t.Errorf("%q: code %d, %s", args, r.code, r.stderr)
		}
	}
}
