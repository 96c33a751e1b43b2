// Package option defines the options of commands by the variables that they set. It also
// checks options and arguments.
package option

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// Error reports wrong usage. Its text says what is wrong and what to type.
type Error struct{ text string }

// Error says what is wrong.
func (e *Error) Error() string { return e.text }

// Errorf returns an Error with a formatted text.
func Errorf(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// New returns the flag that sets *to. names are separated by commas, the long name first.
// usage is the text in the help. It may end in a description of the default, "(default:
// TEXT)", and in the variables that also set the option, "[$NAME, $NAME]".
func New[T string | int | float64 | time.Duration](to *T, names string, value T, usage string) cli.Flag {
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

// cutEnd splits off the end of a text if it has the form begin…end.
func cutEnd(text, begin, end string) (before, inside string) {
	before, inside, found := strings.Cut(text, begin)
	if !found || !strings.HasSuffix(inside, end) {
		return text, ""
	}
	return before, strings.TrimSuffix(inside, end)
}

// Bool returns the flag that sets *to to true.
func Bool(to *bool, names, usage string) cli.Flag {
	all := strings.Split(names, ", ")
	return &cli.BoolFlag{Name: all[0], Aliases: all[1:], Destination: to, DisableDefaultText: true, Usage: usage}
}

// Names returns the names of a flag, the long name first. At the start, this is needed for
// each flag of each command, and flag.Names applies a regular expression to each.
func Names(flag cli.Flag) []string {
	switch f := flag.(type) {
	case *cli.StringFlag:
		return append([]string{f.Name}, f.Aliases...)
	case *cli.BoolFlag:
		return append([]string{f.Name}, f.Aliases...)
	case *cli.IntFlag:
		return append([]string{f.Name}, f.Aliases...)
	case *cli.DurationFlag:
		return append([]string{f.Name}, f.Aliases...)
	}
	return flag.Names()
}

// Quiet returns the flag --quiet, which means the same in each command.
func Quiet(to *bool) cli.Flag {
	return Bool(to, "quiet, q", "say nothing but warnings and errors")
}

// Join concatenates lists of flags.
func Join(lists ...[]cli.Flag) (all []cli.Flag) { return slices.Concat(lists...) }

// OneOf returns an error if the value of a flag is not one of the known values.
func OneOf(flag, value string, known ...string) error {
	if value == "" && slices.Contains(known, "") {
		return nil
	}
	known = slices.DeleteFunc(known, func(k string) bool { return k == "" })
	if slices.Contains(known, value) {
		return nil
	}
	return Errorf("%s %s: must be one of %s", flag, value, strings.Join(known, ", "))
}
