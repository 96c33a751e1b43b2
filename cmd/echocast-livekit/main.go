// Echocast-livekit is echocast with LiveKit rooms.
//
// LiveKit's library brings some fifty modules and doubles the size of the
// program, and what it costs to start. So echocast does without, and runs this
// one in its place where the address of a LiveKit room is among its arguments.
package main

import (
	"os"

	"echocast/cli"
	"echocast/internal/livekitrooms"
)

func main() {
	cli.LiveKit = livekitrooms.Rooms()
	os.Exit(cli.Main())
}
