// Echocast-server is echocast plus everything that needs large libraries: LiveKit rooms,
// WebSockets, the server of the Model Context Protocol, and the gateway.
//
// LiveKit's library brings about fifty modules. It makes the program twice as large and its
// start five times as slow. So echocast is built without it, and runs this program instead
// if the address of a room needs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"echocast/cli"
	"echocast/echo"
	"echocast/gateway"
	"echocast/gateway/otlp"
	"echocast/mcp"
	"echocast/replica"
	"echocast/replica/join"
	_ "echocast/room/livekit"
	"echocast/rtc/livekit"
)

func main() {
	os.Exit(cli.Main(&cli.Server{MCP: serveMCP, Serve: serveGateway, Bridge: bridge, Join: joinRoom}))
}

func serveMCP(ctx context.Context, session *echo.Session, version string, in io.ReadCloser, out io.WriteCloser) error {
	server := mcp.New(session, version)
	err := server.Serve(ctx, in, out)
	_ = server.Close() // never fails
	return err
}

func serveGateway(ctx context.Context, listener net.Listener, o *cli.ServeOptions) error {
	options := &gateway.Options{
		Rehearse: o.Rehearse, Client: o.Client, Backend: o.Backend, Insecure: o.Insecure, OpenAI: o.OpenAI,
		FFmpeg:           o.FFmpeg,
		MaxConversations: o.MaxConversations, MaxLateness: o.MaxLateness, MaxPerToken: o.MaxPerToken, Drain: o.Drain,
		BotHosts: o.BotHosts, TwilioAuthToken: os.Getenv("TWILIO_AUTH_TOKEN"),
		Tokens: o.Tokens, Certificate: o.Certificate, AllowOrigins: o.AllowOrigins, Reload: o.Reload, Log: o.Log,
	}
	if o.Cluster.NATS != "" {
		c, err := openCluster(ctx, o)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }() // never fails
		options.Cluster = shared{c}
	}
	if !otlp.IsAsked(o.OTLP) {
		return gateway.Serve(ctx, listener, options)
	}
	warn := func(err error) { o.Log.Warn("spans were not sent", "error", err) }
	tracer, err := otlp.Open(ctx, &otlp.Options{URL: o.OTLP, Version: cli.Version, Warn: warn})
	if err != nil {
		return err
	}
	options.Tracer = tracer
	err = gateway.Serve(ctx, listener, options)
	if failed := tracer.Close(); failed != nil {
		warn(failed)
	}
	return err
}

// joinRoom makes a stand-in replica join a LiveKit room.
func joinRoom(ctx context.Context, g *cli.Guest) (replica.Report, error) {
	o := join.Options(*g)
	report, err := join.Run(ctx, &o)
	if errors.Is(err, livekit.ErrLost) {
		err = fmt.Errorf("%w: %w", echo.ErrLost, err)
	}
	return report, err
}
