// Echocast-livekit is echocast with LiveKit rooms.
//
// LiveKit's library brings some fifty modules and doubles the size of the
// program, and what it costs to start. So echocast does without, and runs this
// one in its place where the address of a LiveKit room is among its arguments.
package main

import (
	"context"
	"os"

	"echocast/cli"
	"echocast/echo"
	"echocast/rtc/livekit"
)

func main() {
	cli.LiveKit = join
	os.Exit(cli.Main())
}

// join joins a LiveKit room with the credentials of the environment.
func join(ctx context.Context, address string) (stage echo.Stage, leave func() error, err error) {
	to, err := livekit.ParseAddress(address)
	if err != nil {
		return nil, nil, cli.Refuse("--to: %v", err)
	}
	with, err := livekit.CredentialsFrom(os.Getenv)
	if err != nil {
		return nil, nil, cli.Refuse("%v", err)
	}
	room, err := livekit.Join(ctx, to, with, nil)
	if err != nil {
		return nil, nil, err
	}
	return room, room.Close, nil
}
