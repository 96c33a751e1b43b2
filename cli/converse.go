package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/room"
)

// conversation is the converse command.
type conversation struct {
	settings
	streams     Streams
	target      targetOptions
	onUtterance string
	tts         string
	asr         string
	greet       string
	noBargeIn   bool
	count       int
}

func converseCommand(streams Streams) *cli.Command {
	v := &conversation{streams: streams}
	return &cli.Command{
		Name:  "converse",
		Usage: "answer the user with commands of yours: one that thinks, and one that speaks",
		UsageText: `echocast converse --to URL --on-utterance COMMAND --tts COMMAND [OPTIONS]

   echocast converse --to URL --on-utterance ./answer.sh --tts 'espeak-ng --stdout'
   echocast converse --to URL --on-utterance 'llm chat' --tts 'piper -m voice.onnx --output-raw' --preset piper`,
		Description: `Each time the user has said something, the first command gets it on its standard
input. What it prints goes, as it is written, to the standard input of the second,
and the audio that this one prints is spoken. Nothing printed is nothing said.

When the user begins to speak, both commands are killed and the replica falls
silent; --no-barge-in lets it finish. A command that fails is told of, and the
conversation goes on. It ends with the room, and with Ctrl-C; neither is an error.`,
		Flags: joined([]cli.Flag{
			&cli.StringFlag{Name: "on-utterance", Destination: &v.onUtterance, Usage: "`COMMAND` that makes the answer of what the user said"},
			&cli.StringFlag{Name: "asr", Destination: &v.asr, DefaultText: "the room's", Usage: "`COMMAND` that gets what the user says, samples of 16 bits at 16 kHz, and prints a line for each utterance"},
			&cli.StringFlag{Name: "tts", Destination: &v.tts, Usage: "`COMMAND` that makes audio of the answer"},
			&cli.StringFlag{Name: "greet", Destination: &v.greet, DefaultText: "nothing", Usage: "begin with this `TEXT`"},
			&cli.BoolFlag{Name: "no-barge-in", Destination: &v.noBargeIn, DisableDefaultText: true, Usage: "go on while the user speaks"},
			&cli.IntFlag{Name: "count", Aliases: []string{"n"}, Destination: &v.count, DefaultText: "no end", Usage: "end after `N` answers"},
		}, v.target.flags(), v.inputFlags(), v.levelFlags(), v.messageFlags(echo.LeadMode), v.outputFlags()),
		Action: func(c *cli.Context) error {
			if err := noInputs(c); err != nil {
				return err
			}
			return v.run(c.Context)
		},
	}
}

func (v *conversation) checkAll() error {
	switch {
	case v.onUtterance == "":
		return usagef("--on-utterance: name the command that answers what the user says, such as a script of yours")
	case v.tts == "":
		return usagef("--tts: name the command that makes audio of a text, such as 'espeak-ng --stdout'")
	case v.dryRun:
		return usagef("--dry-run: a conversation has no plan; leave it out")
	case v.prepare.Loudness != 0:
		return usagef("--loudness measures a file before it is said, and here there is none; use --gain")
	case v.count < 0:
		return usagef("--count %d: leave it out for no end", v.count)
	}
	if err := v.target.check(v.newReporter(v.streams.Out, v.streams.Err).warn); err != nil {
		return err
	}
	v.anyChunk = v.target.takesAnyChunk()
	return v.check([]string{stdinName})
}

func (v *conversation) run(ctx context.Context) error {
	if err := v.checkAll(); err != nil {
		return err
	}
	out := v.newReporter(v.streams.Out, v.streams.Err)
	out.heard = true
	target, err := v.target.connect(ctx, room.Options{Conversation: v.settings.conversation, MaxMessage: v.maxMessage, UserEvents: true, Hear: v.asr != "", HearRate: asrRate}, "", out)
	if err != nil {
		return ended(cancelled(ctx, err))
	}
	options := v.session()
	options.BargeIn = !v.noBargeIn
	options.OnReceipt = out.receive
	session, err := target.session(options)
	if err != nil {
		return first(err, target.close())
	}
	talking, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	events := session.Events(talking) // from the beginning: the user may be quick
	out.say("waiting for the replica")
	if err = session.WaitReady(ctx); err == nil {
		out.say("listening to the user")
		err = (&dialogue{v, session, out, target.room, 0}).run(talking, stop, events)
	}
	_ = session.Close() // never fails
	return first(ended(cancelled(ctx, err)), target.close())
}

// dialogue is a conversation that has begun.
type dialogue struct {
	*conversation
	session *echo.Session
	out     *reporter
	room    *room.Room
	turns   int // answers so far
}

// heardUser is what the room tells of the user.
type heardUser struct {
	text   string // of an utterance that is complete
	begins bool   // the user begins to speak
	err    error  // why there is no more to hear
}

// errOvertaken is the cause of an answer that the user did not wait for.
var errOvertaken = errors.New("the user went on")

// run answers one utterance after the other. The newest counts: an answer that
// is under way gives way to it.
// stop ends ctx, and with it the events.
func (d *dialogue) run(ctx context.Context, stop context.CancelCauseFunc, events iter.Seq2[echo.Event, error]) error {
	heard := make(chan heardUser)
	var following sync.WaitGroup
	following.Go(func() { d.follow(events, handing(ctx, heard)) })
	err := d.answerWith(ctx, heard)
	stop(err)
	following.Wait()
	return err
}

// handing hands over what the user does, as long as ctx lasts.
func handing(ctx context.Context, to chan<- heardUser) func(heardUser) {
	return func(next heardUser) {
		select {
		case to <- next:
		case <-ctx.Done():
		}
	}
}

// answerWith starts the recogniser, if there is one.
func (d *dialogue) answerWith(ctx context.Context, heard chan heardUser) error {
	if d.asr == "" {
		return d.answerAll(ctx, heard)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := recognise(ctx, d.asr, d.room, d.out, handing(ctx, heard))
	if err != nil {
		return err
	}
	err = d.answerAll(ctx, heard)
	cancel(room.ErrOver)
	r.close()
	return err
}

// follow hands over what the user does.
func (d *dialogue) follow(events iter.Seq2[echo.Event, error], hand func(heardUser)) {
	var last echo.Event
	for event, err := range events {
		next := heardUser{err: err}
		switch {
		case err != nil:
		case event.Kind == echo.Shutdown:
			next.err = room.ErrOver
		case event.Role != echo.RoleUser:
			continue
		case event.Kind == echo.StartedSpeaking:
			next.begins = true
		case d.asr == "" && event.Kind == echo.KindUtterance && strings.TrimSpace(event.Text) != "" && !sameUtterance(last, event):
			next.text, last = event.Text, event
		default:
			continue
		}
		hand(next)
	}
}

// sameUtterance reports whether the room told of an utterance a second time.
func sameUtterance(a, b echo.Event) bool {
	return a.Text == b.Text && a.InferenceID == b.InferenceID && a.Seq == b.Seq && (a.InferenceID != "" || a.Seq != 0)
}

// underWay is one answer that is being made or spoken.
type underWay struct {
	cancel context.CancelCauseFunc
	ended  chan error
}

func (d *dialogue) answerAll(ctx context.Context, heard <-chan heardUser) error {
	var now *underWay // nil: nothing is being answered
	stop := func(cause error) {
		if now != nil {
			now.cancel(cause)
			<-now.ended
			now = nil
		}
	}
	defer func() { stop(context.Canceled) }()
	if d.greet != "" {
		now = d.begin(ctx, "", d.greet)
	}
	waiting := "" // with --no-barge-in: what is answered next
	for {
		var ended <-chan error
		if now != nil {
			ended = now.ended
		}
		select {
		case err := <-ended:
			now.cancel(nil)
			if now = nil; err != nil {
				return err
			}
			if d.count > 0 && d.turns >= d.count {
				return room.ErrOver
			}
		case next := <-heard:
			if next.err != nil {
				stop(next.err)
				return next.err
			}
			if !d.noBargeIn {
				stop(errOvertaken)
			}
			if next.text != "" {
				waiting = next.text
			}
		case <-ctx.Done():
			stop(context.Cause(ctx))
			return context.Cause(ctx)
		}
		if now == nil && waiting != "" {
			d.out.say("user: %s", oneLine(waiting))
			d.turns++
			now, waiting = d.begin(ctx, waiting, ""), ""
		}
	}
}

// begin answers what the user said, or says a text that is given.
func (d *dialogue) begin(ctx context.Context, said, text string) *underWay {
	ctx, cancel := context.WithCancelCause(ctx)
	u := &underWay{cancel, make(chan error, 1)}
	name := "greeting"
	if said != "" {
		name = fmt.Sprintf("answer %d", d.turns)
	}
	go func() {
		defer close(u.ended)
		u.ended <- d.end(name, d.answer(ctx, name, said, text))
	}()
	return u
}

// end keeps what ends the conversation, and says what does not.
func (d *dialogue) end(name string, err error) error {
	switch {
	case err == nil, errors.Is(err, errOvertaken), errors.Is(err, context.Canceled), errors.Is(err, room.ErrOver):
		return nil
	case errors.Is(err, echo.ErrLost), errors.Is(err, echo.ErrNotRejoined), errors.Is(err, echo.ErrClosed), errors.Is(err, echo.ErrNotReady):
		return nil // the events tell it, once
	case errors.As(err, new(stdoutError)), errors.As(err, new(signalled)):
		return err
	case errors.Is(err, echo.ErrBargeIn), errors.Is(err, echo.ErrInterrupted), errors.Is(err, echo.ErrUnverified):
		return nil // the receipt tells it
	}
	d.out.warn("%s: %s", name, strings.TrimPrefix(firstLine(err.Error()), name+": "))
	return nil
}

// answer runs the commands of one answer, and speaks what comes of them.
func (d *dialogue) answer(ctx context.Context, name, said, text string) error {
	commands, audio, err := startCommands(ctx, d.onUtterance, d.tts, said, text, d.out)
	if err != nil {
		return err
	}
	err = d.speak(ctx, name, audio)
	failed := commands.wait(err != nil)
	if context.Cause(ctx) != nil && commands.reply() == "" {
		return context.Cause(ctx)
	}
	if reply := oneLine(commands.reply()); reply != "" {
		d.out.say("pal: %s", reply)
	} else if err = ignoreNoAudio(err); err == nil {
		d.out.say("%s: nothing to say", name)
	}
	if context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	return first(failed, err)
}

// ignoreNoAudio takes away the error of an input without audio: nothing was to
// be said.
func ignoreNoAudio(err error) error {
	if _, ok := errors.AsType[*inputError](err); ok {
		return nil
	}
	return err
}

func (d *dialogue) speak(ctx context.Context, name string, audio io.Reader) error {
	in, err := openInput(ctx, stdinName, audio, &d.settings.prepare)
	if err != nil {
		if broken, ok := errors.AsType[*inputError](err); ok {
			err = &inputError{name, broken.err}
		}
		return err
	}
	in.name = name
	defer in.close()
	return (&speaker{d.session, &d.settings, &feedOptions{}, audio, d.out}).one(ctx, in)
}
