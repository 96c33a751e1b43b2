package livekit

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"testing"
	"time"

	"echocast/internal/testwait"
	"echocast/rtc/livekit/livekittest"
)

// If avatarEnv is set, the test binary runs an avatar.
const avatarEnv = "ECHOCAST_TEST_AVATAR"

const testKey, testSecret = livekittest.Key, livekittest.Secret

func TestMain(m *testing.M) {
	if os.Getenv(avatarEnv) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		code := livekittest.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
		stop()
		os.Exit(code)
	}
	code := m.Run()
	livekittest.StopServers()
	os.Exit(code)
}

// server is the livekit-server that all tests share.
var server = sync.OnceValues(func() (*livekittest.Server, error) { return livekittest.StartServer("../../bin") })

// serverURL starts the server at its first call. If there is none, it skips the test, or fails
// it if ECHOCAST_REQUIRE_LIVEKIT is set.
func serverURL(t testing.TB) string {
	t.Helper()
	running, err := server()
	if err == nil {
		return running.URL
	}
	if os.Getenv("ECHOCAST_REQUIRE_LIVEKIT") != "" {
		t.Fatal(err)
	}
	t.Skipf("NOT TESTED AGAINST A REAL SERVER: %v; scripts/livekit.sh gets one", err)
	return ""
}

// avatarProcess is a stand-in for the worker in a separate process.
type avatarProcess struct {
	t       testing.TB
	command *exec.Cmd
	reports chan livekittest.Report
	allowed bool // complaints are
}

// startAvatar starts one in room; the end of the test stops it.
func startAvatar(t testing.TB, room string, args ...string) *avatarProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-url", serverURL(t), "-key", testKey, "-secret", testSecret, "-room", room,
		"-folder", t.TempDir()}, args...)
	a := &avatarProcess{t: t, command: exec.Command(self, args...), reports: make(chan livekittest.Report, 1000)}
	a.command.Env = append(os.Environ(), avatarEnv+"=1")
	a.command.Stderr = os.Stderr
	out, err := a.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.command.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(a.reports)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var r livekittest.Report
			if json.Unmarshal(lines.Bytes(), &r) == nil {
				a.reports <- r
			}
		}
	}()
	t.Cleanup(func() {
		_ = a.command.Process.Signal(os.Interrupt)
		testwait.Receive(t, read)
		_ = a.command.Wait()
		for r := range a.reports {
			a.judge(r)
		}
	})
	return a
}

func (a *avatarProcess) judge(r livekittest.Report) {
	if r.Event == livekittest.Complaint && !a.allowed {
		a.t.Errorf("the avatar complains: %s (stream %s)", r.Text, r.ID)
	}
}

// expect returns the next report of an event.
func (a *avatarProcess) expect(event string) livekittest.Report {
	a.t.Helper()
	limit := time.NewTimer(testwait.Limit)
	defer limit.Stop()
	for {
		select {
		case r, ok := <-a.reports:
			if !ok {
				a.t.Fatalf("the avatar ended before it was %s", event)
			}
			a.judge(r)
			if r.Event == event {
				return r
			}
		case <-limit.C:
			a.t.Fatalf("the avatar was not %s within %v", event, testwait.Limit)
		}
	}
}

// kill ends it without a goodbye.
func (a *avatarProcess) kill() { _ = a.command.Process.Kill() }

// heard returns what the avatar played of a stream.
func heard(t testing.TB, r livekittest.Report) []byte {
	t.Helper()
	pcm, err := os.ReadFile(r.File)
	if err != nil {
		t.Fatal(err)
	}
	return pcm
}
