package cli

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"echocast/internal/collector"
	"echocast/internal/handover"
	"echocast/internal/shutdown"
	"echocast/room"
)

// defaultGOGC is the percentage by which the heap may grow before the garbage collector runs,
// unless the environment sets GOGC. The heap is a few buffers: 25 needs one megabyte less and,
// with zaf/resample and MP3, a fifth more time; Go's own 100 needs two megabytes more.
const defaultGOGC = 50

// Main is the program: streams, signals and the exit code. server is nil in a
// program without the big libraries.
func Main(server *Server) int {
	collector.SetDefault(defaultGOGC)
	streams := Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	people := linesTo(&streams)
	ctx, stop := shutdown.WithSignals(context.Background())
	err := runApp(ctx, os.Args, streams, server)
	if needs, ok := errors.AsType[needsServerError](err); ok {
		stop()
		err = becomeServer(needs)
	}
	return report(err, people) // signals are still caught, so none of them changes the exit code
}

// serverProgram is the program with the big libraries. They double its size and the time it
// takes to start.
const serverProgram = "echocast-server"

// serverSchemes are the schemes of the rooms that only serverProgram joins.
var serverSchemes = []string{"livekit+ws", "livekit+wss"}

// needsServerError says that a command needs serverProgram.
type needsServerError struct{ what string }

func (e needsServerError) Error() string {
	return e.what + " the program " + serverProgram + " beside echocast; make build makes both"
}

// checkServer refuses an address that only serverProgram can join, before the command begins.
func checkServer(c *cli.Context) error {
	_, err := room.Lookup(c.String("to"))
	if unknown, ok := errors.AsType[*room.UnknownSchemeError](err); ok && slices.Contains(serverSchemes, unknown.Scheme) {
		return needsServerError{livekitNeeds}
	}
	return nil
}

const livekitNeeds = "LiveKit rooms need"

// becomeServer replaces this program with serverProgram, with the same arguments. If it is not
// found, it returns why.
func becomeServer(why error) error {
	path, err := handover.Find(serverProgram)
	if err != nil {
		return why
	}
	return handover.Become(path)
}
