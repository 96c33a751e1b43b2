package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/converse"
	"echocast/echo"
	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/internal/shutdown"
	"echocast/room"
	"echocast/speak"
)

// converseCmd is the converse command.
type converseCmd struct {
	streams   Streams
	settings  settings
	target    targetOptions
	options   converse.Options
	noBargeIn bool
	falseFor  time.Duration
	record    string
	per       string
	agent     Bridge // instead of commands
	server    *Server
}

// The values of --tts-per.
const (
	perAnswer   = "answer"
	perSentence = "sentence"
)

func converseCommand(streams Streams, server *Server) *cli.Command {
	v := &converseCmd{streams: streams, server: server}
	return &cli.Command{
		Name:  "converse",
		Usage: "answer the user: one command of yours writes the answers, another speaks them",
		UsageText: `echocast converse --to URL --on-utterance COMMAND --tts COMMAND [OPTIONS]
   echocast converse --to URL --agent openai|elevenlabs:AGENT [OPTIONS]

   echocast converse --to URL --on-utterance ./answer.sh --tts 'espeak-ng --stdout'
   echocast converse --to URL --on-utterance 'llm chat' --tts 'piper -m voice.onnx --output-raw' --preset piper`,
		Description: `Each time the user has said something, the first command gets it on its standard
input. What it prints goes, as it is written, to the standard input of the second,
and the audio that this one prints is spoken. If it prints nothing, nothing is said.

When the user begins to speak, the replica falls silent. If words follow, both
commands are killed and the words are answered; if none follow within
--false-interrupt, the answer continues where it was heard. --no-barge-in lets each
answer end, and answers afterwards what was said meanwhile. A failing command is
reported, and the conversation continues. The conversation ends with the room, or
with Ctrl-C; neither is an error. The commands do not see echocast's own keys; what
was heard of the previous answer is in ECHOCAST_HEARD.`,
		Flags: option.Join(v.flags(), v.target.flags(), v.target.via.webhookFlags(), v.settings.inputFlags(),
			v.settings.levelFlags(), v.settings.messageFlags(echo.LeadMode), v.settings.outputFlags()),
		Action: option.WithoutInputs(func(ctx context.Context) error {
			return v.settings.printFailure(streams.Out, v.run(ctx))
		}),
	}
}

func (v *converseCmd) flags() []cli.Flag {
	o := &v.options
	return []cli.Flag{
		option.New(&o.OnUtterance, "on-utterance", "", "`COMMAND` that reads what the user said and prints the answer"),
		option.Bool(&o.JSON, "on-utterance-json", "give that command a line of JSON: the text, and what was heard of the "+
			"previous answer"),
		option.New(&o.TTS, "tts", "", "`COMMAND` that reads the answer and prints audio of it"),
		option.New(&o.Recogniser, "asr", "", "`COMMAND` that reads the user's voice, samples of 16 bits at 16 kHz, and "+
			"prints a line for each utterance (default: the room's)"),
		option.New(&o.Greeting, "greet", "", "begin with this `TEXT` (default: nothing)"),
		option.New(&v.record, "record", "", recordUsage),
		fallbackFlag(&v.target),
		option.New(&o.Fallback, "fallback-text", "", "say this `TEXT` if the --on-utterance command fails without an answer "+
			"(default: nothing)"),
		option.Bool(&v.noBargeIn, "no-barge-in", "do not interrupt an answer when the user speaks, and answer after it what "+
			"they said"),
		option.New(&v.falseFor, "false-interrupt", 2*time.Second, "continue the answer if no words follow a sound of the "+
			"user within this `TIME`; 0 drops the answer at the first sound"),
		option.New(&o.ThinkTimeout, "think-timeout", time.Minute, "kill the --on-utterance command if it prints nothing for "+
			"this `TIME`"),
		option.New(&o.TTSTimeout, "tts-timeout", 30*time.Second, "kill the --tts command if it has text and prints nothing "+
			"for this `TIME`"),
		option.New(&v.per, "tts-per", perAnswer, "run the --tts command once for each `UNIT`: answer, or sentence (the "+
			"next is made while one is spoken)"),
		option.New(&o.CacheDir, "tts-cache", "", "with --tts-per sentence: keep the audio of each sentence in this "+
			"`FOLDER`, and reuse it (default: none)"),
		option.New(&v.agent.With, "agent", "", "let an `AGENT` answer instead of commands: openai[:MODEL] "+
			"(OPENAI_API_KEY), or elevenlabs:ID (a private one needs ELEVENLABS_API_KEY); it hears the user (default: none)"),
		option.New(&v.agent.URL, "agent-url", "", "`URL` of the agent's WebSocket (default: the vendor's)"),
		option.New(&v.agent.Instructions, "instructions", "", "give the openai agent this `TEXT` as its instructions "+
			"(default: nothing)"),
		option.New(&o.Count, "count, n", 0, "end after `N` answers (default: no end)"),
	}
}

func (v *converseCmd) checkCommands() error {
	o := &v.options
	switch {
	case o.OnUtterance == "":
		return usagef("--on-utterance: name the command that answers what the user says, such as a script of yours, or " +
			"an agent with --agent")
	case o.TTS == "":
		return usagef("--tts: name the command that makes audio of a text, such as 'espeak-ng --stdout'")
	case v.settings.dryRun:
		return usagef("--dry-run: a conversation has no plan; leave it out")
	case v.settings.prepare.Loudness != 0:
		return usagef("--loudness measures whole files, and a conversation has none; use --gain")
	case o.Count < 0:
		return usagef("--count must not be negative")
	case v.falseFor < 0:
		return usagef("--false-interrupt must not be negative")
	case o.ThinkTimeout <= 0 || o.TTSTimeout <= 0:
		return usagef("--think-timeout and --tts-timeout must be positive")
	case o.CacheDir != "" && v.per != perSentence:
		return usagef("--tts-cache keeps sentences: add --tts-per sentence")
	}
	if err := option.OneOf("--tts-per", v.per, perAnswer, perSentence); err != nil {
		return err
	}
	if info, err := os.Stat(o.CacheDir); o.CacheDir != "" && (err != nil || !info.IsDir()) {
		return usagef("--tts-cache %s: there is no such folder; make it first", o.CacheDir)
	}
	return nil
}

func (v *converseCmd) check() error {
	if err := v.checkCommands(); err != nil {
		return err
	}
	switch {
	case v.options.Recogniser != "":
		v.target.via.needsRoom = "--asr"
	case !v.target.via.receives():
		v.target.via.needsRoom = "converse without --webhook"
	}
	if v.record != "" {
		v.target.via.needsRoom, v.target.willRecord = "--record", true
	}
	if err := cmp.Or(v.target.check(v.streams.Warn),
		checkRecording(v.record)); err != nil {
		return err
	}
	return v.target.checkSpeech(&v.settings, []string{stdinName})
}

func (v *converseCmd) run(ctx context.Context) error {
	if v.agent.With != "" {
		return v.runAgent(ctx)
	}
	if err := v.check(); err != nil {
		return err
	}
	out := v.settings.newReporter(v.streams)
	out.awaitsHeard = true
	target, err := v.target.connect(ctx, room.Options{
		Conversation: v.settings.conversation, MaxMessage: v.settings.maxMessage,
		UserEvents: true, Hear: v.options.Recogniser != "", HearRate: asrRate,
	}, "", out)
	if err != nil {
		return ended(err)
	}
	options := v.settings.session()
	options.OnReceipt = out.receive
	if err := target.record(ctx, v.record, options); err != nil {
		return cmp.Or(ended(shutdown.Cause(ctx, err)), target.close())
	}
	return ended(target.talk(ctx, options, out, func(session *echo.Session) error {
		out.say("listening to the user")
		return v.converse(ctx, session, target, out)
	}))
}

// converse holds the conversation. It ends when a receipt cannot be printed.
func (v *converseCmd) converse(ctx context.Context, session *echo.Session, target *target, out *reporter) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	o := v.options
	o.IgnoreUser, o.PerSentence = v.noBargeIn, v.per == perSentence
	if o.FalseInterrupt = v.falseFor; v.falseFor == 0 {
		o.FalseInterrupt = -1
	}
	o.Prepare, o.Keep = v.settings.prepare, keptToResume+v.settings.lead
	o.Stderr, o.OnNote = out.people, noteTo(out)
	o.Listen = func(ctx context.Context, to io.Writer) (func() error, error) {
		return hearAlongside(ctx, target.Room(), room.User, asrRate, to, out)
	}
	o.Speak = func(ctx context.Context, name string, audio converse.Audio, speech echo.Speech) (echo.Receipt, error) {
		in := &speak.Input{Name: name, Audio: audio}
		out.begin(ctx, in, session)
		receipt, err := session.Speak(ctx, speech)
		err = in.Failed(err)
		if failed := out.end(in, err); failed != nil {
			cancel(failed)
		}
		return receipt, explained(err)
	}
	err := converse.Run(ctx, session, o)
	if cause := context.Cause(ctx); errors.As(cause, new(*output.Error)) {
		return cause
	}
	return err
}

// noteTo returns a function that prints the notes of a conversation.
func noteTo(out *reporter) func(converse.Note) {
	return func(n converse.Note) {
		if n.IsProblem() {
			out.warn("%s", n.Line())
			return
		}
		out.say("%s", n.Line())
	}
}
