// Package cli is the command line of echocast: one file for each command, beside
// the files that commands share. The commands conversation and pal are in
// internal/account; options, wrong usage and printing in internal/option and
// internal/output.
//
// stdout carries data only. stderr is for people: every line begins with
// "echocast: " and is in lower case; an error says what happened, where, and what
// to do. A status line is shown only if stderr is a terminal.
package cli

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"echocast/internal/account"
	"echocast/internal/logline"
	"echocast/internal/manual"
	"echocast/internal/output"
	"echocast/internal/redact"
	"echocast/internal/shutdown"
	"echocast/internal/terminal"
)

// Version is the version of this release.
const Version = "0.1.0"

// Streams are the standard streams of a run. If In is an io.Closer, a cancelled
// run closes it to end a read that blocks.
type Streams = output.Streams

// Run runs the command line args and returns the exit code. The first word of args is the
// program's name. Run reads and writes only through streams.
func Run(ctx context.Context, args []string, streams Streams) int {
	people := linesTo(&streams)
	return report(runApp(ctx, args, streams, nil), people)
}

// linesTo makes stderr a stream of lines that may become a log.
func linesTo(streams *Streams) *logline.Writer {
	people := logline.New(streams.Err, output.Prefix)
	streams.Err = people
	return people
}

func runApp(ctx context.Context, args []string, streams Streams, server *Server) error {
	defer func() {
		if why := recover(); why != nil { // end what costs money, then crash as usual
			shutdown.Cleanup()
			panic(why)
		}
	}()
	for _, variable := range secretVariables {
		redact.Known.Add(os.Getenv(variable))
	}
	redact.KnowWords(args)
	app := newApp(streams, server)
	if answered, err := answer(app, args, streams.Out); answered {
		return err
	}
	return app.RunContext(ctx, manual.FlagsFirst(app, args))
}

// report prints an error for people, and returns its exit code.
func report(err error, people *logline.Writer) int {
	if err != nil && !isPrinted(err) {
		color := terminal.Red
		if _, isSignal := errors.AsType[shutdown.SignalError](err); isSignal {
			color = ""
			_, _ = io.WriteString(people, terminal.LineStart(people)) // the line may begin with ^C
		}
		people.Error(terminal.Paint(people, color, output.ForPeople(firstLine(err.Error()))))
	}
	return exitCode(err)
}

// sharedFlag is a flag that concurrent runs share, as urfave/cli shares --help and
// --version. It parses into a copy.
type sharedFlag struct{ *cli.BoolFlag }

func (f sharedFlag) Apply(set *flag.FlagSet) error {
	own := *f.BoolFlag
	return own.Apply(set)
}

func init() {
	cli.HelpFlag = sharedFlag{cli.HelpFlag.(*cli.BoolFlag)}
	cli.VersionFlag = sharedFlag{cli.VersionFlag.(*cli.BoolFlag)}
}

// newApp describes the commands. By default, urfave/cli prints usage errors on
// stdout and exits inside Run; both are turned off.
func newApp(streams Streams, server *Server) *cli.App {
	app := &cli.App{
		Name:            "echocast",
		Usage:           "speak audio through a live video replica",
		UsageText:       "echocast COMMAND [OPTIONS] INPUT...",
		Description:     helpInputs,
		Version:         Version,
		HideHelpCommand: true,
		Reader:          streams.In,
		Writer:          streams.Out,
		ErrWriter:       streams.Err,
		ExitErrHandler:  func(*cli.Context, error) {},
		OnUsageError:    asUsageError,
		Action: func(c *cli.Context) error {
			return unknownCommand(newManual(c.App), c.Args().First())
		},
		Commands: []*cli.Command{
			sendCommand(streams),
			encodeCommand(streams),
			sayCommand(streams),
			respondCommand(streams),
			interruptCommand(streams),
			contextCommand(streams),
			sensitivityCommand(streams),
			emotionCommand(streams),
			toolResultCommand(streams),
			sendRawCommand(streams),
			listenCommand(streams),
			hearCommand(streams),
			converseCommand(streams, server),
			bridgeCommand(streams, server),
			replicaCommand(streams, server),
			benchCommand(streams),
			testCommand(streams),
			probeCommand(streams),
			presetCommand(streams),
			reportCommand(streams),
			replayCommand(streams),
			account.ConversationCommand(streams),
			account.PALCommand(streams),
			doctorCommand(streams),
			inviteCommand(streams),
			mcpCommand(streams, server),
			serveCommand(streams, server),
			completionCommand(streams),
			configCommand(streams),
			versionCommand(streams, server),
			manCommand(),
		},
	}
	disableDefaults(app.Commands)
	if people, ok := streams.Err.(*logline.Writer); ok {
		logline.Use(app.Commands, people, redact.Hide)
	}
	sources.Use(app, streams.Warn)
	return app
}

// disableDefaults turns off, for subcommands too, what urfave/cli prints itself, and
// refuses commands that need another program before they begin.
func disableDefaults(commands []*cli.Command) {
	for _, command := range commands {
		command.OnUsageError = asUsageError
		command.HideHelpCommand = true
		command.Before = checkServer
		disableDefaults(command.Subcommands)
	}
}

func asUsageError(c *cli.Context, err error, _ bool) error {
	name := "echocast"
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != name {
		name = cmp.Or(c.Command.HelpName, name+" "+c.Command.Name)
	}
	return usagef("%s; %s --help lists the options", manual.Explain(c.Command, err), name)
}
