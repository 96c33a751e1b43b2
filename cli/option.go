package cli

import (
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// option makes the flag that sets *to. Its names are separated by commas, the long
// one first. The usage is written as the help prints it: at its end may stand what
// the default means, "(default: TEXT)", and the variables that set the option too,
// "[$NAME, $NAME]".
func option[T string | int | float64 | time.Duration](to *T, names string, value T, usage string) cli.Flag {
	usage, variables := cutEnd(usage, " [$", "]")
	usage, shown := cutEnd(usage, " (default: ", ")")
	all := strings.Split(names, ", ")
	name, aliases := all[0], all[1:]
	switch to := any(to).(type) {
	case *int:
		return &cli.IntFlag{Name: name, Aliases: aliases, Destination: to,
			Value: any(value).(int), DefaultText: shown, Usage: usage}
	case *float64:
		return &cli.Float64Flag{Name: name, Aliases: aliases, Destination: to,
			Value: any(value).(float64), DefaultText: shown, Usage: usage}
	case *time.Duration:
		return &cli.DurationFlag{Name: name, Aliases: aliases, Destination: to,
			Value: any(value).(time.Duration), DefaultText: shown, Usage: usage}
	}
	flag := &cli.StringFlag{Name: name, Aliases: aliases, Destination: any(to).(*string),
		Value: any(value).(string), DefaultText: shown, Usage: usage}
	if variables != "" {
		flag.EnvVars = strings.Split(variables, ", $")
	}
	return flag
}

// cutEnd takes off the end of a text that begins and ends with these marks.
func cutEnd(text, begin, end string) (before, inside string) {
	before, inside, found := strings.Cut(text, begin)
	if !found || !strings.HasSuffix(inside, end) {
		return text, ""
	}
	return before, strings.TrimSuffix(inside, end)
}

// boolOption makes the flag that sets *to to true.
func boolOption(to *bool, names, usage string) cli.Flag {
	all := strings.Split(names, ", ")
	return &cli.BoolFlag{Name: all[0], Aliases: all[1:], Destination: to, DisableDefaultText: true, Usage: usage}
}

// quietFlag is --quiet, which means the same for each command.
func quietFlag(to *bool) cli.Flag {
	return boolOption(to, "quiet, q", "say nothing but warnings and errors")
}
