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

// process is a program that is killed and started again with the same arguments, or another
// program in its place.
type process struct {
	name     string
	programs []string // in turn
	args     []string
	env      []string
	log      *os.File
	url      string // answers 200 when the process is ready

	restarts int // after it ended without a signal

	mu      sync.Mutex
	starts  int // so far
	command *exec.Cmd
	gone    chan struct{} // closed when the command has ended
}

// maxRestarts is how often a process may end without a signal.
const maxRestarts = 20

func newProcess(dir, name, url string, programs []string, args ...string) (*process, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	return &process{name: name, programs: programs, args: args, log: log, url: url, env: os.Environ()}, err
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	program := p.programs[p.starts%len(p.programs)]
	p.starts++
	command := exec.Command(program, p.args...) //nolint:gosec // programs of this repository
	command.Stdout, command.Stderr, command.Env = p.log, p.log, p.env
	if err := command.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	p.command, p.gone = command, gone
	go func() {
		_ = command.Wait() // it was killed
		close(gone)
	}()
	return nil
}

func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.command.Process.Signal(s) // it may have ended
}

// kill kills the process, and returns when it has ended.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	p.await()
}

// stop ends the process with SIGTERM, as an operator does.
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

// awaitReady waits until the process is ready. If the process ends, awaitReady restarts it,
// as a supervisor does.
func (p *process) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
		if err != nil {
			return err
		}
		if answer, err := http.DefaultClient.Do(request); err == nil {
			_ = answer.Body.Close() // only the status counts
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

// freeAddress returns an address on this machine that is not in use now. It will be used
// again whenever its process is restarted.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
