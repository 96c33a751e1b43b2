package logline

import (
	"cmp"
	"log/slog"
	"slices"

	"echocast/internal/option"

	"github.com/urfave/cli/v2"

	"echocast/logs"
)

// levels are the values of --log-level.
var levels = map[string]slog.Level{"": slog.LevelInfo, "info": slog.LevelInfo, "debug": slog.LevelDebug}

// Use adds the options of a log to each command that connects to something. With these
// options, people becomes the log. Connections get the logger from the command's context.
func Use(commands []*cli.Command, people *Writer, hide func(string) string) {
	for _, command := range commands {
		Use(command.Subcommands, people, hide)
		if !hasOption(command, "to", "base-url", "listen") {
			continue
		}
		var verbose bool
		var format, level string
		if !hasOption(command, "verbose") { // conversation get has its own --verbose
			command.Flags = append(command.Flags, &cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Destination: &verbose,
				DisableDefaultText: true, Usage: "log what the connections do: requests, ICE, states, who joins and leaves"})
		}
		command.Flags = append(command.Flags,
			&cli.StringFlag{Name: "log-format", Destination: &format, DefaultText: Text,
				Usage: "`FORMAT` of this log: text, or json for all lines on stderr"},
			&cli.StringFlag{Name: "log-level", Destination: &level, DefaultText: "info",
				Usage: "`LEVEL` of this log: info, or debug, which adds the WebRTC library's log"})
		before := command.Before
		command.Before = func(c *cli.Context) error {
			threshold, isLevel := levels[level]
			switch {
			case format != "" && format != Text && format != JSON:
				return option.Errorf("--log-format %s: must be one of %s, %s", format, Text, JSON)
			case !isLevel:
				return option.Errorf("--log-level %s: must be one of info, debug", level)
			case verbose || format != "" || level != "":
				c.Context = logs.Into(c.Context, people.Start(cmp.Or(format, Text), threshold, hide))
			}
			return before(c)
		}
	}
}

func hasOption(command *cli.Command, names ...string) bool {
	return slices.ContainsFunc(command.Flags, func(f cli.Flag) bool { return slices.Contains(names, option.Names(f)[0]) })
}
