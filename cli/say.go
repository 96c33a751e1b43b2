package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/internal/shutdown"
	"echocast/internal/terminal"
	"echocast/internal/textcut"
)

// sayCmd is the say command.
type sayCmd struct{ messageCmd }

func sayCommand(streams Streams) *cli.Command {
	s := &sayCmd{messageCmd: messageCmd{streams: streams}}
	return &cli.Command{
		Name: "say", Usage: "have the replica say a text word for word, in its own voice", ArgsUsage: "TEXT...",
		UsageText: "echocast say [OPTIONS] TEXT...\n\n   echocast say --to URL \"Welcome to the harbour tour.\"\n" +
			"   my_llm | echocast say --to URL -",
		Description: `The text is the arguments, joined by spaces. With - it is standard input, sent word
by word as it arrives; the utterance ends when the input does. Emotion tags, such as
<emotion value="excited"/>, stay unchanged.

The exit codes are those of echocast send.`,
		Flags: s.speechFlags(option.Bool(&s.settings.json, "json", "print the receipt as a JSON line on stdout")),
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return usagef("say takes a text, or - for standard input")
			}
			return s.settings.printFailure(streams.Out, s.run(c.Context, c.Args().Slice()))
		},
	}
}

func (s *sayCmd) run(ctx context.Context, arguments []string) error {
	if err := s.check(); err != nil {
		return err
	}
	text := echo.Words(strings.Join(arguments, " "))
	text.Name = "text"
	if len(arguments) == 1 && arguments[0] == stdinName {
		if terminal.Is(s.streams.In) {
			return usagef("standard input is a terminal; %s", pipeText)
		}
		stdin, restore := terminal.ReadUntil(ctx, s.streams.In)
		defer restore()
		text = echo.Text{Pieces: pieces(stdin), Name: "standard input"}
		if closer, ok := stdin.(io.Closer); ok {
			text.Abort = func() { _ = closer.Close() }
		}
	}
	if s.settings.dryRun {
		return s.plan(ctx, text)
	}
	out := s.settings.newReporter(s.streams)
	var receipt echo.Receipt
	target, err := s.join(ctx, out)
	if err != nil {
		return err
	}
	options := &echo.Options{OnReceipt: func(r echo.Receipt) { receipt = r }}
	return target.talk(ctx, options, out, func(session *echo.Session) error {
		if _, err = session.Say(ctx, text); errors.Is(err, echo.ErrNoText) {
			err = fmt.Errorf("%w; %s", err, pipeText)
		}
		return cmp.Or(shutdown.Cause(ctx, unsupported(err)), out.spoken(receipt))
	})
}

// spoken reports how an utterance of text ended.
func (r *reporter) spoken(receipt echo.Receipt) error {
	if receipt.Chunks > 0 {
		r.sayOutcome(receipt.Source, &receipt, true)
	}
	return r.print(plainReceipt{receipt, r.isRehearsal})
}

// plan prints the messages without sending them.
func (s *sayCmd) plan(ctx context.Context, text echo.Text) error {
	lines := echo.NewLines(s.streams.Out, true)
	options := &echo.Options{SkipHeard: true, SkipReady: true}
	session, err := echo.NewSession(echo.NewMessages(lines, s.settings.conversationID(), s.settings.maxMessage), options)
	if err != nil {
		return settingsError(err)
	}
	defer session.Close()
	_, err = session.Say(ctx, text)
	if failed := lines.Flush(); failed != nil {
		return &output.Error{Err: failed}
	}
	return shutdown.Cause(ctx, err)
}

var errNoText = errors.New("this is no text in UTF-8; audio is spoken with: echocast send -")

// pipeText says what to type.
const pipeText = `pipe text into it, or give the text: echocast say "Hello"`

// pieces reads standard input in pieces as they arrive. It does not cut words or tags, and refuses
// what is no text.
func pieces(r io.Reader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for piece, err := range textcut.Words(r) {
			if err != nil {
				err = inputError("standard input", err)
			} else if !utf8.ValidString(piece) || strings.ContainsRune(piece, 0) {
				err = inputError("standard input", errNoText)
			}
			if !yield(piece, err) {
				return
			}
		}
	}
}
