package cli

import (
	"context"
	"io"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/internal/terminal"
)

// encodeCmd is the encode command.
type encodeCmd struct {
	settings settings
	streams  Streams
}

func encodeCommand(streams Streams) *cli.Command {
	e := &encodeCmd{streams: streams}
	return &cli.Command{
		Name:  "encode",
		Usage: "write the messages to stdout, one JSON object a line, for another client to send",
		UsageText: "echocast encode [OPTIONS] INPUT...\n\n   echocast encode speech.mp3 > messages.ndjson\n" +
			"   tts | echocast encode --pace lead --conversation c123 - | my_client",
		Description: helpInputs + `

If an input breaks in the middle, its last message is a conversation.interrupt, not
one that says done, and the exit code is 3.`,
		Flags: append(append(append(e.settings.inputFlags(), e.settings.levelFlags()...),
			e.settings.messageFlags(echo.BurstMode)...), e.settings.outputFlags()...),
		Action: option.WithInputs(e.run),
	}
}

func (e *encodeCmd) run(ctx context.Context, names []string) error {
	if e.settings.json && !e.settings.dryRun {
		return usagef("--json prints the plan of --dry-run; the messages of encode are JSON lines already")
	}
	if err := e.settings.check(names); err != nil {
		return err
	}
	if err := checkInputs(ctx, names, e.streams.In, &e.settings); err != nil {
		return err
	}
	stdin, restore := terminal.ReadUntil(ctx, e.streams.In)
	defer restore()
	if e.settings.dryRun {
		return e.settings.printPlans(ctx, names, stdin, e.streams)
	}
	lines := echo.NewLines(output.Writer(e.streams.Out), e.settings.pace != string(echo.BurstMode))
	e.settings.audio.BeforeRead = func() { _ = lines.Flush() } // Send returns the error
	options := e.settings.session()
	options.SkipHeard, options.SkipReady = true, true
	out := e.settings.newReporter(Streams{Out: io.Discard, Err: e.streams.Err})
	options.OnReceipt = out.receive
	session, err := echo.NewSession(echo.NewMessages(lines, e.settings.conversationID(), e.settings.maxMessage), options)
	if err != nil {
		return settingsError(err)
	}
	defer session.Close()
	err = inputFailure(ctx, out.speaker(ctx, session, stdin).All(ctx, names))
	if failed := lines.Flush(); failed != nil { // or the error of an earlier write
		return failed
	}
	return err
}
