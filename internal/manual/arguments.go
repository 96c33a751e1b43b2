package manual

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// implied are the values of options that may be written without a value, if another option
// or nothing follows.
var implied = map[string]string{"monitor": "play"}

// FlagsFirst moves flags before the inputs, because the flag package stops at the first
// input. Everything after "--" is an input.
func FlagsFirst(app *cli.App, args []string) []string {
	if len(args) < 2 {
		return args
	}
	command := app.Command(args[1])
	if command == nil {
		return args
	}
	words := 2
	for ; words < len(args); words++ { // subcommands stay in front
		inner := slices.IndexFunc(command.Subcommands, func(c *cli.Command) bool { return c.HasName(args[words]) })
		if inner < 0 {
			break
		}
		command = command.Subcommands[inner]
	}
	if len(command.Subcommands) > 0 {
		return args
	}
	flags, inputs := slices.Clone(args[:words]), []string{"--"}
	for rest := args[words:]; len(rest) > 0; {
		word := rest[0]
		rest = rest[1:]
		if word == "--" {
			inputs = append(inputs, rest...)
			break
		}
		if word == "-" || word == "" || word[0] != '-' {
			inputs = append(inputs, word)
			continue
		}
		flags = append(flags, word)
		if !needsValue(command, word) {
			continue
		}
		if value := implied[strings.TrimLeft(word, "-")]; value != "" && (len(rest) == 0 || isOption(rest[0])) {
			flags = append(flags, value)
			continue
		}
		if len(rest) == 0 {
			return flags // the flag package refuses it, rather than take "--" for the value
		}
		flags = append(flags, rest[0])
		rest = rest[1:]
	}
	return append(flags, inputs...)
}

func isOption(word string) bool { return len(word) > 1 && word[0] == '-' }

// needsValue reports whether this flag takes the next word as its value.
func needsValue(command *cli.Command, word string) bool {
	name := word[1:]
	if name != "" && name[0] == '-' {
		name = name[1:]
	}
	for _, flag := range command.Flags {
		if slices.Contains(flag.Names(), name) {
			_, isBool := flag.(*cli.BoolFlag)
			return !isBool
		}
	}
	return false // unknown, or with "=": the flag package handles it
}

// AsksForHelp looks among the options for --help, and for -h, which asks for the short
// help.
func (m *Manual) AsksForHelp(words []string) (asked, short bool) {
	command, rest := m.Command(words)
	for i := 0; i < len(rest) && rest[i] != "--"; i++ {
		switch {
		case rest[i] == "-h" || rest[i] == "--help" || rest[i] == "-help":
			return true, rest[i] == "-h"
		case command != nil && strings.HasPrefix(rest[i], "-") && needsValue(command, rest[i]):
			i++
		}
	}
	return false, false
}

// Explain adds advice to an error of the flag package: the option that was probably meant,
// the missing value, or the missing unit of a time.
func Explain(command *cli.Command, err error) string {
	text := err.Error()
	if name, unknown := strings.CutPrefix(text, "flag provided but not defined: -"); unknown && command != nil {
		name = strings.TrimPrefix(name, "-")
		text = "no option is called --" + name
		var names []string
		for _, flag := range command.Flags {
			names = append(names, flag.Names()...)
		}
		if meant := Closest(name, names); meant != "" {
			return text + "; did you mean --" + meant + "?"
		}
	}
	if name, isMissing := strings.CutPrefix(text, "flag needs an argument: -"); isMissing {
		return missingValue(command, strings.TrimPrefix(name, "-"))
	}
	if command == nil || !strings.HasPrefix(text, "invalid value ") {
		return text
	}
	for _, flag := range command.Flags {
		if _, isTime := flag.(*cli.DurationFlag); isTime && strings.Contains(text, " for flag -"+flag.Names()[0]+":") {
			return text + "; a time has a unit, such as 1s or 500ms"
		}
	}
	return text
}

// missingValue says what kind of value an option needs.
func missingValue(command *cli.Command, name string) string {
	text := "--" + name + " needs a value after it"
	if command == nil {
		return text
	}
	for _, flag := range command.Flags {
		about, isDocumented := flag.(cli.DocGenerationFlag)
		if isDocumented && slices.Contains(flag.Names(), name) {
			return text + ": " + strings.ReplaceAll(about.GetUsage(), "`", "")
		}
	}
	return text
}
