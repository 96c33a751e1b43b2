// Package shutdown ends a process on signals: first gracefully, then at once.
package shutdown

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"echocast/internal/child"
)

// SignalError is the cause of a context ended by a signal.
type SignalError struct{ Signal syscall.Signal }

// Error names the signal.
func (e SignalError) Error() string {
	if e.Signal == syscall.SIGINT {
		return "interrupted"
	}
	return "ended by signal: " + e.Signal.String()
}

// Timeout is how long a run may take to end after a signal. An interrupt of the replica
// takes at most 2 s, and closing the connection at most 2 s.
const Timeout = 5 * time.Second

// extension is added to Timeout for this run.
var extension atomic.Int64

// Extend sets how much longer than Timeout this run may take to end.
func Extend(d time.Duration) { extension.Store(int64(d)) }

// WithSignals returns a context that ends on SIGINT, SIGTERM or SIGHUP. Its cause is then a
// SignalError. A terminal sends SIGHUP when it is closed; under nohup it is ignored. After
// a second signal, or if the run does not end within Timeout, the process ends at once,
// with the exit code 128 plus the signal's number. A broken pipe on stdout causes a write
// error instead of a signal. stop stops the handling of signals.
func WithSignals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	stopCatching := child.CatchSIGPIPE()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case got := <-signals:
			cause := SignalError{got.(syscall.Signal)}
			cancel(cause)
			exitAtOnce(signals, done, cause)
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		stopCatching()
		close(done)
		<-ended
		cancel(nil)
	}
}

// signalDebounce is the time within which two signals count as one. A shell or timeout(1)
// signals a process and then its group.
const signalDebounce = 100 * time.Millisecond

func exitAtOnce(signals <-chan os.Signal, done <-chan struct{}, cause SignalError) {
	first, timeout := time.Now(), time.After(Timeout+time.Duration(extension.Load()))
	for {
		select {
		case <-signals:
			if time.Since(first) < signalDebounce {
				continue
			}
		case <-timeout:
		case <-done:
			return
		}
		Cleanup()
		os.Exit(128 + int(cause.Signal))
	}
}

// cleanups are functions to call even if the process ends at once.
var cleanups struct {
	sync.Mutex
	all []*func()
}

// AtExit registers a function to call if the process ends at once. cancel removes it.
func AtExit(cleanup func()) (cancel func()) {
	cleanups.Lock()
	defer cleanups.Unlock()
	cleanups.all = append(cleanups.all, &cleanup)
	return func() {
		cleanups.Lock()
		defer cleanups.Unlock()
		cleanups.all = slices.DeleteFunc(cleanups.all, func(other *func()) bool { return other == &cleanup })
	}
}

// Cleanup calls the registered functions. Call it before the process crashes or exits.
func Cleanup() {
	cleanups.Lock()
	all := slices.Clone(cleanups.all)
	cleanups.Unlock()
	for _, cleanup := range all {
		(*cleanup)()
	}
}

// Cause returns the cause of ctx if ctx has ended, because err is then only a consequence,
// such as a closed input. Otherwise it returns err.
func Cause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
