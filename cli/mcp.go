package cli

import (
	"context"
	"io"
	"net"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/internal/option"
	"echocast/internal/terminal"
	"echocast/replica"
)

// Server has the functions that need big libraries, which only echocast-server has. If Server,
// or a function in it, is nil, the command runs echocast-server.
type Server struct {
	// MCP serves the Model Context Protocol over in and out, and makes session
	// speak as the agent at the other end asks, until in ends.
	MCP func(ctx context.Context, session *echo.Session, version string, in io.ReadCloser, out io.WriteCloser) error
	// Serve serves many conversations on listener, until ctx ends.
	Serve func(ctx context.Context, listener net.Listener, options *ServeOptions) error
	// Bridge holds a conversation until one side ends it, or until ctx ends; then it returns
	// the cause of ctx.
	Bridge func(ctx context.Context, b Bridge) error
	// Join lets a stand-in replica join a room until ctx ends, and returns the cause of ctx.
	Join func(ctx context.Context, g *Guest) (replica.Report, error)
}

func mcpCommand(streams Streams, server *Server) *cli.Command {
	m := &messageCmd{streams: streams}
	return &cli.Command{
		Name:      "mcp",
		Usage:     "let an agent make a replica speak, as a server of the Model Context Protocol",
		UsageText: "echocast mcp --to URL\n\n   claude mcp add replica -- echocast mcp --to URL",
		Description: `The agent starts this command, and talks to it over its standard input and output.
Its tools are speak (an audio file), say (a text), interrupt, listen (the events of
the room) and heard (the receipts). It ends when the agent closes standard input.`,
		Flags: m.flags(),
		Action: func(c *cli.Context) error {
			if err := option.NoInputs(c); err != nil {
				return err
			}
			if server == nil || server.MCP == nil {
				return needsServerError{"the command mcp needs"}
			}
			return serveMCP(c.Context, m, server)
		},
	}
}

func serveMCP(ctx context.Context, m *messageCmd, server *Server) error {
	if err := m.check(); err != nil {
		return err
	}
	out := m.settings.newReporter(m.streams)
	target, err := m.join(ctx, out)
	if err != nil {
		return err
	}
	return target.talk(ctx, &echo.Options{}, out, func(session *echo.Session) error {
		in, restore := terminal.ReadUntil(ctx, m.streams.In)
		defer restore()
		return server.MCP(ctx, session, Version, io.NopCloser(in), nopCloser{m.streams.Out})
	})
}

// nopCloser is a stream with a Close that does nothing.
type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
