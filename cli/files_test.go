package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"echocast/internal/outfile"
	"echocast/internal/testwait"
	"echocast/trace"
)

// runIn runs echocast in a folder and returns its exit code and stderr.
func runIn(t *testing.T, folder string, args ...string) (code int, stderr string) {
	t.Helper()
	t.Chdir(folder)
	var out, people bytes.Buffer
	code = Run(testwait.Context(t), append([]string{"echocast"}, args...),
		Streams{In: strings.NewReader(""), Out: &out, Err: &people})
	return code, people.String()
}

// Files that cannot be written are refused before anything is spoken or connected.
func TestOutputsAreCheckedFirst(t *testing.T) {
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	held, err := outfile.Create(filepath.Join(folder, "held"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	const nowhere = "http://127.0.0.1:1"
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"send", "--trace", "x", "--record", "x", "-"}, 2, "--record x and --trace x are one file: name two"},
		{[]string{"send", "--to", nowhere, "--trace", "x", "--hear", "./x", "-"}, 2, "are one file"},
		{[]string{"send", "--to", nowhere, "--trace", "sub/../x", "--hear", "x", "-"}, 2, "are one file"},
		{[]string{"send", "--to", nowhere, "--trace", "none/x", "-"}, 1, "--trace none/x: no such file or directory"},
		{[]string{"send", "--to", nowhere, "--trace", "sub", "-"}, 2, "--trace sub: it is written as a file"},
		{[]string{"send", "--to", nowhere, "--hear", "none/x", "-"}, 1, "--hear none/x: no such file or directory"},
		{[]string{"send", "--monitor", "-", "-"}, 2, "--monitor -: it is not written to standard output; name a file"},
		{[]string{"probe", "--png", "-", "-"}, 2, "--png -: it is not written to standard output"},
		{[]string{"test", "--junit", "-", "x.yaml"}, 2, "--junit -: it is not written to standard output"},
		{[]string{"hear", "--to", nowhere, "--trace", "x", "x"}, 2, "are one file"},
		{[]string{"hear", "--to", nowhere, "none/x"}, 1, "FILE none/x: no such file or directory"},
		{[]string{"listen", "--to", nowhere, "--trace", "x", "--transcript", "x"}, 2, "are one file"},
		{[]string{"listen", "--to", nowhere, "--transcript", "none/x.txt"}, 1,
			"--transcript none/x.txt: no such file or directory"},
		{[]string{"say", "--to", nowhere, "--trace", "none/x", "Hello."}, 1, "--trace none/x: no such file or directory"},
	} {
		code, stderr := runIn(t, folder, c.args...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%v: code %d, want %d and %q:\n%s", c.args, code, c.code, c.says, stderr)
		}
	}
	if runtime.GOOS != "windows" {
		code, stderr := runIn(t, folder, "send", "--to", nowhere, "--trace", "held", "-")
		if code != 1 || !strings.Contains(stderr, "--trace held: it is being written by another process") {
			t.Errorf("a trace that another writes: code %d\n%s", code, stderr)
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 2 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// A report replaces a report, and nothing else unless --output names it.
func TestReportReplacesOnlyReports(t *testing.T) {
	recorded, err := os.ReadFile("../testdata/trace/session.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	page := filepath.Join(folder, "keep.html")
	for name, content := range map[string]string{filepath.Join(folder, "keep.ndjson"): string(recorded),
		page: "<!doctype html>precious"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, stderr := runIn(t, folder, "report", "keep.ndjson")
	if kept, _ := os.ReadFile(page); code != 2 || string(kept) != "<!doctype html>precious" ||
		!strings.Contains(stderr, "keep.html exists and is not a report: name another file with --output, or "+
			"this one to replace it") {
		t.Errorf("code %d, the file is now %.40q\n%s", code, kept, stderr)
	}
	for _, args := range [][]string{{"report", "keep.ndjson", "-o", "keep.html"}, {"report", "keep.ndjson"}} {
		code, stderr := runIn(t, folder, args...)
		if written, _ := os.ReadFile(page); code != 0 || !trace.IsPage(bytes.NewReader(written)) {
			t.Errorf("%v: code %d\n%s", args, code, stderr)
		}
	}
}
