package cli

import (
	"context"
	"io"

	"github.com/urfave/cli/v2"

	"echocast/echo"
)

type encoding struct {
	settings
	streams Streams
}

func encodeCommand(streams Streams) *cli.Command {
	e := &encoding{streams: streams}
	return &cli.Command{
		Name:      "encode",
		Usage:     "write the messages to stdout, one JSON object a line, for another client to send",
		UsageText: "echocast encode [OPTIONS] INPUT...\n\n   echocast encode speech.mp3 > messages.ndjson\n   tts | echocast encode --pace lead --conversation c123 - | my_client",
		Description: helpInputs + `

An input that breaks after something of it was written ends with a
conversation.interrupt message instead of a done, and with exit code 3.`,
		Flags: append(append(append(e.inputFlags(), e.levelFlags()...), e.messageFlags(echo.BurstMode)...), e.outputFlags()...),
		Action: func(c *cli.Context) error {
			return e.run(c.Context, c.Args().Slice())
		},
	}
}

func (e *encoding) run(ctx context.Context, names []string) error {
	if e.json && !e.dryRun {
		return usagef("--json prints the plan of --dry-run; the messages of encode are JSON lines already")
	}
	if err := e.check(names); err != nil {
		return err
	}
	if err := checkInputs(ctx, names, e.streams.In, &e.settings); err != nil {
		return err
	}
	stdin, restore := endReads(ctx, e.streams.In)
	defer restore()
	if e.dryRun {
		return e.printPlans(ctx, names, stdin, e.streams)
	}
	lines := echo.NewLines(stdoutWriter{e.streams.Out}, e.pace != string(echo.BurstMode))
	options := e.session()
	options.SkipHeard, options.SkipReady = true, true
	out := e.newReporter(io.Discard, e.streams.Err)
	options.OnReceipt = out.receive
	session, err := echo.NewSession(echo.NewMessages(lines, e.conversation, e.maxMessage), options)
	if err != nil {
		return settingsError(err)
	}
	defer session.Close()
	err = (&speaker{session, &e.settings, nil, stdin, out}).all(ctx, names)
	if failed := lines.Flush(); failed != nil { // or what a write before it met
		return failed
	}
	return err
}
