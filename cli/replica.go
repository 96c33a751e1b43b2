package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"echocast/internal/option"
	"echocast/internal/opusencoder"
	"echocast/internal/outfile"
	"echocast/internal/output"
	"echocast/internal/roomoption"
	"echocast/internal/shutdown"
	"echocast/logs"
	"echocast/replica"
	"echocast/replica/page"
	"echocast/replica/serve"
	"echocast/rtc"
)

// replicaCmd is the replica command: a stand-in to which other processes connect.
type replicaCmd struct {
	streams Streams
	peer    roomoption.Peer
	listen  string
	record  string
	limit   int
	script  string
	faults  []string
	once    bool
	quiet   bool
	json    bool

	user  string
	guest Guest

	mu     sync.Mutex // one line at a time
	failed error      // the first error of this side
}

func replicaCommand(streams Streams, server *Server) *cli.Command {
	s := &replicaCmd{streams: streams}
	return &cli.Command{
		Name:  "replica",
		Usage: "run a stand-in replica to which other processes connect",
		UsageText: "echocast replica [OPTIONS]\n\n   echocast replica --listen 127.0.0.1:8870 --record heard.wav\n" +
			"   echocast send --to http://127.0.0.1:8870 speech.wav\n\n   echocast replica --fault " +
			"drop-events=stopped,delay=300ms --fault die-after=40",
		Description: `It plays what it receives by its own clock, sends an event when it starts and stops
speaking, counts underruns, and reports what the documentation does not allow. It
speaks text too, at 60 ms a character. Ctrl-C ends it.

It listens on loopback, where it needs no key. On other addresses it needs a room
key and TLS:
  echocast replica --listen 0.0.0.0:8870 --room-key-file KEY --tls-cert C.pem --tls-key K.pem
` + roomoption.HelpPeer + `

It is one room: everybody who is connected gets its events and hears it, may speak,
and may interrupt. Utterances of two senders are played one after the other. A
session begins with the first connection and ends when everybody has left.

Without a room key it prints the address of a page as well: a browser on this machine
shows the replica, plays its sound, interrupts it and speaks a file. The address has a
secret in it; whoever knows it can see the page.

It can misbehave, so that a sender can be tested: --fault list lists the faults. Each
session starts with the same faults. --script plays events from a FILE of JSON lines:
  {"after_ms":1500,"event":{"message_type":"conversation","event_type":"conversation.tool_call",...}}
  {"on":"conversation.tool_result","nth":1,"after_ms":100,"event":{...}}
after_ms counts from when the replica joined, or from the "nth" event of the type "on".
A missing seq and timestamp are filled in, except with "raw":true.
` + helpJoin,
		Flags: append([]cli.Flag{
			option.New(&s.listen, "listen", "127.0.0.1:8870", "`ADDRESS` to listen on; port 0 takes a free one"),
			option.New(&s.record, "record", "", "write what is heard to `FILE` (WAV), or as .webm or .mp4 (by ffmpeg) "+
				"both sides, the face and, as .vtt, the words; later sessions get new files FILE-2 and so on"),
			option.New(&s.limit, "max-message", replica.DefaultMessageLimit, "drop messages of more than `BYTES`"),
			&cli.StringSliceFlag{Name: "fault",
				Usage: "misbehave by `NAME[=VALUE][,NAME...]`, such as delay=300ms; --fault list lists the faults"},
			option.New(&s.script, "script", "", "send the events in `FILE` beside the replica's own"),
			option.New(&s.user, "user", "", "play `FILE` as the user's microphone to each connection that hears (default: "+
				"silent)"),
			option.Bool(&s.once, "once", "end when everybody has left"),
			option.Bool(&s.json, "json", "print the report of each session as a JSON line on stdout"),
			option.Quiet(&s.quiet),
		}, append(s.guestFlags(), s.peer.ListenFlags()...)...),
		Action: func(c *cli.Context) error { return s.act(c, server) },
	}
}

// act joins a room, lists the faults, or listens.
func (s *replicaCmd) act(c *cli.Context, server *Server) error {
	if c.Args().Present() {
		return usagef("the replica takes no inputs, such as %q", c.Args().First())
	}
	if s.guest.To != "" {
		return s.join(c, server)
	}
	for _, name := range []string{"avatar", "render", "render-delay"} {
		if c.IsSet(name) {
			return usagef("--%s is for a replica in a LiveKit room: name the room with --join URL", name)
		}
	}
	s.faults = c.StringSlice("fault")
	if slices.Contains(s.faults, "list") {
		return output.Text(s.streams.Out, replica.FaultTable())
	}
	return s.run(c.Context)
}

func (s *replicaCmd) run(ctx context.Context) error {
	options, err := s.prepare()
	if err != nil {
		return err
	}
	listener, err := s.open(ctx, options)
	if err != nil {
		return err
	}
	err = serve.Run(ctx, listener, options)
	_ = listener.Close() // no connection is left
	if _, ok := errors.AsType[shutdown.SignalError](err); ok {
		err = nil // Ctrl-C is the normal end
	}
	return cmp.Or(err, s.failed)
}

// open listens, and prints the address, and a warning if it is not secured. Without a room key
// there is a page too.
func (s *replicaCmd) open(ctx context.Context, serving *serve.Options) (*rtc.Listener, error) {
	options, err := s.peer.Options(s.streams.Warn)
	if err != nil {
		return nil, err
	}
	options.MuLaw = !opusencoder.Available
	options.Warn = func(text string) { s.streams.Warn("%s", text) }
	if options.Key == "" {
		serving.Page = page.New()
		options.Handler = serving.Page
	}
	options.Log = logs.From(ctx)
	listener, err := rtc.Listen(s.listen, options)
	if errors.Is(err, rtc.ErrUnsafe) {
		return nil, usagef("%v: give --room-key-file, --tls-cert and --tls-key, or --insecure on a network that you trust",
			err)
	}
	if err != nil {
		return nil, listenError("--listen", s.listen, err)
	}
	address, public := rtc.DialURL(listener.URL())
	if lack := options.Risk(); public && lack != "" {
		s.streams.Warn("--insecure: %s", lack)
	}
	s.say("the replica listens; speak to it with: echocast send --to %s INPUT", address)
	if serving.Page != nil && !public {
		s.say("see and hear it in a browser: %s", strings.TrimSuffix(address, "/")+serving.Page.Path())
	}
	return listener, nil
}

// prepare checks the options and reads the script.
func (s *replicaCmd) prepare() (*serve.Options, error) {
	check := cmp.Or(outfile.CheckEnding("--record", s.record, ".wav", ".webm", ".mp4"),
		outfile.CheckAll(map[string]string{"--record": s.record}, nil))
	if isVideoName(s.record) {
		check = checkRecording(s.record)
	}
	if check != nil {
		return nil, check
	}
	if s.user != "" {
		if _, err := os.Stat(s.user); err != nil {
			return nil, inputError(s.user, fmt.Errorf("--user: %w", err))
		}
	}
	options := &serve.Options{Record: s.record, User: s.user, Once: s.once, Observer: s.observer()}
	options.Replica.MessageLimit = s.limit
	options.Replica.Die = func() { os.Exit(exitKilled) }
	if err := faultError(options.Replica.SetFaults(s.faults)); err != nil {
		return nil, err
	}
	script, err := readScript(s.script)
	options.Replica.Script = script
	return options, err
}

func (s *replicaCmd) observer() serve.Observer {
	observer := serve.Log(func(line string) { s.say("%s", line) }, func(line string) { s.streams.Warn("%s", line) })
	observer.Report = s.report
	return observer
}

func (s *replicaCmd) report(report replica.Report) {
	s.say("%s", report.Line())
	if s.json {
		if err := output.JSON(s.streams.Out, report); err != nil {
			s.fail(err)
		}
	}
}

// fail reports an error, and sets the exit code.
func (s *replicaCmd) fail(err error) {
	s.streams.Warn("%s", firstLine(err.Error()))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = cmp.Or(s.failed, err)
}

func (s *replicaCmd) say(format string, args ...any) {
	if !s.quiet {
		s.streams.Warn(format, args...)
	}
}

// faultError names the option of a refused fault.
func faultError(err error) error {
	if _, ok := errors.AsType[*replica.UnknownFaultError](err); ok {
		return usagef("%v; --fault list lists them", err)
	}
	if err != nil {
		return usagef("--fault %v", err)
	}
	return nil
}

// exitKilled is the exit code of a killed process, for the fault that imitates one.
const exitKilled = 137

// readScript reads the events of a file.
func readScript(name string) (replica.Script, error) {
	if name == "" {
		return nil, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, inputError("--script "+name, err)
	}
	defer file.Close()
	script, err := replica.ParseScript(file)
	if err != nil {
		return nil, inputError("--script "+name, err)
	}
	return script, nil
}
