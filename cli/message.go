package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/internal/shutdown"
	"echocast/internal/terminal"
	"echocast/room"
)

// messageCmd is shared by the commands that send messages other than audio.
type messageCmd struct {
	streams  Streams
	target   targetOptions
	settings settings // conversation, max-message, dry-run, quiet
}

func (m *messageCmd) flags(own ...cli.Flag) []cli.Flag {
	return append(append(own,
		conversationFlag(&m.settings.conversation),
		option.New(&m.settings.maxMessage, "max-message", echo.DefaultMaxMessage, "limit the message to `BYTES`"),
		option.Bool(&m.settings.dryRun, "dry-run", "print the message on stdout and send nothing"),
		option.Quiet(&m.settings.quiet),
	), m.target.roomFlags()...)
}

// speechFlags are the flags of a command that may also speak to a stand-in or create
// a conversation.
func (m *messageCmd) speechFlags(own ...cli.Flag) []cli.Flag {
	return append(m.flags(own...), m.target.speechFlags()...)
}

// check validates the options before anything is opened.
func (m *messageCmd) check() error {
	if m.settings.maxMessage <= 0 {
		return usagef("--max-message must be more than 0")
	}
	return m.target.check(m.streams.Warn)
}

// checkRoom validates the options, and fails if no room is named.
func (m *messageCmd) checkRoom(c *cli.Context) error {
	if err := m.check(); err != nil || m.settings.dryRun {
		return err
	}
	return m.target.needRoom(c.Command.HelpName, m.settings.conversation)
}

// unconfirmedError says that no event confirmed an interrupt.
type unconfirmedError struct{ wait time.Duration }

func (e unconfirmedError) Error() string {
	return fmt.Sprintf("the interrupt was sent, but no event confirmed within %v that the replica has stopped; "+
		"perhaps it was not speaking", e.wait)
}

func (e unconfirmedError) Unwrap() error { return echo.ErrUnverified }

// tooLongError says that a message is over the limit of the room.
type tooLongError struct{ size, limit int }

func (e tooLongError) Error() string {
	return fmt.Sprintf("a message of %d bytes is over the limit of %d: shorten it, or raise --max-message "+
		"if the room takes more", e.size, e.limit)
}

// encode returns a message as it is sent, or an error if it is over the limit.
func (m *messageCmd) encode(msg echo.Message, limit int) ([]byte, error) {
	line, err := msg.AppendTo(nil, m.settings.conversationID())
	if err != nil {
		return nil, usagef("%v", err)
	}
	if len(line) > limit {
		return nil, tooLongError{len(line), limit}
	}
	return line, nil
}

// sendOne checks a message before anything is opened, and sends it. If then is not nil,
// it is called after that, before the session is closed.
func (m *messageCmd) sendOne(c *cli.Context, msg echo.Message,
	then func(events <-chan echo.Event, out *reporter) error) error {
	if err := m.checkRoom(c); err != nil {
		return err
	}
	if _, err := m.encode(msg, m.target.messageLimit(m.settings.maxMessage)); err != nil {
		return err
	}
	return m.deliver(c.Context, func(yield func(echo.Message, error) bool) { yield(msg, nil) }, then)
}

// deliver sends messages, or prints them.
func (m *messageCmd) deliver(ctx context.Context, messages iter.Seq2[echo.Message, error],
	then func(<-chan echo.Event, *reporter) error) error {
	if m.settings.dryRun {
		return m.encodeAll(messages, m.settings.maxMessage, func(_ echo.Message, line []byte) error {
			_, err := fmt.Fprintf(output.Writer(m.streams.Out), "%s\n", line)
			return err
		})
	}
	out := m.settings.newReporter(m.streams)
	events := make(chan echo.Event, 256)
	target, err := m.join(ctx, out)
	if err != nil {
		return err
	}
	options := &echo.Options{OnEvent: func(event echo.Event) {
		select {
		case events <- event:
		default: // then needs only the first events
		}
	}}
	return target.talk(ctx, options, out, func(session *echo.Session) error {
		err := m.encodeAll(messages, target.Limit(), func(msg echo.Message, line []byte) error {
			if err := session.Send(ctx, msg); err != nil {
				return unsupported(err)
			}
			out.say("sent %s, %d bytes", msg.EventType(), len(line))
			return nil
		})
		if err != nil || then == nil {
			return err
		}
		if !target.HasEvents() {
			out.say("delivered; over REST no event confirms it")
			return nil
		}
		return then(events, out)
	})
}

// join joins the room.
func (m *messageCmd) join(ctx context.Context, out *reporter) (*target, error) {
	return m.target.connect(ctx, room.Options{Conversation: m.settings.conversation,
		MaxMessage: m.settings.maxMessage}, "", out)
}

// encodeAll encodes messages, and sends each of them.
func (m *messageCmd) encodeAll(messages iter.Seq2[echo.Message, error], limit int,
	send func(msg echo.Message, line []byte) error) error {
	for msg, err := range messages {
		if err != nil {
			return inputError("standard input", err)
		}
		line, err := m.encode(msg, limit)
		if err != nil {
			return err
		}
		if err := send(msg, line); err != nil {
			return err
		}
	}
	return nil
}

// unsupported explains that the room does not carry such messages.
func unsupported(err error) error {
	if errors.Is(err, echo.ErrUnsupported) {
		return usagef("--to: %v: LiveKit rooms take audio and interrupts only", err)
	}
	return err
}

// maxText is the longest text in bytes, more than any message may have.
const maxText = 1 << 20

// text returns the arguments as one text, or standard input if the argument is -. It reads
// nothing if the options are invalid.
func (m *messageCmd) text(c *cli.Context, words []string) (string, error) {
	if err := m.checkRoom(c); err != nil {
		return "", err
	}
	if len(words) != 1 || words[0] != stdinName {
		return strings.Join(words, " "), nil
	}
	stdin, restore := terminal.ReadUntil(c.Context, m.streams.In)
	defer restore()
	text, err := io.ReadAll(io.LimitReader(stdin, maxText))
	if err != nil {
		return "", shutdown.Cause(c.Context, inputError("standard input", err))
	}
	return strings.TrimRight(string(text), "\n"), nil
}

func respondCommand(streams Streams) *cli.Command {
	m := &messageCmd{streams: streams}
	return textCommand(m, "respond", "have the replica answer a text as if the user had said it",
		"It needs a PAL with a language model; in echo mode there is none.",
		func(text string) echo.Message { return echo.Respond{Text: text} })
}

// textCommand returns a command that sends a message with a text.
func textCommand(m *messageCmd, name, usage, description string, message func(text string) echo.Message,
	own ...cli.Flag) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: "TEXT...",
		Description: description + "\nThe text is the arguments, joined by spaces, or with - standard input.",
		Flags:       m.flags(own...),
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return usagef("%s takes a text, or - for standard input", c.Command.HelpName)
			}
			text, err := m.text(c, c.Args().Slice())
			if err != nil {
				return err
			}
			return m.sendOne(c, message(text), nil)
		},
	}
}

func contextCommand(streams Streams) *cli.Command {
	overwrite := &messageCmd{streams: streams}
	add := &messageCmd{streams: streams}
	var completed bool
	return &cli.Command{
		Name: "context", Usage: "change what the replica's language model knows",
		UsageText: "echocast context append|overwrite [OPTIONS] TEXT...",
		Action:    option.NeedsCommand("echocast context"),
		Subcommands: []*cli.Command{
			textCommand(add, "append", "add to what the language model knows",
				"The replica does not speak because of it; echocast respond makes it speak.",
				func(text string) echo.Message {
					if completed {
						return echo.AppendContext{Context: text, JobStatus: echo.JobCompleted}
					}
					return echo.AppendContext{Context: text}
				},
				option.Bool(&completed, "job-completed", "report the result of a job outside of the conversation")),
			textCommand(overwrite, "overwrite", "replace what the language model knows", "An empty text leaves nothing.",
				func(text string) echo.Message { return echo.OverwriteContext{Context: text} }),
		},
	}
}

func interruptCommand(streams Streams) *cli.Command {
	m := &messageCmd{streams: streams}
	var wait time.Duration
	return &cli.Command{
		Name: "interrupt", Usage: "stop the replica, whoever made it speak",
		UsageText: "echocast interrupt --to URL",
		Flags: m.flags(option.New(&wait, "wait", 2*time.Second, "wait at most this `TIME` for the event that the replica "+
			"has stopped; without it the exit code is 9")),
		Action: func(c *cli.Context) error {
			if err := option.NoInputs(c); err != nil {
				return err
			}
			if wait < 0 {
				return usagef("--wait must not be negative")
			}
			return m.sendOne(c, echo.Interrupt{}, func(events <-chan echo.Event, out *reporter) error {
				return awaitStop(c.Context, events, wait, out)
			})
		},
	}
}

// awaitStop waits for the event that the replica has stopped.
func awaitStop(ctx context.Context, events <-chan echo.Event, wait time.Duration, out *reporter) error {
	limit := time.After(wait)
	for {
		select {
		case event := <-events:
			if event.Kind == echo.StoppedSpeaking && event.Role == echo.RolePal {
				out.say("the replica has stopped")
				return nil
			}
		case <-limit:
			return unconfirmedError{wait}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func sensitivityCommand(streams Streams) *cli.Command {
	m := &messageCmd{streams: streams}
	var pause, interrupt string
	levels := make([]string, 0, 6)
	for _, level := range echo.SensitivityLevels() {
		levels = append(levels, string(level))
	}
	known := strings.Join(levels, ", ")
	return &cli.Command{
		Name: "sensitivity", Usage: "set how readily the replica reacts to the user",
		UsageText: "echocast sensitivity --to URL --pause LEVEL\n   echocast sensitivity --to URL --interrupt LEVEL",
		Flags: m.flags(
			option.New(&pause, "pause", "", "how soon it answers in a pause: `LEVEL` is "+known+" (default: unchanged)"),
			option.New(&interrupt, "interrupt", "", "how soon it falls silent when the user speaks: `LEVEL` is one of the same "+
				"(default: unchanged)")),
		Action: func(c *cli.Context) error {
			if err := option.NoInputs(c); err != nil {
				return err
			}
			level, reaction := echo.SensitivityLevel(pause), echo.SensitivityLevel(interrupt)
			return m.sendOne(c, echo.Sensitivity{Pause: level, Interrupt: reaction}, nil)
		},
	}
}

func toolResultCommand(streams Streams) *cli.Command {
	m := &messageCmd{streams: streams}
	var failed bool
	return &cli.Command{
		Name: "tool-result", Usage: "answer a tool call", ArgsUsage: "ID [OUTPUT]",
		Description: `OUTPUT is a text, or a JSON object, or with - standard input. The ID is in the event
tool_call that echocast listen prints.`,
		Flags: m.flags(option.Bool(&failed, "error", "the tool failed, and OUTPUT says why")),
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return usagef("tool-result takes the id of a tool call, and what the tool said")
			}
			output, err := m.text(c, c.Args().Tail())
			if err != nil {
				return err
			}
			result := echo.ToolResult{ToolCallID: c.Args().First(), Output: echo.ToolOutput(output)}
			if failed {
				result.Status = echo.ToolError
			}
			return m.sendOne(c, result, nil)
		},
	}
}

func sendRawCommand(streams Streams) *cli.Command {
	m := &messageCmd{streams: streams}
	return &cli.Command{
		Name: "send-raw", Usage: "send messages that you have written", ArgsUsage: "JSON...",
		Description: `Each argument is one message, a JSON object; with - each line of standard input is
one, sent as soon as it is read. echocast fills in a missing conversation id.`,
		Flags:  m.flags(),
		Action: m.sendRaw,
	}
}

func (m *messageCmd) sendRaw(c *cli.Context) error {
	if !c.Args().Present() {
		return usagef("send-raw takes messages as JSON objects, or - for lines of standard input")
	}
	if err := m.checkRoom(c); err != nil {
		return err
	}
	if c.NArg() == 1 && c.Args().First() == stdinName {
		stdin, restore := terminal.ReadUntil(c.Context, m.streams.In)
		defer restore()
		return m.deliver(c.Context, echo.RawLines(stdin, maxText), nil)
	}
	for _, text := range c.Args().Slice() { // all, before the first is sent
		if _, err := m.encode(echo.Raw(text), m.settings.maxMessage); err != nil {
			return err
		}
	}
	return m.deliver(c.Context, func(yield func(echo.Message, error) bool) {
		for _, text := range c.Args().Slice() {
			if !yield(echo.Raw(text), nil) {
				return
			}
		}
	}, nil)
}

func emotionCommand(streams Streams) *cli.Command {
	m := &messageCmd{streams: streams}
	known := strings.Trim(fmt.Sprint(echo.Emotions()), "[]")
	return &cli.Command{
		Name: "emotion", Usage: "set what the face expresses, until the next one", ArgsUsage: "EMOTION",
		Description: "EMOTION is one of: " + strings.ReplaceAll(known, " ", ", ") + ".",
		Flags:       m.flags(),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("emotion takes one emotion: %s", strings.ReplaceAll(known, " ", ", "))
			}
			return m.sendOne(c, echo.SetEmotion{Emotion: echo.Emotion(c.Args().First())}, nil)
		},
	}
}
