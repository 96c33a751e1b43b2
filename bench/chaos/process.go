//go:build unix

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// process is a program that is killed and started again with the same arguments.
type process struct {
	name string
	args []string
	env  []string
	log  *os.File
	url  string // answers 200 when the process can be used

	restarts int // because it ended of itself

	mu      sync.Mutex
	command *exec.Cmd
	gone    chan struct{} // closed when the command has ended
}

// maxRestarts is how often a process may end of itself in a run.
const maxRestarts = 20

func newProcess(dir, name, url string, args ...string) (*process, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	return &process{name: name, args: args, log: log, url: url, env: os.Environ()}, err
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	command := exec.Command(p.args[0], p.args[1:]...) //nolint:gosec // our own programs
	command.Stdout, command.Stderr, command.Env = p.log, p.log, p.env
	if err := command.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	p.command, p.gone = command, gone
	go func() {
		_ = command.Wait() // it is killed
		close(gone)
	}()
	return nil
}

func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.command.Process.Signal(s) // it may be dead already
}

// kill ends the process at once, and returns when it is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	p.await()
}

// stop ends the process as an operator does.
func (p *process) stop() {
	p.signal(syscall.SIGTERM)
	p.await()
}

func (p *process) await() {
	p.mu.Lock()
	gone := p.gone
	p.mu.Unlock()
	<-gone
}

// isGone reports whether the process has ended.
func (p *process) isGone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// awaitReady waits until the process can be used. One that ends is started again, as a
// supervisor does.
func (p *process) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
		if err != nil {
			return err
		}
		if answer, err := http.DefaultClient.Do(request); err == nil {
			_ = answer.Body.Close() // nothing is read from it
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		if p.isGone() {
			if p.restarts++; p.restarts > maxRestarts {
				return fmt.Errorf("%s ends again and again: see %s", p.name, p.log.Name())
			}
			if err := p.start(); err != nil {
				return err
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s does not get ready: see %s", p.name, p.log.Name())
		}
	}
}

// freeAddress is an address on this machine that nobody uses now. It is needed again
// whenever its process is started again.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
