package manual

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
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

// Explain puts an error of the flag package in plain words, and adds advice: the option that
// was probably meant, the missing value, or which values the option takes.
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
	if names, isTwice := strings.CutPrefix(text, "Cannot use two forms of the same flag: "); isTwice {
		one, other, _ := strings.Cut(names, " ")
		return "--" + one + " and --" + other + " are one option: leave one of them out"
	}
	if m := refusedValue.FindStringSubmatch(text); m != nil {
		if value, err := strconv.Unquote(m[1]); err == nil {
			return BadValue(command, m[2], value)
		}
	}
	return text
}

// refusedValue matches the errors of the flag package about values.
var refusedValue = regexp.MustCompile(`(?s)^invalid (?:boolean )?value (".*") for (?:flag )?-(\S+): `)

// BadValue says which values an option takes, if the flag package refuses one.
func BadValue(command *cli.Command, name, value string) string {
	text := "--" + name + " " + value + ": "
	if command == nil {
		return text + "it cannot be read"
	}
	for _, flag := range command.Flags {
		if slices.Contains(flag.Names(), name) {
			return "--" + flag.Names()[0] + " " + value + ": " + allowed(flag, value)
		}
	}
	return text + "it cannot be read"
}

// allowed says what the value of an option must be.
func allowed(flag cli.Flag, value string) string {
	switch flag.(type) {
	case *cli.IntFlag:
		if _, err := strconv.Atoi(value); errors.Is(err, strconv.ErrRange) {
			return "the number is too large"
		}
		return "it must be a whole number, in digits"
	case *cli.Float64Flag:
		return "it must be a number, such as 2 or -0.5"
	case *cli.DurationFlag:
		return "a time has a unit, such as 1s or 500ms"
	case *cli.BoolFlag:
		return "it must be true or false"
	}
	return "it cannot be read"
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
