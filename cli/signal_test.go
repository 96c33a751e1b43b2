package cli

import (
	"bytes"
	"context"
	"strings"
	"syscall"
	"testing"

	"echocast/internal/shutdown"
	"echocast/internal/testwait"
	"echocast/replica"
)

// A signal ends the commands that run without an end, at any stage, and is not an error.
func TestSignalsEndCommandsWithoutError(t *testing.T) {
	for line, arguments := range map[string][]string{
		"listening\n":             {"listen"},
		"listening to the user\n": {"converse", "--on-utterance", "cat", "--tts", "cat"},
		"hearing the user\n":      {"hear"},
		"the replica listens; ":   {"replica", "--listen", "127.0.0.1:0"},
	} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
			for _, at := range []string{line, ""} { // there, or at once
				if code, stderr := signalledAt(t, at, sig, arguments); code != 0 || strings.Contains(stderr, "interrupted") {
					t.Errorf("%s, %v at %q: code %d, %s", arguments[0], sig, at, code, stderr)
				}
			}
		}
	}
}

// signalledAt runs a command and signals it once it prints the line, or before it has begun.
func signalledAt(t *testing.T, line string, sig syscall.Signal, arguments []string) (code int, said string) {
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	defer cancel(nil)
	serving, stop := context.WithCancel(testwait.Context(t))
	url, ended := "http://127.0.0.1:1", func() replica.Report { return replica.Report{} }
	if line == "" {
		cancel(shutdown.SignalError{Signal: sig})
	} else if arguments[0] != "replica" {
		url, ended = scripted(serving, t, replica.Options{})
	}
	all := append([]string{"echocast"}, arguments...)
	if arguments[0] != "replica" {
		all = append(all, "--to", url)
	}
	var stderr bytes.Buffer
	people := writerFunc(func(p []byte) (int, error) {
		if line != "" && bytes.Contains(p, []byte(line)) {
			cancel(shutdown.SignalError{Signal: sig})
		}
		return stderr.Write(p)
	})
	code = Run(ctx, all, Streams{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: people})
	stop()
	ended()
	return code, stderr.String()
}
