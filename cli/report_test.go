package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"echocast/internal/testenv"
	"echocast/internal/testwait"
)

const goldenTrace = "../testdata/trace/session.ndjson"

func goldenTraceData(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(goldenTrace)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestReport(t *testing.T) {
	name := write(t, "mine.ndjson", goldenTraceData(t))
	r := run(t, nil, "report", name)
	page, err := os.ReadFile(filepath.Join(filepath.Dir(name), "mine.html"))
	if r.code != 0 || err != nil || !strings.Contains(r.stderr, "mine.html") || r.stdout != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	if !bytes.Contains(page, []byte("<h1>mine.ndjson</h1>")) {
		t.Error("the page has another title")
	}
	out := run(t, nil, "report", name, "-o", "-")
	if out.code != 0 || out.stdout != string(page) || out.stderr != "" {
		t.Errorf("stdout is another page: %d bytes, %d; %s", len(out.stdout), out.code, out.stderr)
	}
	piped := run(t, bytes.NewReader(page[:0]), "report", "-")
	if piped.code != 3 || piped.stderr != "echocast: standard input: this is not an echocast trace: it is empty\n" {
		t.Errorf("nothing in the pipe: %+v", piped)
	}
}

// --open opens the page on the desktop, or prints where it is if that fails.
func TestReportOpens(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("xdg-open is not the desktop's program here")
	}
	dir, name := t.TempDir(), write(t, "mine.ndjson", goldenTraceData(t))
	testenv.WriteScript(t, dir, "xdg-open", `printf %s "$1" > "${0%/*}/opened"`)
	t.Setenv("PATH", dir)
	page := strings.TrimSuffix(name, ".ndjson") + ".html"
	if r := run(t, nil, "report", "--open", name); r.code != 0 {
		t.Errorf("%+v", r)
	}
	var opened []byte
	for ctx := testwait.Context(t); string(opened) != page; time.Sleep(10 * time.Millisecond) {
		if opened, _ = os.ReadFile(filepath.Join(dir, "opened")); ctx.Err() != nil {
			t.Fatalf("%q was opened", opened)
		}
	}
	t.Setenv("PATH", t.TempDir())
	r := run(t, nil, "report", "--open", name)
	if r.code != 1 || !strings.Contains(r.stderr, "mine.html: open it in a browser") {
		t.Errorf("%+v", r)
	}
	if r := run(t, nil, "report", "--open", "-o", "-", name); r.code != 2 {
		t.Errorf("%+v", r)
	}
}

// A file that is not a trace is refused in one line.
func TestTraceRefusals(t *testing.T) {
	t.Parallel()
	name := write(t, "a.ndjson", goldenTraceData(t))
	damaged := write(t, "b.ndjson", append(goldenTraceData(t), "}\n"...))
	silent := write(t, "c.ndjson", goldenTraceData(t)[:bytes.IndexByte(goldenTraceData(t), '\n')+1])
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"report"}, 2, "name one trace"},
		{[]string{"report", name, name}, 2, "name one trace"},
		{[]string{"report", "missing"}, 3, "missing: no such file"},
		{[]string{"report", t.TempDir()}, 3, "is a directory"},
		{[]string{"report", name, "-o", name}, 2, "would overwrite the trace"},
		{[]string{"report", damaged}, 3, "b.ndjson: line "},
		{[]string{"report", "../testdata/speech.wav", "-o", "-"}, 3, "line 1: this is not an echocast trace"},
		{[]string{"replay", "../testdata/speech.wav"}, 3, "this is not an echocast trace"},
		{[]string{"replay", silent, "-q"}, 3, "holds no messages"},
		{[]string{"replay", name, "--speed", "0"}, 2, "--speed 0"},
		{[]string{"replay", name, "--speed", "2", "--burst"}, 2, "leave out --speed"},
		{[]string{"replay", name, "--record", "x.wav", "--to", "http://127.0.0.1:1"}, 2, "--record is for"},
		{[]string{"replay", name, "--to", "http://127.0.0.1:1"}, 5, "127.0.0.1:1"},
	} {
		r := run(t, nil, c.args...)
		if r.code != c.code || !strings.Contains(r.stderr, c.says) || r.stdout != "" {
			t.Errorf("%v: %d, %s", c.args, r.code, r.stderr)
		}
	}
}

// A trace is replayed to the replica in this process, over a data channel.
func TestReplayCommand(t *testing.T) {
	lines := bytes.SplitAfter(goldenTraceData(t), []byte("\n"))
	name := write(t, "short.ndjson", bytes.Join(lines[:60], nil))
	heard := filepath.Join(t.TempDir(), "heard.wav")
	r := run(t, nil, "replay", name, "--burst", "--json", "--record", heard)
	if r.code != 0 || strings.Count(r.stdout, "\n") != 1 || !strings.Contains(r.stdout, `"outcome":"interrupted"`) ||
		!strings.Contains(r.stderr, "utterance 1: interrupted") {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(heard); err != nil {
		t.Error(err)
	}
}
