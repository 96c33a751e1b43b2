//go:build linux

package daily

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"echocast/internal/testwait"
	"echocast/rtc/daily/dailytest"
)

// pid is the process of a browser that runs.
func (b *Browser) pid() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return chromedp.FromContext(b.running.tabs).Browser.Process().Pid
}

// family is a process with all its descendants, without zombies.
func family(root int) []int {
	children := map[int][]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		pid, parent, ok := parentOf(file)
		if ok {
			children[parent] = append(children[parent], pid)
		}
	}
	found := []int{root}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found
}

// parentOf reads a stat file of /proc.
func parentOf(file string) (pid, parent int, ok bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, false
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(file)))
	parent, _ = strconv.Atoi(fields[1])
	return pid, parent, fields[0] != "Z"
}

func TestNoProcessIsLeft(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	var browser Browser
	conn := mustJoin(t, room, Options{Browser: &browser})
	processes := family(browser.pid())
	if len(processes) < 3 {
		t.Fatalf("the browser has the processes %v only", processes)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	ctx := testwait.Context(t) // a process that was told to end may take a while to do so
	for _, pid := range processes {
		for command := ""; isAlive(pid, &command); time.Sleep(10 * time.Millisecond) {
			if ctx.Err() != nil {
				t.Errorf("process %d is still there: %.200q", pid, command)
				break
			}
		}
	}
}

// isAlive reports whether a process still runs the same command, which it returns the first time.
func isAlive(pid int, command *string) bool {
	folder := "/proc/" + strconv.Itoa(pid)
	_, _, alive := parentOf(folder + "/stat")
	now, _ := os.ReadFile(folder + "/cmdline")
	*command = cmp.Or(*command, string(now))
	return alive && *command == string(now)
}

// kill ends a browser as the system does for lack of memory.
func kill(t *testing.T, b *Browser) {
	t.Helper()
	if err := syscall.Kill(b.pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestKilledBrowserIsStartedAgainOnce(t *testing.T) {
	var browser Browser
	var people []*dailytest.Participant
	var conns []*Conn
	for range 2 {
		room := newRoom(t, dailytest.Options{})
		people = append(people, room.Enter("Ann", ""))
		conns = append(conns, mustJoin(t, room, Options{Browser: &browser}))
	}
	pages := []*page{conns[0].now(t), conns[1].now(t)}
	began := time.Now()
	kill(t, &browser)
	for _, p := range pages {
		testwait.Receive(t, p.Ended())
		t.Logf("noticed after %v", time.Since(began).Round(time.Millisecond))
	}
	for i, conn := range conns {
		if err := conn.Send(testwait.Context(t), []byte(`{"n":1}`)); err != nil {
			t.Fatal(err)
		}
		expect(t, people[i], `{"n":1}`)
		expect(t, conn, about(joinedEvent, people[i].Person, rolePerson),
			`{"message_type":"room","event_type":"room.rejoined","properties":{"reason":"connection lost: the `+
				`browser has gone"}}`)
	}
	t.Logf("all in the room again after %v", time.Since(began).Round(time.Millisecond))
	if a, b := conns[0].now(t).chromium, conns[1].now(t).chromium; a != b {
		t.Error("there are two browsers now")
	}
	kill(t, &browser)
	for _, conn := range conns {
		if _, err := conn.Receive(testwait.Context(t)); !errors.Is(err, ErrLost) ||
			!strings.Contains(err.Error(), "the browser has gone") {
			t.Errorf("got %v, want %v", err, ErrLost)
		}
	}
}
