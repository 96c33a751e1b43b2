// Echocast-server is echocast with everything that needs big libraries: now
// LiveKit rooms.
//
// LiveKit's library brings some fifty modules, and makes the program twice as
// large and five times as slow to start. So echocast does without, and runs this
// program in its place where the address of a room needs it.
package main

import (
	"os"

	"echocast/cli"
	_ "echocast/room/livekit"
)

func main() { os.Exit(cli.Main()) }
