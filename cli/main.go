package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"echocast/room"
)

// defaultGOGC is the garbage, in percent of what is in use, at which the
// collector runs, unless the environment's GOGC overrides it. What is in use is
// a few buffers: 25 takes one megabyte less and, with zaf/resample and MP3, a
// fifth longer; Go's own 100 takes two more.
const defaultGOGC = 50

// Main is the program: streams, signals and the exit code.
func Main() int {
	collect(defaultGOGC)
	streams := Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	ctx, stop := WithSignals(context.Background())
	err := runApp(ctx, os.Args, streams)
	stop()
	if _, ok := errors.AsType[needsServerError](err); ok {
		err = becomeServer()
	}
	return report(err, streams.Err)
}

// serverProgram is the program with the libraries that echocast does without:
// they double its size, and what it costs to start.
const serverProgram = "echocast-server"

// serverSchemes are the schemes of the rooms that only serverProgram joins.
var serverSchemes = []string{"livekit+ws", "livekit+wss"}

// needsServerError says that a command needs serverProgram.
type needsServerError struct{}

func (needsServerError) Error() string {
	return "LiveKit rooms need the program " + serverProgram + " beside echocast; make build makes both"
}

// checkServer refuses an address that only serverProgram can join, before the
// command has begun.
func checkServer(c *cli.Context) error {
	_, err := room.Lookup(c.String("to"))
	if unknown, ok := errors.AsType[*room.UnknownSchemeError](err); ok && slices.Contains(serverSchemes, unknown.Scheme) {
		return needsServerError{}
	}
	return nil
}

// becomeServer runs serverProgram in place of this program, with the same
// arguments. It is beside this one, or in the PATH.
func becomeServer() error {
	path, err := findServer()
	if err != nil {
		return needsServerError{}
	}
	signal.Reset(syscall.SIGPIPE) // it decides for itself
	return fmt.Errorf("%s: %w", path, plain(become(path, os.Args)))
}

func findServer() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), serverProgram)
		if path, err := exec.LookPath(beside); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(serverProgram)
}
