package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"echocast/audio"
	"echocast/bench/load"
	"echocast/internal/shutdown"
	"echocast/internal/testwait"
)

// runBench runs the bench command with a very short measuring time.
func runBench(ctx context.Context, args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	args = append([]string{"echocast", "bench", "--seconds", "0.000001"}, args...)
	code = Run(ctx, args, Streams{Out: &out, Err: &err})
	return out.String(), err.String(), code
}

func benchResults(t *testing.T, stdout string) (all []load.CaseResult) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		var r load.CaseResult
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

func TestBenchSelectsCases(t *testing.T) {
	stdout, stderr, code := runBench(testwait.Context(t), "--json", "--chunk", "20ms,50ms", "--chunk", "1.5ms",
		"--rate", "24000", "--rate", "44100,8000")
	if code != 0 || !strings.HasPrefix(stderr, "echocast: ") || strings.Contains(stderr, "\x1b") {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	all := benchResults(t, stdout)
	if len(all) != 9 {
		t.Fatalf("%d results:\n%s", len(all), stdout)
	}
	for i, r := range all {
		if want := []int{24000, 44100, 8000}[i/3]; r.Rate != want || r.Resampled != (want != 24000) {
			t.Errorf("result %d is at %d Hz, resampled %v", i, r.Rate, r.Resampled)
		}
		if want := []float64{0.02, 0.05, 0.0015}[i%3]; r.ChunkSeconds != want {
			t.Errorf("result %d has chunks of %g s, not %g", i, r.ChunkSeconds, want)
		}
		checkBenchResult(t, r)
	}
}

// checkBenchResult checks that the figures of a result agree with each other.
func checkBenchResult(t *testing.T, r load.CaseResult) {
	t.Helper()
	messages := float64(r.Messages)
	pcm := 2 * 24000 * r.ChunkSeconds
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"messages a second", r.MessagesPerSecond * r.Seconds, messages},
		{"MB/s", r.MegabytesPerSecond * 1e6 * r.Seconds, messages * r.ChunkSeconds * float64(r.Rate) * 4},
		{"times real time", r.TimesRealTime * r.Seconds, messages * r.ChunkSeconds},
		{"ns a message", r.NanosecondsPerMessage * messages, r.Seconds * 1e9},
	} {
		if !(c.want > 0) || math.Abs(c.got-c.want) > 1e-6*c.want {
			t.Errorf("%+v: %s gives %g, want %g", r, c.name, c.got, c.want)
		}
	}
	if size := float64(r.MessageBytes); size < pcm*4/3 || size > pcm*4/3+300 {
		t.Errorf("messages of %g bytes of audio have %g bytes", pcm, size)
	}
}

func TestBenchDefaults(t *testing.T) {
	stdout, _, code := runBench(testwait.Context(t), "--json", "--quiet")
	all := benchResults(t, stdout)
	cases, err := load.Cases(nil, nil)
	if code != 0 || err != nil || len(all) != 8 || len(cases) != 8 {
		t.Fatalf("code %d, %v, %d results of %d cases", code, err, len(all), len(cases))
	}
	for i, r := range all {
		if want := cases[i]; r.Rate != want.Rate || r.ChunkSeconds != want.Chunk.Seconds() {
			t.Errorf("result %d is %d Hz in %g s, want %v", i, r.Rate, r.ChunkSeconds, want)
		}
	}
}

// If stdout is not a terminal there is a plain table, and --quiet leaves only that.
func TestBenchPlainTable(t *testing.T) {
	stdout, stderr, code := runBench(testwait.Context(t), "-q", "--chunk", "50ms", "--rate", "24000")
	lines := strings.Split(stdout, "\n")
	if code != 0 || stderr != "" || len(lines) != 3 || len(lines[0]) != 69 || len(lines[1]) != 69 {
		t.Errorf("code %d, stderr %q, stdout:\n%s", code, stderr, stdout)
	}
	if !strings.HasPrefix(lines[1], " 24000 Hz     50ms ") || strings.ContainsAny(stdout, "\x1b█") {
		t.Errorf("stdout:\n%s", stdout)
	}
}

func TestBenchRefusals(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"speech.wav"}, "takes no inputs"},
		{[]string{"--seconds", "0"}, "--seconds 0"},
		{[]string{"--seconds", "-1"}, "--seconds -1"},
		{[]string{"--seconds", "NaN"}, "--seconds NaN"},
		{[]string{"--seconds", "61"}, "at most 60"},
		{[]string{"--seconds", "soon"}, "bench --help"},
		{[]string{"--chunk", "50"}, "for example 50ms"},
		{[]string{"--chunk", "20ms,,50ms"}, "for example 50ms"},
		{[]string{"--chunk", "0s"}, "at least 1ms"},
		{[]string{"--chunk", "-50ms"}, "at least 1ms"},
		{[]string{"--chunk", "1h"}, "at most 10s"},
		{[]string{"--rate", "100"}, fmt.Sprintf("at least %d Hz", audio.MinRate)},
		{[]string{"--rate", "1000000"}, "at most 384000 Hz"},
		{[]string{"--rate", "fast"}, "bench --help"},
	} {
		stdout, stderr, code := runBench(testwait.Context(t), c.args...)
		if code != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "echocast: ") ||
			!strings.Contains(stderr, c.want) {
			t.Errorf("%q: code %d, stdout %q, stderr %q, want %q in it", c.args, code, stdout, stderr, c.want)
		}
	}
}

// stopWriter calls stop after a number of lines.
type stopWriter struct {
	bytes.Buffer
	lines int
	stop  func()
}

func (s *stopWriter) Write(p []byte) (int, error) {
	if s.lines -= bytes.Count(p, []byte("\n")); s.lines == 0 {
		s.stop()
	}
	return s.Buffer.Write(p)
}

func TestBenchEndsBetweenCases(t *testing.T) {
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	var stderr bytes.Buffer
	out := stopWriter{lines: 2, stop: func() { cancel(shutdown.SignalError{Signal: 2}) }}
	code := Run(ctx, []string{"echocast", "bench", "--seconds", "0.000001", "--json"}, Streams{Out: &out, Err: &stderr})
	if got := len(benchResults(t, out.String())); code != 130 || got != 2 ||
		!strings.HasSuffix(stderr.String(), "echocast: interrupted\n") {
		t.Errorf("code %d, %d results, stderr %q", code, got, stderr.String())
	}
}

// countdown is a context that ends after it was asked a number of times.
type countdown struct {
	context.Context
	asked, left int
}

// Value hides the context beneath, since its cause would count instead.
func (c *countdown) Value(any) any { return nil }

func (c *countdown) Err() error {
	if c.asked++; c.asked > c.left {
		return context.Canceled
	}
	return nil
}

// Results from before a signal are shown. A case that had no time to be measured is left out.
func TestBenchPartialTable(t *testing.T) {
	for left, want := range map[int]int{0: 0, 1: 2, 4: 3} { // lines, the head among them
		var out bytes.Buffer
		b := &benchCmd{streams: Streams{Out: &out, Err: &bytes.Buffer{}}, seconds: 1e-6}
		ctx := &countdown{Context: testwait.Context(t), left: left}
		err := b.run(ctx, []string{"1s"}, []int{24000, 24000, 24000})
		if got := strings.Count(out.String(), "\n"); got != want {
			t.Errorf("asked %d times: %d lines, want %d:\n%s", left, got, want, out.String())
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("asked %d times: %v", left, err)
		}
	}
}

func TestBenchStdoutBreaks(t *testing.T) {
	broken := errors.New("no space left on device")
	for _, args := range [][]string{{}, {"--json"}} {
		var stderr bytes.Buffer
		args = append([]string{"echocast", "bench", "--seconds", "0.000001", "--chunk", "20ms", "--rate", "24000"}, args...)
		code := Run(testwait.Context(t), args, Streams{Out: brokenWriter{broken}, Err: &stderr})
		if code != exitFailure || !strings.HasSuffix(stderr.String(), "echocast: stdout: no space left on device\n") {
			t.Errorf("%q: code %d, stderr %q", args, code, stderr.String())
		}
	}
}

type brokenWriter struct{ err error }

func (b brokenWriter) Write([]byte) (int, error) { return 0, b.err }
