package cli

import (
	"cmp"
	"log/slog"
	"slices"

	"github.com/urfave/cli/v2"

	"echocast/internal/logline"
	"echocast/logs"
)

// logOptions say what connections tell of their work, and how.
type logOptions struct {
	verbose       bool
	format, level string
}

// useLogs gives the options of a log to each command that connects to something.
func useLogs(commands []*cli.Command, people *logline.Writer) {
	for _, command := range commands {
		useLogs(command.Subcommands, people)
		connects := func(f cli.Flag) bool { return slices.Contains([]string{"to", "base-url", "listen"}, f.Names()[0]) }
		if !slices.ContainsFunc(command.Flags, connects) {
			continue
		}
		o := &logOptions{}
		isVerbose := func(f cli.Flag) bool { return f.Names()[0] == "verbose" }
		if !slices.ContainsFunc(command.Flags, isVerbose) { // for conversation get it is a matter of the answer
			command.Flags = append(command.Flags,
				boolOption(&o.verbose, "verbose, v", "say what the connections do: requests, ICE, states, who joins and leaves"))
		}
		command.Flags = append(command.Flags,
			option(&o.format, "log-format", "", "say it as `FORMAT`: text, or json, then with all other lines (default: text)"),
			option(&o.level, "log-level", "", "say so `MUCH`: info, or debug, with the words of the WebRTC library "+
				"(default: info)"))
		before := command.Before
		command.Before = func(c *cli.Context) error {
			if err := o.start(c, people); err != nil {
				return err
			}
			return before(c)
		}
	}
}

// start begins the log, if it is asked for.
func (o *logOptions) start(c *cli.Context, people *logline.Writer) error {
	level := slog.LevelInfo
	if err := oneOf("--log-format", o.format, "", logline.Text, logline.JSON); err != nil {
		return err
	}
	switch err := oneOf("--log-level", o.level, "", "info", "debug"); {
	case err != nil:
		return err
	case !o.verbose && o.format == "" && o.level == "":
		return nil
	case o.level == "debug":
		level = slog.LevelDebug
	}
	c.Context = logs.Into(c.Context, people.Start(cmp.Or(o.format, logline.Text), level, hidden))
	return nil
}
