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
		{[]string{"send", "--trace", "x", "--record", "x", "-"}, 2,
			"--record x and --trace x are one file: name two"},
		{[]string{"send", "--to", nowhere, "--trace", "x", "--hear", "./x", "-"}, 2, "are one file"},
		{[]string{"send", "--to", nowhere, "--trace", "sub/../x", "--hear", "x", "-"}, 2, "are one file"},
		{[]string{"send", "--to", nowhere, "--trace", "none/x", "-"}, 2,
			"--trace none/x: there is no folder none; make it first"},
		{[]string{"send", "--to", nowhere, "--trace", "sub", "-"}, 2, "--trace sub: it is written as a file"},
		{[]string{"send", "--to", nowhere, "--hear", "none/x", "-"}, 2,
			"--hear none/x: there is no folder none; make it first"},
		{[]string{"send", "--monitor", "-", "-"}, 2,
			"--monitor -: it is not written to standard output; name a file"},
		{[]string{"probe", "--png", "-", "-"}, 2, "--png -: it is not written to standard output"},
		{[]string{"test", "--junit", "-", "x.yaml"}, 2, "--junit -: it is not written to standard output"},
		{[]string{"hear", "--to", nowhere, "--trace", "x", "x"}, 2, "are one file"},
		{[]string{"hear", "--to", nowhere, "none/x"}, 2, "FILE none/x: there is no folder none; make it first"},
		{[]string{"listen", "--to", nowhere, "--trace", "x", "--transcript", "x"}, 2, "are one file"},
		{[]string{"listen", "--to", nowhere, "--transcript", "none/x.txt"}, 2,
			"--transcript none/x.txt: there is no folder none; make it first"},
		{[]string{"send", "--record", "none/x.wav", "-"}, 2,
			"--record none/x.wav: there is no folder none; make it first"},
		{[]string{"replica", "--record", "none/x.wav"}, 2, "--record none/x.wav: there is no folder none"},
		{[]string{"replay", "--record", "none/x.wav", "x"}, 2, "--record none/x.wav: there is no folder none"},
		{[]string{"probe", "--png", "none/x.png", "-"}, 2, "--png none/x.png: there is no folder none"},
		{[]string{"test", "--junit", "none/x.xml", "x.yaml"}, 2, "--junit none/x.xml: there is no folder none"},
		{[]string{"report", "-o", "none/x.html", "x"}, 2, "--output none/x.html: there is no folder none"},
		{[]string{"report", "-o", "sub", "x"}, 2, "--output sub: it is written as a file"},
		{[]string{"send", "--record", "x.mp3", "-"}, 2,
			"--record x.mp3: the name must end with .wav or .webm or .mp4"},
		{[]string{"send", "--monitor", "x.mp3", "-"}, 2, "--monitor x.mp3: the name must end with .wav"},
		{[]string{"send", "--to", nowhere, "--hear", "x.ogg", "-"}, 2,
			"--hear x.ogg: the name must end with .wav or .pcm or"},
		{[]string{"hear", "--to", nowhere, "x.mp3"}, 2,
			"FILE x.mp3: the name must end with .wav or .pcm or .raw or .s16le; " +
				"-f sets the format for any name"},
		{[]string{"replica", "--record", "x.flac"}, 2,
			"--record x.flac: the name must end with .wav or .webm or .mp4"},
		{[]string{"replay", "--record", "x.webm", "x"}, 2, "--record x.webm: the name must end with .wav"},
		{[]string{"probe", "--png", "x.svg", "-"}, 2, "--png x.svg: the name must end with .png"},
		{[]string{"say", "--to", nowhere, "--trace", "none/x", "Hello."}, 2,
			"--trace none/x: there is no folder none; make it first"},
	} {
		code, stderr := runIn(t, folder, c.args...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%v: code %d, want %d and %q:\n%s", c.args, code, c.code, c.says, stderr)
		}
	}
	if runtime.GOOS != "windows" {
		code, stderr := runIn(t, folder, "send", "--to", nowhere, "--trace", "held", "-")
		if code != 2 || !strings.Contains(stderr, "--trace held: it is being written by another process") {
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
