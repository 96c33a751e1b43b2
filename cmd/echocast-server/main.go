// Echocast-server is echocast with everything that needs big libraries: LiveKit rooms,
// and the server of the Model Context Protocol.
//
// LiveKit's library alone brings some fifty modules, and makes the program twice as
// large and five times as slow to start. So echocast does without, and runs this
// program in its place where the address of a room needs it.
package main

import (
	"context"
	"io"
	"os"

	"echocast/cli"
	"echocast/echo"
	"echocast/mcp"
	_ "echocast/room/livekit"
)

func main() { os.Exit(cli.Main(&cli.Server{MCP: serveMCP})) }

func serveMCP(ctx context.Context, session *echo.Session, version string, in io.ReadCloser, out io.WriteCloser) error {
	server := mcp.New(session, version)
	err := server.Serve(ctx, in, out)
	_ = server.Close() // never fails
	return err
}
