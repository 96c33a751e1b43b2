package cli

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/internal/shutdown"
	"echocast/room"
	"echocast/tavus"
)

// ServeOptions are what the command serve was asked for.
type ServeOptions struct {
	Rehearse         bool
	Client           *tavus.Client // nil without an API key
	Backend          func(address string) (room.Backend, error)
	Insecure         bool // LiveKit rooms without TLS
	MaxConversations int
	Drain            time.Duration
}

// serveCmd is the serve command.
type serveCmd struct {
	streams Streams
	target  targetOptions
	listen  string
	options ServeOptions
	quiet   bool
}

func serveCommand(streams Streams, server *Server) *cli.Command {
	s := &serveCmd{streams: streams}
	return &cli.Command{
		Name:  "serve",
		Usage: "hold many conversations, and let programs speak in them by HTTP",
		UsageText: `echocast serve [OPTIONS]

   echocast serve --rehearse
   curl -d '{"to":"rehearsal"}' http://127.0.0.1:8880/v1/conversations
   curl -T speech.wav http://127.0.0.1:8880/v1/conversations/ID/speech`,
		Description: `A program creates a conversation in any room, sends audio, and gets the receipt and the
events of the room. docs/gateway.md describes the requests. A conversation of its own
with a PAL needs TAVUS_API_KEY, and costs money until it is ended; what an earlier run
left open is ended at the start.

SIGTERM or Ctrl-C ends it: it takes nothing new, finishes the utterances that it has
within --drain, interrupts and reports the rest, and ends what it created. A second
signal ends it at once.`,
		Flags: joined([]cli.Flag{
			option(&s.listen, "listen", "127.0.0.1:8880", "`ADDRESS` to listen on; port 0 takes a free one"),
			boolOption(&s.options.Rehearse, "rehearse", "speak to stand-in replicas in this process only"),
			option(&s.options.MaxConversations, "max-conversations", 100, "hold at most `N` conversations at a time"),
			option(&s.options.Drain, "drain", 30*time.Second, "when it is told to end, let utterances go on for this `TIME`"),
			boolOption(&s.quiet, "quiet, q", "say nothing but warnings and errors"),
		}, s.target.create.service.flags(), s.target.daily.flags(), s.target.peer.dialFlags()),
		Action: func(c *cli.Context) error {
			if err := noInputs(c); err != nil {
				return err
			}
			if server == nil || server.Serve == nil {
				return needsServerError{"the command serve needs"}
			}
			return s.run(c.Context, server)
		},
	}
}

func (s *serveCmd) check() (err error) {
	switch {
	case s.options.MaxConversations < 1:
		return usagef("--max-conversations must be at least 1")
	case s.options.Drain <= 0:
		return usagef("--drain must be more than 0")
	}
	if _, err := s.target.peer.options(s.warn); err != nil {
		return err
	}
	if s.target.create.service.hasKey() && !s.options.Rehearse {
		s.options.Client, err = s.target.create.service.client(s.warn)
	}
	return err
}

func (s *serveCmd) run(ctx context.Context, server *Server) error {
	s.target.readyTimeout = 30 * time.Second
	if err := s.check(); err != nil {
		return err
	}
	s.options.Insecure = s.target.peer.insecure
	s.options.Backend = func(address string) (room.Backend, error) { return s.target.backend(address, s.warn) }
	listener, err := listenLocally(s.listen)
	if err != nil {
		return err
	}
	shutdown.Extend(s.options.Drain)
	if !s.quiet {
		s.warn(`the gateway listens; create a conversation: curl -d '{"to":"rehearsal"}' http://%s/v1/conversations`,
			listener.Addr())
	}
	err = server.Serve(ctx, listener, &s.options)
	_ = listener.Close() // it is closed
	if _, ok := errors.AsType[shutdown.SignalError](err); ok {
		err = nil // a signal is how it ends
	}
	return err
}

// listenLocally listens on an address of this machine alone.
func listenLocally(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usagef("--listen %s: it must be HOST:PORT, such as 127.0.0.1:8880", address)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, usagef("--listen %s: it must be an address of this machine alone, such as 127.0.0.1:8880", address)
	}
	return net.Listen("tcp", address)
}

func (s *serveCmd) warn(format string, args ...any) {
	(&serviceCmd{streams: s.streams}).warn(format, args...)
}
