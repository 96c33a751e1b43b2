package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	tty "echocast/internal/terminal"
	"echocast/internal/testwait"
)

// screen is what a program writes to a terminal of some width.
type screen struct {
	keys, tty *os.File
	columns   int
	text      string // all of it
	chunks    chan string
}

func newScreen(t *testing.T, columns int) *screen {
	t.Helper()
	keys, tty := terminal(t)
	size := unix.Winsize{Row: 24, Col: uint16(columns)}
	if err := unix.IoctlSetWinsize(int(keys.Fd()), unix.TIOCSWINSZ, &size); err != nil {
		t.Fatal(err)
	}
	s := &screen{keys: keys, tty: tty, columns: columns, chunks: make(chan string)}
	go func() { // it ends when the test closes the terminal
		defer close(s.chunks)
		buffer := make([]byte, 4096)
		for {
			n, err := keys.Read(buffer)
			if err != nil {
				return
			}
			select {
			case s.chunks <- string(buffer[:n]):
			case <-t.Context().Done():
				return
			}
		}
	}()
	return s
}

// run starts the program from a shell whose terminal it is. When the program has ended, the
// shell says its exit code, and stays: the kernel drops what a terminal has not shown yet when
// the first process of its session ends.
func (s *screen) run(t *testing.T, args ...string) {
	t.Helper()
	run := program(t, args...)
	const script = `trap : INT; "$@"; code=$?; trap "" INT; echo "exit code $code" >&2; exec cat >/dev/null`
	shell := exec.CommandContext(testwait.Context(t), "sh", slices.Concat([]string{"-c", script, "sh"}, run.Args)...)
	shell.Env = append(run.Env, "TERM=xterm", "COLUMNS=", "NO_COLOR=")
	shell.Stdin, shell.Stderr = s.tty, s.tty
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = shell.Process.Kill()
		_ = shell.Wait() // it was killed
	})
}

func (s *screen) press(t *testing.T, key string) {
	t.Helper()
	if _, err := s.keys.WriteString(key); err != nil {
		t.Fatal(err)
	}
}

// await reads until the program has written a text that matches since the mark, and
// returns the mark behind it.
func (s *screen) await(t *testing.T, since int, pattern string) (mark int) {
	t.Helper()
	ctx, re := testwait.Context(t), regexp.MustCompile(pattern)
	for {
		if found := re.FindStringIndex(s.text[since:]); found != nil {
			return since + found[1]
		}
		select {
		case chunk, more := <-s.chunks:
			if !more {
				t.Fatalf("the terminal never showed %q, but %q", pattern, s.text[since:])
			}
			s.text += chunk
		case <-ctx.Done():
			t.Fatalf("the terminal never showed %q, but %q", pattern, s.text[since:])
		}
	}
}

const eraseLine = "\r\x1b[K"

// checkFrames fails if a status line was wider than the terminal: it could not have
// been erased.
func (s *screen) checkFrames(t *testing.T) {
	t.Helper()
	count := 0
	for _, frame := range strings.Split(s.text, eraseLine)[1:] {
		if strings.Contains(frame, "\n") {
			continue // lines for people, which stay
		}
		count++
		if w := tty.Width(frame); w >= s.columns {
			t.Errorf("a status line of %d columns: %q", w, frame)
		}
	}
	if count == 0 {
		t.Errorf("there is no status line: %q", s.text)
	}
}

// heardAt is the time that was heard in the last status line.
func (s *screen) heardAt(t *testing.T) float64 {
	t.Helper()
	all := regexp.MustCompile(`(\d):(\d\d\.\d) / 0:04\.0`).FindAllStringSubmatch(s.text, -1)
	if all == nil {
		t.Fatalf("no status line has a time: %q", s.text)
	}
	seconds, err := strconv.ParseFloat(all[len(all)-1][2], 64)
	if err != nil {
		t.Fatal(err)
	}
	return seconds
}

// longName has wide characters, and more than fit 40 columns.
const longName = "a very long name 日本語の長い名前の録音 recorded on Monday.wav"

// The status line keeps to the width of the terminal, shows what was heard, and the keys;
// after a pause it continues where it was.
func TestStatusLine(t *testing.T) {
	for columns, want := range map[int]string{
		80: `a very long name 日本語…  █+▒+░+  0:0\d\.\d / 0:04\.0  speaking  space: pause`,
		40: `a very long…  0:0(0\.[1-9]|[1-9]\.\d) / 0:04\.0  speaking`,
	} {
		t.Run(strconv.Itoa(columns), func(t *testing.T) {
			t.Parallel()
			s := newScreen(t, columns)
			speech, release := heldSpeech(t, longName)
			s.run(t, "send", "--resume", speech)
			mark := s.await(t, 0, want)
			s.press(t, " ")
			mark = s.await(t, mark, `echocast: paused\r\n`)
			mark = s.await(t, mark, `  paused`)
			paused := s.heardAt(t)
			release()
			s.press(t, " ")
			mark = s.await(t, mark, `echocast: continuing\r\n`)
			mark = s.await(t, mark, `  speaking`)
			if now := s.heardAt(t); now < paused-1.5 || paused == 0 {
				t.Errorf("it was at %v s, and continues at %v s", paused, now)
			}
			s.await(t, mark, "\x1b\\[32mheard in full: [^\x1b]*\x1b\\[0m\r\nexit code 0\r\n")
			s.checkFrames(t)
		})
	}
}

// Ctrl-C says how long it waits, a second one ends at once, and neither leaves
// something on the line on which the prompt of the shell will stand.
func TestStatusLineAtTheEnd(t *testing.T) {
	for name, presses := range map[string]int{"Ctrl-C": 1, "Ctrl-C twice": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startReplica(t, "--fault", "drop-events=stopped")
			s := newScreen(t, 80)
			speech, _ := heldSpeech(t, "speech.wav")
			s.run(t, "send", "--to", r.url, speech)
			mark := s.await(t, 0, `  speaking  space: interrupt`)
			s.press(t, "\x03")
			mark = s.await(t, mark, `interrupting, at most 2 s  Ctrl-C: exit at once`)
			start := mark
			end := "echocast: interrupted\r\n"
			if presses == 2 {
				end = "(" + regexp.QuoteMeta(eraseLine) + "|" + end + ")" // if the second comes late
			}
			for presses == 2 { // one that comes too soon does not count
				s.press(t, "\x03")
				mark = s.await(t, mark, "Ctrl-C: exit at once|exit code")
				if strings.HasSuffix(s.text[:mark], "exit code") {
					break
				}
			}
			s.await(t, start, end+`(\^C)*exit code 130\r\n`)
			s.checkFrames(t)
		})
	}
}

// doctor is in color where a terminal reads it, unless NO_COLOR is set.
func TestColors(t *testing.T) {
	for variable, want := range map[string]string{
		"NO_COLOR=": "\x1b\\[3[123]m(not )?ready", "NO_COLOR=1": "(?m)^(not )?ready for ",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			s := newScreen(t, 80)
			cmd := program(t, "doctor", "--chromium", "/none")
			cmd.Env = append(cmd.Env, "TERM=xterm", variable)
			cmd.Stdout, cmd.Stderr = s.tty, s.tty
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			s.await(t, 0, want)
			_ = cmd.Wait() // something may be missing here
			if variable == "NO_COLOR=1" && strings.Contains(s.text, "\x1b[3") {
				t.Errorf("colors: %q", s.text)
			}
		})
	}
}
