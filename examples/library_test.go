package examples

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc"
)

// mostLines is how many lines a program may need to speak in a room, comments
// and blank lines not counted.
const mostLines = 25

// Short programs outside the module speak in a room.
func TestLibrary(t *testing.T) {
	outside := outsideModule(t, "file", "channel")
	for name, c := range map[string]struct {
		outcome string // of the receipt
		files   []string
	}{
		"file":    {`"outcome":"finished"`, []string{"speech.wav"}},
		"channel": {"interrupted", nil},
	} {
		t.Run(name, func(t *testing.T) {
			url, heard := standIn(t)
			program := exec.CommandContext(testwait.Context(t), filepath.Join(outside, "bin", name),
				append([]string{url}, c.files...)...)
			program.Dir = filepath.Join("..", "testdata")
			out, err := program.Output()
			if err != nil || !strings.Contains(string(out), c.outcome) {
				t.Errorf("%v: %s", err, out)
			}
			report := heard()
			if report.ComplaintCount != 0 || len(report.Utterances) != 1 ||
				report.Utterances[0].Interrupted != (c.outcome == "interrupted") {
				t.Errorf("%v, %d utterances", report.Complaints, len(report.Utterances))
			}
		})
	}
}

// outsideModule builds programs of library in a separate module.
func outsideModule(t *testing.T, names ...string) string {
	t.Helper()
	folder := t.TempDir()
	repository, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	mod := strings.Replace(read(t, "../go.mod"), "module echocast", "module outside", 1) +
		"\nrequire echocast v0.0.0\n\nreplace echocast => " + repository + "\n"
	write(t, filepath.Join(folder, "go.mod"), mod)
	write(t, filepath.Join(folder, "go.sum"), read(t, "../go.sum"))
	for _, name := range names {
		text := read(t, filepath.Join("library", name, "main.go"))
		if n := codeLines(text); n > mostLines {
			t.Errorf("%s takes %d lines", name, n)
		}
		write(t, filepath.Join(folder, name, "main.go"), text)
	}
	if err := os.Mkdir(filepath.Join(folder, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-mod=mod", "-trimpath", "-o", "bin/", "./...")
	build.Dir, build.Env = folder, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return folder
}

func codeLines(text string) (n int) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			n++
		}
	}
	return n
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// standIn is a stand-in replica for one connection. heard waits for its end.
func standIn(t *testing.T) (url string, heard func() replica.Report) {
	t.Helper()
	listener, err := rtc.Listen("127.0.0.1:0", &rtc.Options{PingTimeout: testwait.Limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	reports := make(chan replica.Report, 1)
	go func() {
		defer close(reports)
		conn, err := listener.Accept(testwait.Context(t))
		if err != nil {
			return
		}
		defer conn.Close()
		report, _ := replica.New(conn, &replica.Options{PeerGone: rtc.ErrPeerGone}).Run(testwait.Context(t))
		reports <- report
	}()
	return listener.URL(), func() replica.Report { return testwait.Receive(t, reports) }
}
