package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/cluster/sharing"
	"echocast/gateway/token"
	"echocast/internal/certfile"
	"echocast/internal/logline"
	"echocast/internal/option"
	"echocast/internal/redact"
	"echocast/internal/roomoption"
	"echocast/internal/secretfile"
	"echocast/internal/shutdown"
	"echocast/logs"
	"echocast/room"
	"echocast/tavus"
)

// ServeOptions are the options of the command serve.
type ServeOptions struct {
	Rehearse         bool
	Client           *tavus.Client // nil without an API key
	Backend          func(address string) (room.Backend, error)
	OpenAI           string // address of the service
	FFmpeg           string // program; empty: none
	Insecure         bool   // LiveKit rooms without TLS
	MaxConversations int
	MaxPerToken      int // conversations; 0: no limit
	MaxLateness      time.Duration
	Drain            time.Duration
	Tokens           *token.File // nil: everybody on this machine may do everything
	AllowOrigins     []string
	BotHosts         []string         // hosts that may be called
	Certificate      *certfile.File   // nil: there is no TLS
	Reload           <-chan os.Signal // gets a signal when Tokens and Certificate should be read again
	Cluster          sharing.Options
	Log              *slog.Logger
	OTLP             string // URL of a collector of traces; empty: the one in the environment, if any
}

// serveCmd is the serve command.
type serveCmd struct {
	streams  Streams
	target   targetOptions
	listen   string
	serving  roomoption.Peer // certificate and key
	tokens   string          // file
	logsJSON bool
	options  ServeOptions
	quiet    bool
	noFFmpeg bool
}

func serveCommand(streams Streams, server *Server) *cli.Command {
	s := &serveCmd{streams: streams}
	return &cli.Command{
		Name:  "serve",
		Usage: "run the gateway, an HTTP API for many conversations at a time",
		UsageText: `echocast serve [OPTIONS]

   echocast serve --rehearse
   curl -d '{"to":"rehearsal"}' http://127.0.0.1:8880/v1/conversations
   curl -T speech.wav http://127.0.0.1:8880/v1/conversations/ID/speech`,
		Description: `A program creates a conversation in any room, sends audio, and gets the receipt and the
events of the room. docs/gateway.md describes the requests. A conversation that it
creates with a PAL needs TAVUS_API_KEY, and costs money until it is ended. When it
starts, serve ends the conversations that an earlier run left open.

It listens on this machine, where it needs no tokens. On other addresses it needs a
file of tokens and TLS:
  echocast serve --listen 0.0.0.0:8880 --tokens FILE --tls-cert C.pem --tls-key K.pem
Each line of FILE is the SHA-256 of a bearer token, what it may do (create, speak and
listen, separated by commas) and a name for the log. SIGHUP makes echocast read FILE,
the certificate and its key again; if one cannot be read, the earlier one stays in force.

After SIGTERM or Ctrl-C it refuses new requests, finishes utterances for up to --drain,
interrupts and reports the rest, ends the conversations that it created, and exits. A
second signal ends it at once.`,
		Flags: option.Join([]cli.Flag{
			option.New(&s.listen, "listen", "127.0.0.1:8880", "`ADDRESS` to listen on; port 0 takes a free one"),
			option.Bool(&s.options.Rehearse, "rehearse", "speak to stand-in replicas in this process only"),
			option.New(&s.options.MaxConversations, "max-conversations", 100, "hold at most `N` conversations at a time"),
			option.New(&s.options.MaxLateness, "max-lateness", 50*time.Millisecond,
				"refuse conversations while 1 chunk of 100 is sent later than this `TIME`"),
			option.New(&s.tokens, "tokens", "", "require one of the bearer tokens in `FILE` (default: none is needed)"),
			option.New(&s.options.MaxPerToken, "max-per-token", 0, "hold at most `N` conversations of one "+
				"token (default: no limit)"),
			&cli.StringSliceFlag{Name: "allow-origin",
				Usage: "accept requests from pages of `ORIGIN`, such as https://app.example; may be repeated"},
			&cli.StringSliceFlag{Name: "bot-host",
				Usage: "let conversations call voice bots at `HOST`, such as bots.example or 10.0.0.5:9000; may be repeated"},
			option.New(&s.options.OpenAI, "openai-url", "https://api.openai.com/v1", "forward requests below /openai to the "+
				"service with OpenAI's protocols at this `URL`"),
			option.New(&s.options.OTLP, "otlp", "", "send OpenTelemetry traces to the collector at this `URL`, such as "+
				"http://127.0.0.1:4318 (default: OTEL_EXPORTER_OTLP_ENDPOINT, or nowhere)"),
			option.New(&s.options.Drain, "drain", 30*time.Second, "on SIGTERM or Ctrl-C, let utterances continue "+
				"for this `TIME`"),
			option.Bool(&s.noFFmpeg, "no-ffmpeg", "refuse formats that only ffmpeg can decode"),
			option.Quiet(&s.quiet),
		}, s.options.Cluster.Flags(), s.serving.CertificateFlags(), s.target.create.service.Flags(),
			s.target.daily.Flags(), s.target.peer.DialFlags()),
		Action: func(c *cli.Context) error { return s.act(c, server) },
	}
}

func (s *serveCmd) act(c *cli.Context, server *Server) error {
	if err := option.NoInputs(c); err != nil {
		return err
	}
	if server == nil || server.Serve == nil {
		return needsServerError{"the command serve needs"}
	}
	s.options.AllowOrigins, s.options.BotHosts = c.StringSlice("allow-origin"), c.StringSlice("bot-host")
	s.logsJSON = c.String("log-format") == logline.JSON
	return s.run(c.Context, server)
}

func (s *serveCmd) check() (err error) {
	switch {
	case s.options.MaxConversations < 1:
		return usagef("--max-conversations must be at least 1")
	case s.options.Drain <= 0:
		return usagef("--drain must be more than 0")
	case s.options.MaxLateness <= 0:
		return usagef("--max-lateness must be more than 0")
	case s.options.MaxPerToken < 0:
		return usagef("--max-per-token must not be negative")
	case s.options.MaxPerToken > 0 && s.tokens == "":
		return usagef("--max-per-token needs --tokens FILE")
	}
	if err := s.options.Cluster.Check(); err != nil {
		return err
	}
	for _, origin := range s.options.AllowOrigins {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin {
			return usagef("--allow-origin %s: it must be SCHEME://HOST, such as https://app.example", origin)
		}
	}
	u, err := url.Parse(s.options.OTLP)
	if s.options.OTLP != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return usagef("--otlp %s: it must be a URL such as http://127.0.0.1:4318", s.options.OTLP)
	}
	for _, host := range s.options.BotHosts {
		if strings.ContainsAny(host, "/@") || host == "*" {
			return usagef("--bot-host %s: it must be HOST, HOST:PORT or *.DOMAIN, such as bots.example", host)
		}
	}
	if _, err := s.target.peer.Options(s.streams.Warn); err != nil {
		return err
	}
	if s.tokens != "" {
		if secretfile.IsPublic(s.tokens) {
			option.WarnPublic(s.streams.Warn, s.tokens)
		}
		if s.options.Tokens, err = token.Open(s.tokens); err != nil {
			return usagef("--tokens %s: %v", s.tokens, plain(err))
		}
	}
	if s.target.create.service.HasKey() && !s.options.Rehearse {
		s.options.Client, err = s.target.create.service.Client(s.streams.Warn)
	}
	return err
}

func (s *serveCmd) run(ctx context.Context, server *Server) error {
	s.target.readyTimeout = 30 * time.Second
	if err := s.check(); err != nil {
		return err
	}
	if _, err := exec.LookPath("ffmpeg"); err == nil && !s.noFFmpeg {
		s.options.FFmpeg = "ffmpeg"
	}
	s.options.Insecure = s.target.peer.Insecure
	s.options.Backend = func(address string) (room.Backend, error) { return s.target.backend(address, s.streams.Warn) }
	log := &logline.ServiceOptions{Lines: s.streams.Err, Prefix: "echocast: ", Hide: redact.Hide, Quiet: s.quiet}
	if s.logsJSON {
		log.Records = logs.From(ctx)
	}
	s.options.Log = logline.NewService(log)
	listener, url, err := s.open()
	if err != nil {
		return err
	}
	if s.options.Tokens != nil || s.options.Certificate != nil {
		hangup := make(chan os.Signal, 1)
		signal.Reset(syscall.SIGHUP) // otherwise it would end this command
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
		s.options.Reload = hangup
	}
	token := ""
	if s.options.Tokens != nil {
		token = `-H "Authorization: Bearer TOKEN" `
	}
	if !s.quiet { // from here on signals do what the help says
		s.streams.Warn(`the gateway listens; see it at %s/, or create a conversation: `+
			`curl %s-d '{"to":"rehearsal"}' %s/v1/conversations`, url, token, url)
	}
	shutdown.Extend(s.options.Drain)
	err = server.Serve(ctx, listener, &s.options)
	_ = listener.Close() // it is closed already
	if _, ok := errors.AsType[shutdown.SignalError](err); ok {
		err = nil // a signal is the normal end
	}
	return err
}

// open listens, and returns the address. It refuses an address that other machines reach, if it
// has no tokens or no TLS.
func (s *serveCmd) open() (listener net.Listener, url string, err error) {
	host, _, err := net.SplitHostPort(s.listen)
	if err != nil {
		return nil, "", listenError("--listen", s.listen, err)
	}
	certificate, err := s.serving.Certificate(s.streams.Warn)
	if err != nil {
		return nil, "", err
	}
	ip := net.ParseIP(host)
	isLocal := host == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case s.options.Cluster.NATS != "" && s.options.Cluster.Advertise == "" && ip != nil && ip.IsUnspecified():
		return nil, "", usagef("--listen %s: --nats needs --advertise URL, at which other nodes reach this one", s.listen)
	case isLocal:
	case s.options.Tokens == nil:
		return nil, "", usagef("--listen %s: other machines reach this address, so it needs --tokens FILE", s.listen)
	case certificate == nil && !s.target.peer.Insecure:
		return nil, "", usagef("--listen %s: tokens and speech would be sent in clear; give --tls-cert and --tls-key, "+
			"or --insecure behind a proxy that has them", s.listen)
	}
	listener, err = net.Listen("tcp", s.listen)
	if err != nil {
		return nil, "", listenError("--listen", s.listen, err)
	}
	scheme := "http"
	if certificate != nil {
		s.options.Certificate = certificate
		config := certificate.Config()
		config.NextProtos = []string{"http/1.1"} // WebSockets need it
		scheme, listener = "https", tls.NewListener(listener, config)
	}
	url = scheme + "://" + listener.Addr().String()
	if s.options.Cluster.Advertise == "" {
		s.options.Cluster.Advertise = url
	}
	return listener, url, nil
}

// listenError reports an address of an option on which echocast cannot listen.
func listenError(name, address string, err error) error {
	host, _, _ := strings.Cut(address, "/")
	if _, _, malformed := net.SplitHostPort(host); malformed != nil {
		return usagef("%s %s: it must be HOST:PORT, such as 127.0.0.1:8870", name, address)
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return usagef("%s %s: another program uses this port; name another port, or 0 for a free one", name, address)
	}
	if inner, ok := errors.AsType[*net.OpError](err); ok {
		err = inner.Err
	}
	return usagef("%s %s: %v", name, address, err)
}
