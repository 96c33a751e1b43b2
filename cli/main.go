package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"echocast/echo"
)

// thrift lets the collector run when a half is added to what is in use, where
// the user did not say otherwise with GOGC. What is in use is a few buffers: a
// quarter takes one megabyte less and, with zaf/resample and MP3, a fifth
// longer; the usual doubling takes two more.
const thrift = 50

// Main is the program: streams, signals and the exit code.
func Main() int {
	collect(thrift)
	streams := Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	if LiveKit == nil && namesLiveKit(os.Args[1:]) {
		return runLiveKit(streams)
	}
	ctx, stop := WithSignals(context.Background())
	defer stop()
	return Run(ctx, os.Args, streams)
}

// LiveKitRooms is what a program with LiveKit can do.
type LiveKitRooms struct {
	// Join joins the room at an address. Its stage has the method Hear of ears.
	Join func(ctx context.Context, address string, as LiveKitRole) (stage echo.Stage, leave func() error, err error)
	// Invite makes a token that lets that avatar into the room, to be given
	// to the service that runs it with the URL of the server.
	Invite func(address, avatar string) (url, token string, err error)
}

// LiveKitRole is what one wants in a LiveKit room.
type LiveKitRole struct {
	Avatar string // the identity to speak through; empty: Tavus's
	Hear   bool   // be one more participant beside a sender, to hear the room
	Users  bool   // be told when people speak
}

// LiveKit is set by the program that has it: see livekitProgram.
var LiveKit *LiveKitRooms

// Refuse is an error of the command line, for LiveKit.
func Refuse(format string, args ...any) error { return usagef(format, args...) }

func isLiveKit(address string) bool { return strings.HasPrefix(address, livekitScheme) }

func needsLiveKit(address string) error {
	return usagef("--to %s: LiveKit rooms need the program %s", address, livekitProgram)
}

// livekitScheme begins the address of a LiveKit room.
const livekitScheme = "livekit+"

// livekitProgram is the program that has LiveKit.
const livekitProgram = "echocast-livekit"

// namesLiveKit reports whether a LiveKit room is among the arguments, as the
// value of an option.
func namesLiveKit(args []string) bool {
	for i, arg := range args {
		if _, value, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(value, livekitScheme) && arg[0] == '-' {
			return true
		}
		if strings.HasPrefix(arg, livekitScheme) && i > 0 && strings.HasPrefix(args[i-1], "-") {
			return true
		}
	}
	return false
}

// runLiveKit runs, in place of this program, the one that has LiveKit. It is
// beside this one, or in the PATH.
func runLiveKit(streams Streams) int {
	path, err := findLiveKit()
	if err != nil {
		fmt.Fprintf(streams.Err, "echocast: LiveKit rooms need the program %s beside echocast; make build makes both\n", livekitProgram)
		return exitUsage
	}
	if err := become(path, os.Args); err != nil {
		fmt.Fprintf(streams.Err, "echocast: %s: %v\n", path, plain(err))
	}
	return exitFailure
}

func findLiveKit() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), livekitProgram)
		if path, err := exec.LookPath(beside); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(livekitProgram)
}
