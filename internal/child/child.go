// Package child builds and runs the processes that echocast starts: the user's
// commands, decoders and browsers.
//
// A child inherits no secret of echocast and runs in a separate process group. The group is
// killed when the context ends, or when its leader has exited and the rest of the group
// writes nothing. On Linux it is also killed when echocast dies.
package child

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// IdleTimeout is how long the standard output of a command stays open after the command has
// exited, while a background process holds it open and writes nothing.
const IdleTimeout = 500 * time.Millisecond

// stdinTimeout bounds the wait for the goroutine that feeds standard input, after the
// command has exited.
const stdinTimeout = time.Second

// Command returns a command that is killed with its child processes when ctx ends. Its
// environment is that of Environ.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = Environ()
	cmd.WaitDelay = stdinTimeout
	group(cmd)
	return cmd
}

// Shell returns a command like Command that runs a user's command line, by sh -c or cmd
// /C.
func Shell(ctx context.Context, line string) *exec.Cmd {
	return Command(ctx, shell[0], shell[1], line)
}

// Process is a running command with its standard output.
type Process struct {
	// Stdout is the output of the command. It ends when all processes have closed it, or
	// when the command has exited and nothing has arrived for IdleTimeout. It is nil if the
	// command already has a Stdout.
	Stdout     io.ReadCloser
	cmd        *exec.Cmd
	parentPipe *parentPipe
	exited     chan struct{}
	err        error // how it exited; read after exited

	mu     sync.Mutex
	isOver bool // the whole group has ended
}

// Start starts a command of this package. The caller reads Process.Stdout, unless the
// command already has a Stdout, and calls Wait.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, exited: make(chan struct{})}
	expire := func() {}
	if cmd.Stdout == nil {
		read, write, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer write.Close() // the child has a copy
		out := &output{file: read, idle: IdleTimeout}
		cmd.Stdout, p.Stdout, expire = write, out, out.expire
	}
	pipe := newParentPipe(cmd)
	if err := cmd.Start(); err != nil {
		pipe.release()
		p.closeStdout()
		return nil, err
	}
	pipe.killWithParent(cmd.Process.Pid)
	go func() { // it ends with the command; Wait waits for it
		defer close(p.exited)
		p.err = cmd.Wait()
		if errors.Is(p.err, exec.ErrWaitDelay) {
			p.err = nil // the command succeeded; only its feeder was still writing
		}
		expire()
	}()
	p.parentPipe = pipe
	return p, nil
}

func (p *Process) closeStdout() {
	if p.Stdout != nil {
		_ = p.Stdout.Close() // it was only read
	}
}

// Exited returns a channel that is closed when the command itself has exited.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Kill kills the command and its child processes. After Wait it does nothing.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.isOver {
		_ = kill(p.cmd) // it may have ended
	}
}

// Wait waits until the command has exited, closes Stdout, and kills the processes that the
// command left running. It returns how the command exited: usually nil or an
// *exec.ExitError.
func (p *Process) Wait() error {
	<-p.exited
	p.closeStdout()
	p.Kill()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.isOver {
		p.isOver = true // its id may be reused
		p.parentPipe.release()
	}
	return p.err
}

// output is the reading end of a pipe. It ends once the command has exited and nothing more
// arrives.
type output struct {
	file      *os.File
	mu        sync.Mutex
	idle      time.Duration // IdleTimeout
	isExpired bool          // the command has exited
}

// Read waits at most IdleTimeout after the command has exited. Data that is already in the
// pipe stays readable, however late it is read.
func (o *output) Read(p []byte) (int, error) {
	o.mu.Lock()
	if o.isExpired {
		_ = o.file.SetReadDeadline(time.Now().Add(o.idle)) // setting a deadline worked before
	}
	o.mu.Unlock()
	n, err := o.file.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if n = readAtOnce(o.file, p); n > 0 { // this process stood still for so long
			return n, nil
		}
		return 0, io.EOF
	}
	if errors.Is(err, os.ErrClosed) {
		return n, io.EOF
	}
	return n, err
}

func (o *output) Close() error { return o.file.Close() }

// expire starts the idle timeout. If pipes have no deadlines (on Windows), it closes the
// pipe after that time.
func (o *output) expire() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.isExpired = true
	err := o.file.SetReadDeadline(time.Now().Add(o.idle))
	if errors.Is(err, os.ErrNoDeadline) {
		time.AfterFunc(o.idle, func() { _ = o.file.Close() })
	}
}

// secrets are the variables that may contain secrets of echocast. A name that ends in * is
// a prefix.
var secrets = []string{
	"TAVUS_API_KEY", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "LIVEKIT_TOKEN",
	"ECHOCAST_ROOM_KEY", "ECHOCAST_ICE_*",
}

// Environ returns this process's environment without echocast's secrets, plus the extra
// variables ("NAME=value"). It keeps the keys of other services, such as a speech service,
// because the user's commands need them.
func Environ(extra ...string) []string {
	kept := slices.DeleteFunc(os.Environ(), func(variable string) bool { return named(variable, secrets) })
	return append(kept, extra...)
}

// harmless are the variables that programs need to find their files, the display
// and the network.
var harmless = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TMP", "TEMP",
	"DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_*", "DBUS_SESSION_BUS_ADDRESS", "PULSE_*",
	"LD_LIBRARY_PATH", "DYLD_*", "FONTCONFIG_*", "CHROME_*", "CHROMIUM_FLAGS",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
	"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA",
	"PROGRAMFILES*", "PROGRAMDATA", "COMMONPROGRAMFILES*",
}

// MinimalEnviron returns only the variables of this process's environment that any program
// needs, plus the extra ones ("NAME=value"). It is for programs that read untrusted data:
// browsers and decoders.
func MinimalEnviron(extra ...string) []string {
	kept := slices.DeleteFunc(os.Environ(), func(variable string) bool { return !named(variable, harmless) })
	return append(kept, extra...)
}

// named reports whether a variable ("NAME=value") has one of these names. It ignores case,
// because Windows does, and because proxy variables are written in both cases.
func named(variable string, names []string) bool {
	name, _, _ := strings.Cut(variable, "=")
	name = strings.ToUpper(name)
	return slices.ContainsFunc(names, func(pattern string) bool {
		start, isPrefix := strings.CutSuffix(pattern, "*")
		return name == pattern || isPrefix && strings.HasPrefix(name, start)
	})
}
