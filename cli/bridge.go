package cli

import (
	"cmp"
	"context"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/internal/option"
	"echocast/room"
)

// Bridge is a conversation between the user of a room and a program behind a WebSocket, which
// hears the user and speaks through the replica.
type Bridge struct {
	With       string            // protocol of the program, such as "twilio"
	Name       string            // of the model, or the agent
	URL        string            // of its WebSocket; empty: the default one
	Rate       int               // Hz of its audio, if it can be chosen
	Parameters map[string]string // sent to the program at the beginning

	Instructions string // for an agent

	Session    *echo.Session
	SpeechRate int // Hz that the replica takes
	// Hear writes the user's voice as 16-bit samples at a rate in Hz, until ctx ends.
	Hear func(ctx context.Context, rate int, to io.Writer) error
	// Warn reports a problem that does not end the conversation, Say a line for people.
	Warn, Say func(format string, args ...any)
}

// bridgeCmd is the bridge command.
type bridgeCmd struct {
	streams  Streams
	settings settings
	target   targetOptions
	server   *Server
	bridge   Bridge
	params   cli.StringSlice
}

// carriers are the values of --carrier.
var carriers = []string{"twilio", "vonage"}

func bridgeCommand(streams Streams, server *Server) *cli.Command {
	b := &bridgeCmd{streams: streams, server: server}
	return &cli.Command{
		Name:  "bridge",
		Usage: "connect a telephone voice bot (Twilio, Vonage) to a replica",
		UsageText: "echocast bridge [OPTIONS] wss://BOT\n\n   echocast bridge --rehearse wss://bot.example/media\n" +
			"   echocast bridge --to https://tavus.daily.co/c123 --carrier twilio wss://bot.example/media",
		Description: `Dials the bot's WebSocket as a telephone carrier does: Twilio Media Streams (mu-law at
8 kHz), or the Vonage Voice API (samples at 16 or 24 kHz). The bot hears the user of
the room, and the replica says what the bot answers. echocast returns a mark to the
bot once the audio before it was heard; a clear interrupts the replica. The command
ends when the bot hangs up, when the room ends, or with Ctrl-C; none is an error.
Without --to or --pal this is a rehearsal: a stand-in replica in this process, with a silent user.
TWILIO_AUTH_TOKEN in the environment signs the request as Twilio does.`,
		Flags: option.Join([]cli.Flag{
			option.New(&b.bridge.With, "carrier", "twilio", "act as this `CARRIER`: twilio or vonage"),
			option.New(&b.bridge.Rate, "carrier-rate", 16000, "with vonage: samples at this rate in `HZ`: 8000, 16000 or 24000"),
			&cli.StringSliceFlag{Name: "param", Destination: &b.params, Usage: "send the bot `NAME=VALUE`, as a custom " +
				"parameter (twilio) or a header (vonage); may be repeated"},
		}, b.target.flags(), b.settings.messageFlags(echo.LeadMode), b.settings.outputFlags()),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("usage: echocast bridge [OPTIONS] wss://BOT: name the WebSocket of one bot")
			}
			b.bridge.URL = c.Args().First()
			return b.settings.printFailure(streams.Out, b.run(c.Context))
		},
	}
}

func (b *bridgeCmd) check() error {
	if b.settings.dryRun {
		return usagef("--dry-run: a conversation has no plan; leave it out")
	}
	if err := option.OneOf("--carrier", b.bridge.With, carriers...); err != nil {
		return err
	}
	if err := checkWebSocket(b.bridge.URL); err != nil {
		return err
	}
	if b.bridge.Rate != 8000 && b.bridge.Rate != 16000 && b.bridge.Rate != 24000 {
		return usagef("--carrier-rate %d: must be 8000, 16000 or 24000", b.bridge.Rate)
	}
	b.bridge.Parameters = map[string]string{}
	for _, param := range b.params.Value() {
		name, value, ok := strings.Cut(param, "=")
		if !ok || name == "" {
			return usagef("--param %s: write NAME=VALUE", param)
		}
		b.bridge.Parameters[name] = value
	}
	return nil
}

func checkWebSocket(address string) error {
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "ws" && u.Scheme != "wss" {
		return usagef("%s: the address of a WebSocket is ws://HOST or wss://HOST", address)
	}
	return nil
}

// hearRates are the rates in Hz at which the programs hear the user, if the user cannot choose
// one.
var hearRates = map[string]int{"twilio": 8000, "openai": 24000, "elevenlabs": 16000}

// runAgent lets an agent hold the conversation, instead of commands.
func (v *converseCmd) runAgent(ctx context.Context) error {
	o := &v.options
	v.agent.With, v.agent.Name, _ = strings.Cut(v.agent.With, ":")
	switch {
	case o.OnUtterance != "" || o.TTS != "" || o.Recogniser != "":
		return usagef("--agent hears, thinks and speaks itself: leave out --on-utterance, --tts and --asr")
	case v.settings.dryRun:
		return usagef("--dry-run: a conversation has no plan; leave it out")
	case v.agent.With == "elevenlabs" && v.agent.Name == "" && v.agent.URL == "":
		return usagef("--agent elevenlabs: name the agent: --agent elevenlabs:ID")
	case v.agent.With == "openai" && v.agent.URL == "" && os.Getenv("OPENAI_API_KEY") == "":
		return usagef("--agent openai needs OPENAI_API_KEY in the environment")
	}
	if err := option.OneOf("--agent", v.agent.With, "openai", "elevenlabs"); err != nil {
		return err
	}
	if v.agent.URL != "" {
		if err := checkWebSocket(v.agent.URL); err != nil {
			return usagef("--agent-url %v", err)
		}
	}
	b := &bridgeCmd{streams: v.streams, settings: v.settings, target: v.target, server: v.server, bridge: v.agent}
	return b.talk(ctx)
}

func (b *bridgeCmd) run(ctx context.Context) error {
	if err := b.check(); err != nil {
		return err
	}
	return b.talk(ctx)
}

// talk joins the room and holds the conversation.
func (b *bridgeCmd) talk(ctx context.Context) error {
	if b.server == nil || b.server.Bridge == nil {
		return needsServerError{"a conversation over a WebSocket needs"}
	}
	b.target.via.needsRoom = "a conversation over a WebSocket"
	if err := b.target.check(b.streams.Warn); err != nil {
		return err
	}
	if err := b.target.checkSpeech(&b.settings, []string{stdinName}); err != nil {
		return err
	}
	out := b.settings.newReporter(b.streams)
	out.awaitsHeard = true
	target, err := b.target.connect(ctx, room.Options{
		Conversation: b.settings.conversation, MaxMessage: b.settings.maxMessage, UserEvents: true,
		Hear: true, HearRate: cmp.Or(hearRates[b.bridge.With], b.bridge.Rate),
	}, "", out)
	if err != nil {
		return ended(err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	options := b.settings.session()
	options.OnReceipt = func(receipt echo.Receipt) {
		if err := out.spoken(receipt); err != nil {
			cancel(err)
		}
	}
	b.bridge.Hear = func(ctx context.Context, rate int, to io.Writer) error {
		stop, err := hearAlongside(ctx, target.Room(), room.User, rate, to, out)
		if err != nil {
			return err
		}
		<-ctx.Done()
		return cmp.Or(stop(), context.Cause(ctx))
	}
	b.bridge.Warn, b.bridge.Say = out.warn, out.say
	return ended(target.talk(ctx, options, out, func(session *echo.Session) error {
		b.bridge.Session, b.bridge.SpeechRate = session, b.settings.speechRate
		return b.server.Bridge(ctx, b.bridge)
	}))
}
