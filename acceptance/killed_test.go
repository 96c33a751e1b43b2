//go:build unix

package acceptance

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc/daily/dailytest"
	"echocast/tavus/tavustest"
)

// clip is a second and a half of sound, in a file.
func (k *killedRun) clip() string {
	header, pcm := tone(36_000)
	name := filepath.Join(k.dir, "clip.wav")
	if err := os.WriteFile(name, append(header, pcm...), 0o600); err != nil {
		panic(err)
	}
	return name
}

// killedRun is a run of the program that is killed at a chosen request, with the service and the
// room that it uses.
type killedRun struct {
	point    string
	service  *tavustest.Server
	url      string
	dir      string
	reached  chan struct{} // closed at the point
	released chan struct{} // closed when things may go on
	release  func()        // closes released
	carrying sync.RWMutex  // held for reading by each request under way
	once     sync.Once
	told     bool // its user knows the conversation, or how to end it
}

func newKilledRun(t *testing.T, point, room string) *killedRun {
	k := &killedRun{point: point, dir: t.TempDir(), reached: make(chan struct{}), released: make(chan struct{})}
	k.release = sync.OnceFunc(func() { close(k.released) })
	k.service = &tavustest.Server{Key: canary, RoomURL: room}
	k.service.Watch = func(stage tavustest.Stage, r *http.Request) { k.at(asked(r) + " " + string(stage)) }
	if strings.HasPrefix(point, "look") {
		k.service.Fail(tavustest.Fault{Method: "POST", Path: "/v2/conversations", Status: 500, After: true, Times: 1})
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.carrying.RLock()
		defer k.carrying.RUnlock()
		header := r.Header.Clone()
		header.Del("X-Api-Key")
		if strings.Contains(fmt.Sprint(r.URL, header), canary) {
			t.Errorf("the key is elsewhere than in its header: %v %v", r.URL, header)
		}
		k.service.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(k.release) // server.Close waits for its requests
	k.url = server.URL
	return k
}

// at blocks the first caller that reaches the point, until release is called.
func (k *killedRun) at(point string) {
	if point == k.point {
		k.once.Do(func() {
			close(k.reached)
			<-k.released
		})
	}
}

// asked names a request to the service.
func asked(r *http.Request) string {
	switch {
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/end"):
		return "end"
	case strings.HasSuffix(r.URL.Path, "/send-app-message"):
		return "message"
	case r.Method == http.MethodPost:
		return "create"
	}
	return "look"
}

// program is echocast as a process.
func (k *killedRun) program(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], append(args, "--base-url", k.url)...)
	// The race detector would make the end of each process take a second.
	cmd.Env = append(os.Environ(), runAsProgram+"=1", "TAVUS_API_KEY="+canary, "ECHOCAST_STATE_DIR="+
		filepath.Join(k.dir, "state"), "GORACE=atexit_sleep_ms=0")
	return cmd
}

// kill runs the command up to the point and signals it there. It returns what
// the command has said.
func (k *killedRun) kill(t *testing.T, sig syscall.Signal, args ...string) string {
	t.Helper()
	var stdout, said bytes.Buffer
	cmd := k.program(testwait.Context(t), args...)
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(&said, lines.Text())
			if strings.HasSuffix(lines.Text(), k.point) {
				k.once.Do(func() { close(k.reached) })
			}
		}
	}()
	select {
	case <-k.reached:
	case <-reading:
		t.Fatalf("it ended before it was at %q: %s", k.point, &said)
	}
	if strings.Contains(environmentOf(childrenOf(cmd.Process.Pid)), canary) {
		t.Error("the key is in the environment of another program")
	}
	signalled := time.Now()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	if sig != syscall.SIGKILL {
		k.release()
	}
	testwait.Receive(t, reading)
	_ = cmd.Wait() // killed, or not: what counts is what it left
	if sig == syscall.SIGKILL {
		k.release() // what the service was about to do, it does now
	} else if code := cmd.ProcessState.ExitCode(); code != 128+int(sig) && code != 0 { // a signal may come too late
		t.Errorf("exit code %d after %v: %s", code, sig, &said)
	}
	k.carrying.Lock() // until the service has answered
	// After a signal, echocast gives the service 1.2 s or more for each answer. A busy machine may
	// take longer, and then echocast says what to do.
	gaveUp := time.Since(signalled) >= 1200*time.Millisecond && strings.Contains(said.String(), "end-mine")
	k.told = stdout.Len() > 0 || gaveUp
	k.carrying.Unlock()
	return stdout.String() + said.String()
}

// settle checks that no conversation costs money, and that no file holds the key. It runs end-mine
// first if the process could not end its conversation, had printed it before the signal, or has
// said that it could not end it in time.
func (k *killedRun) settle(t *testing.T, sig syscall.Signal, said string) {
	t.Helper()
	left := said + inFiles(t, k.dir)
	if sig == syscall.SIGKILL || k.told {
		out, err := k.program(testwait.Context(t), "conversation", "end-mine").CombinedOutput()
		if err != nil {
			t.Errorf("end-mine: %v: %s", err, out)
		}
		left += string(out)
	}
	if open := k.service.Open(); len(open) != 0 {
		t.Errorf("still open: %+v\n%s", open, said)
	}
	if files, _ := filepath.Glob(filepath.Join(k.dir, "state", "*.json")); len(files) != 0 {
		t.Errorf("still remembered: %v", files)
	}
	if strings.Contains(left+fmt.Sprint(k.service.Requests()), canary) {
		t.Errorf("the key is in what was left: %s", left)
	}
	if complaints := k.service.Complaints(); len(complaints) > 0 {
		t.Errorf("the service complains: %v", complaints)
	}
	for _, conversation := range k.service.Conversations() {
		properties, _ := conversation.Body["properties"].(map[string]any)
		if properties["max_call_duration"] != 120.0 || properties["participant_left_timeout"] != 30.0 {
			t.Errorf("its limits are %v", properties)
		}
	}
}

var signals = []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT}

// If conversation create is killed before it has printed the id, no conversation stays open,
// at whatever moment that is.
func TestCreateKilled(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"create received", "create done", "look received", "look done"} {
		for _, sig := range append(signals, syscall.SIGHUP) {
			t.Run(fmt.Sprintf("%s, %v", point, sig), func(t *testing.T) {
				t.Parallel()
				k := newKilledRun(t, point, "")
				k.settle(t, sig, k.kill(t, sig, "conversation", "create", "--pal", "p1", "--max-minutes", "2"))
				if made := len(k.service.Conversations()); made != 1 {
					t.Errorf("%d conversations were created", made)
				}
			})
		}
	}
}

// If send --pal is killed, its conversation is ended, at whatever moment that is.
func TestSendKilled(t *testing.T) {
	t.Parallel()
	needBrowser(t)
	for i, point := range []string{
		"create received", "create done", "look received", "look done", // before there is a room
		"joining", "waiting for the replica", "speaking", "end received", "end done",
	} {
		for j, sig := range signals {
			if i%len(signals) != j && testwait.Trials(10) < 10 {
				continue // each signal at a third of the points is enough but in make fuzz
			}
			t.Run(fmt.Sprintf("%s, %v", point, sig), func(t *testing.T) {
				t.Parallel()
				awaitBrowser(t)
				sendKilled(t, point, sig)
			})
		}
	}
}

func sendKilled(t *testing.T, point string, sig syscall.Signal) {
	room, err := dailytest.NewRoom(dailytest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer room.Close()
	k := newKilledRun(t, point, room.URL())
	machine := room.CallMachine()
	if point == "joining" {
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { k.at(point) }))
		defer server.Close()
		machine = server.URL
	}
	var playing sync.WaitGroup
	ctx, stop := context.WithCancel(testwait.Context(t))
	if point != "waiting for the replica" {
		participant := room.Enter("Ann", "tavus-replica-1")
		playing.Go(func() {
			options := &replica.Options{OnEvent: func(e replica.Event) {
				if e.Kind == replica.EventStarted && k.point == "speaking" {
					k.once.Do(func() { close(k.reached) }) // the replica has to go on
				}
			}}
			_, _ = replica.New(participant, options).Run(ctx)
		})
		defer participant.Leave()
	}
	defer playing.Wait()
	defer stop()
	library, err := filepath.Abs(dailyJS)
	if err != nil {
		t.Fatal(err)
	}
	said := k.kill(t, sig, "send", "--pal", "p1", "--via", "daily", "--max-minutes", "2", "--daily-js",
		library, "--daily-call-machine", machine,
		"--trace", filepath.Join(k.dir, "trace.ndjson"), k.clip())
	k.settle(t, sig, said)
}

// If send --pal is killed while it speaks over REST, its conversation is ended, at whatever
// moment that is.
func TestSendOverRESTKilled(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"create received", "create done", "look received", "message received",
		"message done", "end received", "end done"} {
		for _, sig := range signals {
			t.Run(fmt.Sprintf("%s, %v", point, sig), func(t *testing.T) {
				t.Parallel()
				k := newKilledRun(t, point, "")
				t.Cleanup(func() { k.service.Close() })
				k.settle(t, sig, k.kill(t, sig, "send", "--pal", "p1", "--max-minutes", "2", k.clip()))
			})
		}
	}
}

// A second Ctrl-C while a conversation is created or ended exits at once, and says how to end
// what may be open.
func TestSecondSignalNamesOpenConversation(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"create received", "end received"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			k := newKilledRun(t, point, "")
			t.Cleanup(func() { k.service.Close() })
			cmd := k.program(testwait.Context(t), "send", "--pal", "p1", k.clip())
			var said bytes.Buffer
			cmd.Stderr = &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			testwait.Receive(t, k.reached)
			interruptUntilItEnds(cmd)
			k.release()
			if code := cmd.ProcessState.ExitCode(); code != 130 ||
				!strings.Contains(said.String(), "end it with: echocast conversation end-mine") {
				t.Errorf("code %d: %s", code, &said)
			}
		})
	}
}

// interruptUntilItEnds sends SIGINT again and again: one that comes within 100 ms after the first
// was handled does not count.
func interruptUntilItEnds(cmd *exec.Cmd) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // interrupted
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_ = cmd.Process.Signal(syscall.SIGINT) // it may have ended
		select {
		case <-tick.C:
		case <-ended:
			return
		}
	}
}

// childrenOf returns the processes that a process has started, on systems with /proc.
func childrenOf(pid int) (children []string) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, name := range tasks {
		more, _ := os.ReadFile(name) // the thread may have ended
		text = append(append(text, ' '), more...)
	}
	return strings.Fields(string(text))
}

// environmentOf is the environment of processes.
func environmentOf(pids []string) string {
	var all strings.Builder
	for _, pid := range pids {
		text, _ := os.ReadFile("/proc/" + pid + "/environ") // it may have ended
		all.Write(text)
	}
	return all.String()
}

// The helper that reads the environment of other processes works.
func TestEnvironmentOfChildren(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	cmd := exec.CommandContext(testwait.Context(t), "cat")
	cmd.Env = []string{"SECRET=" + canary}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen := environmentOf(childrenOf(os.Getpid()))
	if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(seen, canary) {
		t.Errorf("%q", seen)
	}
}
