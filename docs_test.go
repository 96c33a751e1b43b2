//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"echocast/internal/testenv"
	"echocast/internal/testwait"
)

// block is a code block of a page.
type block struct {
	line   int
	text   string
	notRun string // why it is not run, or empty
	needs  string // a program it needs, or empty
	code   int    // the exit code it must have
}

// Marks of a block are in comments before it. A mark at the top of a page that
// begins with "no block" is for the whole page.
var (
	notRunMark = regexp.MustCompile(`<!-- not run: (.+) -->`)
	pageMark   = regexp.MustCompile(`<!-- no block of this page is run: (.+) -->`)
	needsMark  = regexp.MustCompile(`<!-- needs ([a-z-]+) -->`)
	codeMark   = regexp.MustCompile(`<!-- exits with (\d+) -->`)
	textLine   = regexp.MustCompile(`\S`)
)

// commandBlocks returns the blocks of a page without a language: shell commands.
func commandBlocks(page string) (blocks []*block) {
	marks := &block{}
	var open *block
	isOpen := false
	pageNotRun := ""
	if m := pageMark.FindStringSubmatch(page); m != nil {
		pageNotRun = m[1]
	}
	for i, line := range strings.Split(page, "\n") {
		switch {
		case strings.HasPrefix(line, "```") && isOpen:
			isOpen, open = false, nil
		case line == "```":
			open, isOpen = marks, true
			open.line = i + 1
			if pageNotRun != "" {
				open.notRun = pageNotRun
			}
			blocks, marks = append(blocks, open), &block{}
		case strings.HasPrefix(line, "```"):
			isOpen = true // of another language
		case open != nil:
			open.text += line + "\n"
		case isOpen:
		case strings.HasPrefix(line, "<!--"):
			marks.mark(line)
		case textLine.MatchString(line):
			marks = &block{}
		}
	}
	return blocks
}

func (b *block) mark(comment string) {
	if m := notRunMark.FindStringSubmatch(comment); m != nil {
		b.notRun = m[1]
	}
	if m := needsMark.FindStringSubmatch(comment); m != nil {
		b.needs = m[1]
	}
	if m := codeMark.FindStringSubmatch(comment); m != nil {
		b.code, _ = strconv.Atoi(m[1]) // digits
	}
}

// TestDocumentedCommands runs the commands of every page in their order, as
// somebody would paste them. What is marked as not run is listed.
func TestDocumentedCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("it speaks in real time")
	}
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	pages, _ := filepath.Glob("docs/*.md") // the pattern is right
	for _, name := range append(pages, "README.md", "examples/README.md") {
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			t.Parallel()
			page, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			pasteBlocks(t, commandBlocks(string(page)))
		})
	}
}

// pasteBlocks runs blocks in one shell.
func pasteBlocks(t *testing.T, blocks []*block) {
	dir := scratchCheckout(t)
	var script strings.Builder
	script.WriteString(awaitFunction)
	for n, b := range blocks {
		if _, err := exec.LookPath(b.needs); b.needs != "" && err != nil {
			b.notRun = "it needs " + b.needs + ", which is not installed"
		}
		if b.notRun != "" {
			t.Logf("line %d is not run: %s", b.line, b.notRun)
			continue
		}
		fmt.Fprintf(&script, "eval \"$(cat block%d)\"; echo $? > code%d\n", n, n)
		write(t, filepath.Join(dir, fmt.Sprintf("block%d", n)), b.text)
	}
	log := runShell(t, dir, withFreePorts(t, dir, script.String(), len(blocks)), len(blocks))
	checkLeftovers(t, dir, len(blocks))
	if strings.Contains(log, "here-document") {
		t.Errorf("a text between << and END has no line END, so bash read the rest of the block as text:\n%s", log)
	}
	for n, b := range blocks {
		if b.notRun != "" {
			continue
		}
		code, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("code%d", n)))
		if got := strings.TrimSpace(string(code)); err != nil || got != strconv.Itoa(b.code) {
			t.Errorf("the block in line %d ended with %q, want %d; %v\n%s", b.line, got, b.code, err, log)
		}
	}
}

// awaitFunction defines await, which waits until the log has another line with a
// text. It stands for the pauses of the pages, so that no speed is assumed.
const awaitFunction = `
declare -A seen
await() {
	while :; do
		local count=$(grep -c -- "$1" log)
		[ "$count" -gt "${seen[$1]:-0}" ] && break
		sleep 0.05
	done
	seen[$1]=$count
}
`

var (
	replicaCommand = regexp.MustCompile(`echocast replica [^\n&]*&`)
	replicaPause   = regexp.MustCompile(`(echocast replica [^\n&]*)& sleep \d+`)
	sendPause      = regexp.MustCompile(`(echocast send [^\n&]*)& sleep \d+`)
	fixedPort      = regexp.MustCompile(`\b88\d\d\b`)
)

// withFreePorts replaces the ports of the blocks by free ones, and their pauses
// by waits. It returns the script.
func withFreePorts(t *testing.T, dir, script string, blocks int) string {
	ports := map[string]string{}
	for n := range blocks {
		name := filepath.Join(dir, fmt.Sprintf("block%d", n))
		text, err := os.ReadFile(name)
		if err != nil {
			continue // not run
		}
		text = replicaCommand.ReplaceAllFunc(text, nameDefaultPort)
		for _, command := range replicaCommand.FindAll(text, -1) {
			delete(ports, string(fixedPort.Find(command))) // the replica of an earlier block may still have it
		}
		text = fixedPort.ReplaceAllFunc(text, func(port []byte) []byte {
			if ports[string(port)] == "" {
				ports[string(port)] = freePort(t)
			}
			return []byte(ports[string(port)])
		})
		text = bytes.ReplaceAll(text, []byte("0.0.0.0:"), []byte("127.0.0.1:"))
		text = replicaPause.ReplaceAll(text, []byte("${1}& await 'the replica listens'"))
		text = sendPause.ReplaceAll(text, []byte("${1}& await ': speaking'"))
		write(t, name, string(text))
	}
	return script
}

// nameDefaultPort adds the option --listen to a replica that has none.
func nameDefaultPort(command []byte) []byte {
	if bytes.Contains(command, []byte("--listen")) {
		return command
	}
	return bytes.Replace(command, []byte("echocast replica "), []byte("echocast replica --listen 127.0.0.1:8870 "), 1)
}

func freePort(t *testing.T) string {
	_, port, _ := net.SplitHostPort(testenv.FreeAddress(t)) // an address has a port
	return port
}

// scratchCheckout is a folder that looks like the checkout after make build.
func scratchCheckout(t *testing.T) string {
	dir, root := t.TempDir(), workingDirectory(t)
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "bin" || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if err := os.Symlink(filepath.Join(root, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(programPath(t), filepath.Join(dir, "bin", "echocast")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// checkLeftovers fails if pasting leaves a file that git would take for one of ours:
// a key could be committed.
func checkLeftovers(t *testing.T, dir string, blocks int) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]bool{"bin": true, "log": true}
	for n := range blocks {
		ours[fmt.Sprintf("block%d", n)], ours[fmt.Sprintf("code%d", n)] = true, true
	}
	for _, e := range entries {
		if ours[e.Name()] || e.Type()&os.ModeSymlink != 0 {
			continue
		}
		ignored := exec.CommandContext(t.Context(), "git", "check-ignore", "--quiet", "--no-index", e.Name())
		if out, err := ignored.CombinedOutput(); err != nil {
			t.Errorf("pasting leaves %s in the checkout, and .gitignore does not list it: %v %s", e.Name(), err, out)
		}
	}
}

func workingDirectory(t *testing.T) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// runShell runs a script of so many blocks, ends what it leaves in the background, and returns its
// output. Nothing in the environment names a real room or account.
func runShell(t *testing.T, dir, script string, blocks int) string {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+blocks)*testwait.Limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "TAVUS_") && !strings.HasPrefix(variable, "LIVEKIT_") &&
			!strings.HasPrefix(variable, "ECHOCAST_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "ECHOCAST_CONFIG="+os.DevNull, patience)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // where something is left
	output, _ := os.ReadFile(log.Name())
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	return string(output)
}

func TestCommandBlocks(t *testing.T) {
	got := commandBlocks("a\n```\none\n```\n\n<!-- not run: why -->\n\n```\ntwo\n```\n```go\nx := 1\n```\n" +
		"<!-- exits with 8 -->\n<!-- needs jq -->\n```\nthree\n```\n<!-- exits with 3 -->\ntext\n```\nfour\n```\n")
	want := []block{{2, "one\n", "", "", 0}, {8, "two\n", "why", "", 0}, {16, "three\n", "", "jq", 8},
		{21, "four\n", "", "", 0}}
	if len(got) != len(want) {
		t.Fatalf("%d blocks, want %d", len(got), len(want))
	}
	for i := range want {
		if *got[i] != want[i] {
			t.Errorf("block %d is %+v, want %+v", i, *got[i], want[i])
		}
	}
	if got := commandBlocks("<!-- no block of this page is run: why -->\n```\none\n```\n"); len(got) != 1 ||
		got[0].notRun != "why" {
		t.Errorf("a mark of the page: %+v", got)
	}
}
