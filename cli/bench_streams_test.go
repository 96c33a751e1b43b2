package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"echocast/bench/load"
	"echocast/internal/testwait"
)

func TestBenchStreams(t *testing.T) {
	stdout, stderr, code := runBench(testwait.Context(t), "--streams", "1, 3", "--seconds", "0.22", "--together", "--json")
	if code != 0 {
		t.Fatalf("code %d, stderr %q", code, stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines:\n%s", len(lines), stdout)
	}
	for i, line := range lines {
		var r load.Result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if n := []int{1, 3}[i]; r.Streams != n || r.Messages != 5*n || r.Wrong != 0 || r.LateP99 < r.LateP50 ||
			r.LateMost < r.LateP99 {
			t.Errorf("%+v: want %d streams of 5 messages, all of them right", r, n)
		}
	}
}

func TestBenchStreamsRefusals(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--streams", "0"}, "from 1 to 2000"},
		{[]string{"--streams", "2001"}, "from 1 to 2000"},
		{[]string{"--streams", "1,,2"}, "or auto"},
		{[]string{"--streams", ""}, "or auto"},
		{[]string{"--streams", "1", "--seconds", "NaN"}, "--seconds NaN"},
		{[]string{"--streams", "1", "--chunk", "50ms"}, "cannot be combined with"},
		{[]string{"--together"}, "needs --streams"},
	} {
		var out, stderr bytes.Buffer
		code := Run(testwait.Context(t), append([]string{"echocast", "bench"}, c.args...), Streams{Out: &out, Err: &stderr})
		if code != exitUsage || out.Len() > 0 || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%q: code %d, stdout %q, stderr %q, want %q in it", c.args, code, out.String(), stderr.String(), c.want)
		}
	}
}
