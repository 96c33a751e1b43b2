package converse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"echocast/internal/child"
)

// CommandError reports a user's command that failed.
type CommandError struct {
	Command string // "on-utterance", "tts" or "recogniser"
	Err     error
}

// Error names the command.
func (e *CommandError) Error() string { return fmt.Sprintf("the %s command %v", e.Command, e.Err) }

// Unwrap returns the cause.
func (e *CommandError) Unwrap() error { return e.Err }

const (
	slowAfter    = 10 * time.Second // a command that prints nothing this long is reported
	exitTimeout  = 5 * time.Second  // how long a command may take to exit after its output ended
	maxReplyKept = 64 << 10         // bytes of an answer that are shown
)

// output reads the output of a command. Its last read returns an error if the command
// failed or printed nothing for too long.
type output struct {
	name    string // of the command
	process *child.Process
	timeout time.Duration
	slow    func(reason string)
	// idleSince returns the time since which the command should have printed something,
	// given the start of the wait; false: the command has nothing to do.
	idleSince func(waiting time.Time) (time.Time, bool)

	mu        sync.Mutex
	isSlow    bool // its slowness was reported
	isExpired bool
}

func (o *output) Read(p []byte) (int, error) {
	stop := o.watch()
	n, err := o.process.Stdout.Read(p)
	stop()
	if err != nil {
		if failed := o.failure(); failed != nil {
			err = failed
		}
	}
	return n, err
}

// failure waits for the command to exit, and returns its error. It is called when the
// output has ended. If the command does not exit by exitTimeout, it has not failed.
func (o *output) failure() error {
	isLate, err := o.process.WaitFor(exitTimeout)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.isExpired:
		return &CommandError{o.name, fmt.Errorf("printed nothing for %v and was killed", o.timeout)}
	case err != nil && !isLate:
		return &CommandError{o.name, fmt.Errorf("failed: %w", err)}
	}
	return nil
}

// watch reports a slow command, and kills one that prints nothing for longer than the
// timeout, until stop is called.
func (o *output) watch() (stop func()) {
	began, stopped := time.Now(), false
	var timer *time.Timer
	check := func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if stopped {
			return
		}
		since, isBusy := began, true
		if o.idleSince != nil {
			since, isBusy = o.idleSince(began)
		}
		silent := time.Since(since)
		switch {
		case !isBusy:
			silent = 0
		case silent >= o.timeout:
			o.isExpired = true
			o.process.Kill()
			return
		case silent >= slowAfter && !o.isSlow:
			o.isSlow = true
			o.slow(fmt.Sprintf("the %s command has printed nothing for %v", o.name, silent.Round(time.Second)))
		}
		next := o.timeout - silent
		if silent < slowAfter {
			next = min(next, slowAfter-silent)
		}
		timer.Reset(next)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	timer = time.AfterFunc(min(slowAfter, o.timeout), check)
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		stopped = true
		timer.Stop()
	}
}

// reply reads the text of an answer: the output of the command, or the fallback if the
// command fails without output.
type reply struct {
	output   *output // nil if the text is given
	given    io.Reader
	fallback string

	mu       sync.Mutex
	kept     bytes.Buffer
	last     time.Time // when text came last
	hasEnded bool
	failed   error // the command's error
}

// newReply returns a reply with a given text.
func newReply(text string) *reply { return &reply{given: strings.NewReader(text + "\n")} }

func (r *reply) Read(p []byte) (int, error) {
	source := r.given
	if source == nil {
		source = r.output
	}
	n, err := source.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept.Write(p[:min(n, maxReplyKept-r.kept.Len())])
	if n > 0 {
		r.last = time.Now()
	}
	if err == nil {
		return n, nil
	}
	if failed, ok := errors.AsType[*CommandError](err); ok {
		r.failed = failed
	}
	if r.failed != nil && r.given == nil && r.fallback != "" && len(bytes.TrimSpace(r.kept.Bytes())) == 0 {
		r.given = strings.NewReader(r.fallback + "\n")
		return n, nil
	}
	r.hasEnded, r.last = true, time.Now()
	return n, io.EOF // what was printed before it failed is spoken
}

// text returns the reply so far, in one line.
func (r *reply) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(strings.Fields(r.kept.String()), " ")
}

// pendingSince returns the time since which text has waited for audio: the latest of its
// arrival, the last audio and the end of the text. false: no text waits.
func (r *reply) pendingSince(waiting, lastAudio time.Time) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	since := waiting
	if r.last.After(since) {
		since = r.last
	}
	return since, r.hasEnded || r.last.After(lastAudio)
}

// failure returns the error of the command so far.
func (r *reply) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// close waits for the OnUtterance command, or ends it, and returns its error. A command that
// still prints gets SIGPIPE, as in a shell pipeline.
func (r *reply) close(isAbandoned bool) error {
	if r.output == nil {
		return nil
	}
	process := r.output.process
	if isAbandoned {
		process.Kill()
	}
	_ = process.Stdout.Close() // it was only read
	isLate, err := process.WaitFor(exitTimeout)
	r.mu.Lock()
	defer r.mu.Unlock()
	_, exited := errors.AsType[*exec.ExitError](err)
	switch {
	case r.failed != nil:
		return r.failed
	case err == nil, isAbandoned, isLate, exited && isBrokenPipe(err), !r.hasEnded && exited:
		return nil
	}
	return &CommandError{r.output.name, fmt.Errorf("failed: %w", err)}
}

// isBrokenPipe reports whether a command ended because its output was closed.
func isBrokenPipe(err error) bool { return strings.Contains(err.Error(), "broken pipe") }
