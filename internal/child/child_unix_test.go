//go:build unix

package child

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"echocast/internal/testwait"
)

func start(t *testing.T, ctx context.Context, line string) *Process {
	t.Helper()
	p, err := Start(Shell(ctx, line))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A process that a command leaves behind with its output open is killed, so the output ends.
func TestLeftoverProcessesAreKilled(t *testing.T) {
	hold, gone := testwait.Holder(t)
	p := start(t, testwait.Context(t), hold+"sleep 600 & echo said")
	text, err := io.ReadAll(p.Stdout)
	if err != nil || string(text) != "said\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
	testwait.Receive(t, gone)
}

// setIdle replaces IdleTimeout.
func setIdle(p *Process, d time.Duration) {
	out := p.Stdout.(*output)
	out.mu.Lock()
	defer out.mu.Unlock()
	out.idle = d
}

// The output of a background process is read to its end.
func TestBackgroundOutputIsRead(t *testing.T) {
	p := start(t, testwait.Context(t), "(for i in 1 2 3; do sleep 0.1; echo $i; done) & true")
	setIdle(p, testwait.Limit)
	text, err := io.ReadAll(p.Stdout)
	if err != nil || string(text) != "1\n2\n3\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

func TestContextKillsProcessGroup(t *testing.T) {
	hold, gone := testwait.Holder(t)
	ctx, cancel := context.WithCancel(testwait.Context(t))
	p := start(t, ctx, hold+"sleep 600 & echo ready; wait")
	if _, err := p.Stdout.Read(make([]byte, 16)); err != nil {
		t.Error(err)
	}
	cancel()
	_, err := errors.AsType[*exec.ExitError](p.Wait())
	if !err {
		t.Error("a killed command has no exit error")
	}
	testwait.Receive(t, gone)
}

func TestExitStatus(t *testing.T) {
	p := start(t, testwait.Context(t), "exit 3")
	if _, err := io.ReadAll(p.Stdout); err != nil {
		t.Error(err)
	}
	if err := p.Wait(); err == nil || err.Error() != "exit status 3" {
		t.Error(err)
	}
	if _, err := Start(Command(testwait.Context(t), "/no/such/program")); err == nil {
		t.Error("a missing program was started")
	}
}

// A command with the caller's standard output is also killed with its process group.
func TestCallerStdout(t *testing.T) {
	hold, gone := testwait.Holder(t)
	var out strings.Builder
	cmd := Shell(testwait.Context(t), hold+"sleep 600 >/dev/null & echo said")
	cmd.Stdout, cmd.WaitDelay = &out, testwait.Limit
	p, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil || out.String() != "said\n" || p.Stdout != nil {
		t.Errorf("%q, %v", out.String(), err)
	}
	testwait.Receive(t, gone)
}

// SIGPIPE ends a child that writes to a closed pipe, although echocast itself ignores the
// signal.
func TestSIGPIPEIsReset(t *testing.T) {
	stop := CatchSIGPIPE()
	defer stop()
	p := start(t, testwait.Context(t), "exec yes")
	_, _ = io.ReadFull(p.Stdout, make([]byte, 10))
	_ = p.Stdout.Close()
	if err := p.Wait(); err == nil || !strings.Contains(err.Error(), "broken pipe") {
		t.Errorf("the program ended with %v", err)
	}
	if signal.Ignored(syscall.SIGPIPE) {
		t.Error("SIGPIPE is ignored, and children would inherit that")
	}
}

// A command and its processes end when their parent ends, even if the parent is killed.
func TestCommandsDieWithTheirParent(t *testing.T) {
	if os.Getenv("CHILD_TEST_PARENT") != "" {
		p := start(t, context.Background(), os.Getenv("CHILD_TEST_PARENT"))
		// The file is a FIFO: now the command is tied to this process.
		if err := os.WriteFile(os.Getenv("CHILD_TEST_TIED"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = p.Wait()
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("this system has no signal for that")
	}
	hold, gone := testwait.Holder(t)
	ready, tied := filepath.Join(t.TempDir(), "ready"), filepath.Join(t.TempDir(), "tied")
	for _, fifo := range []string{ready, tied} {
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parent := exec.CommandContext(testwait.Context(t), os.Args[0], "-test.run=^TestCommandsDieWithTheirParent$")
	parent.Env = append(os.Environ(), "CHILD_TEST_TIED="+tied, "CHILD_TEST_PARENT="+hold+
		"sleep 600 & echo >'"+ready+"'; wait")
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	for _, fifo := range []string{ready, tied} {
		if _, err := os.ReadFile(fifo); err != nil {
			t.Error(err)
		}
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	testwait.Receive(t, gone)
}

// A slow reader gets everything that the command printed before it exited.
func TestSlowReaderLosesNothing(t *testing.T) {
	process, err := Start(Shell(testwait.Context(t), "head -c 30000 /dev/zero"))
	if err != nil {
		t.Fatal(err)
	}
	testwait.Receive(t, process.Exited())
	setIdle(process, -1) // as if this process stood still before each read
	if printed, err := io.ReadAll(process.Stdout); err != nil || len(printed) != 30000 {
		t.Errorf("%d of 30000 bytes, %v", len(printed), err)
	}
	if err := process.Wait(); err != nil {
		t.Error(err)
	}
}

// A command that has exited was not killed, even if WaitFor looks too late.
func TestWaitForDoesNotKillWhatHasExited(t *testing.T) {
	for range 20 { // it sees the end of the command or that of its limit first
		p := start(t, testwait.Context(t), "exit 3")
		<-p.Exited()
		if isLate, err := p.WaitFor(-time.Second); isLate || err == nil || err.Error() != "exit status 3" {
			t.Fatalf("killed: %t, %v", isLate, err)
		}
	}
}
