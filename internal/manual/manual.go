// Package manual renders the documentation of a command line: help pages for the terminal,
// man pages, and shell completion. All of them are made from the command definitions of
// urfave/cli.
package manual

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Manual is a command line, with information that urfave/cli does not have.
type Manual struct {
	App *cli.App
	// Groups are the headings of options, in order. Options that are in no group are listed
	// under the heading "other".
	Groups []Group
	// Choices are the values of an option, by its name, or by "COMMAND NAME" if the option has
	// other values in that command.
	Choices map[string][]string
	// Common are the options in the short help of a command, by the command's name. For
	// other commands the short help lists the first ten options.
	Common map[string][]string
	// Sections are the headings of commands, in order.
	Sections []Group
	// Topics are additional help pages that belong to no command.
	Topics []Topic
}

// Group is a heading and the names under it.
type Group struct {
	Name    string
	Members []string
}

// Topic is a help page that belongs to no command. Foot is the line in the help of each
// command that refers to it.
type Topic struct{ Name, Usage, Text, Foot string }

// Command returns the command that the words name, and the remaining words. It returns nil
// if the first word names no command.
func (m *Manual) Command(words []string) (*cli.Command, []string) {
	var found *cli.Command
	commands := m.App.Commands
	for len(words) > 0 {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(words[0]) })
		if i < 0 {
			break
		}
		found, commands, words = commands[i], commands[i].Subcommands, words[1:]
	}
	return found, words
}

// commands returns all commands that are not hidden, including subcommands, each with its
// full name.
func (m *Manual) commands() []named {
	var all []named
	var walk func(prefix string, commands []*cli.Command)
	walk = func(prefix string, commands []*cli.Command) {
		for _, c := range commands {
			if c.Hidden {
				continue
			}
			all = append(all, named{prefix + " " + c.Name, c})
			walk(prefix+" "+c.Name, c.Subcommands)
		}
	}
	walk(m.App.Name, m.App.Commands)
	return all
}

// named is a command with the words that run it.
type named struct {
	name    string
	command *cli.Command
}

// option is one flag, formatted for people.
type option struct {
	names   []string // with dashes, short ones first
	value   string   // placeholder for its value; "" for a switch
	usage   string
	deflt   string
	env     []string
	choices []string
}

// options returns the flags of a command that are not hidden.
func (m *Manual) options(c *cli.Command) []option {
	var all []option
	for _, flag := range c.Flags {
		if visible, ok := flag.(cli.VisibleFlag); ok && !visible.IsVisible() {
			continue
		}
		described, ok := flag.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		o := m.option(flag, described)
		if choices, ok := m.Choices[c.Name+" "+flag.Names()[0]]; ok {
			o.choices = choices
		}
		all = append(all, o)
	}
	return all
}

func (m *Manual) option(flag cli.Flag, described cli.DocGenerationFlag) option {
	names := slices.Clone(flag.Names())
	slices.SortStableFunc(names, func(a, b string) int { return min(len(a), 3) - min(len(b), 3) })
	for i, name := range names {
		if names[i] = "--" + name; len(name) == 1 {
			names[i] = "-" + name
		}
	}
	o := option{names: names, env: described.GetEnvVars(), choices: m.Choices[flag.Names()[0]]}
	o.value, o.usage = placeholder(described.GetUsage())
	if !described.TakesValue() {
		o.value = ""
		return o
	}
	if o.value == "" {
		o.value = "VALUE"
	}
	if slice, ok := flag.(cli.DocGenerationSliceFlag); ok && slice.IsSliceFlag() {
		o.usage += "; may be repeated"
		o.usage = strings.Replace(o.usage, "; may be repeated; may be repeated", "; may be repeated", 1)
	}
	o.deflt = Default(flag)
	return o
}

// placeholder returns the word in backquotes, and the text without the backquotes.
func placeholder(usage string) (name, text string) {
	before, rest, _ := strings.Cut(usage, "`")
	word, after, isWhole := strings.Cut(rest, "`")
	if !isWhole {
		return "", usage
	}
	return word, before + word + after
}

// Default returns the default of an option, as it would be typed, or a description of it.
func Default(flag cli.Flag) string {
	described, ok := flag.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	if text := described.GetDefaultText(); text != "" {
		return strings.Trim(text, `"`)
	}
	return described.GetValue()
}

// grouped returns the options by heading.
func (m *Manual) grouped(options []option) (headings []string, members map[string][]option) {
	members = map[string][]option{}
	for _, o := range options {
		heading := m.heading(o)
		members[heading] = append(members[heading], o)
	}
	for _, g := range m.Groups {
		if len(members[g.Name]) > 0 {
			headings = append(headings, g.Name)
		}
	}
	if len(members[other]) > 0 {
		headings = append(headings, other)
	}
	return headings, members
}

// other is the heading of options that are in no group.
const other = "other"

func (m *Manual) heading(o option) string {
	for _, g := range m.Groups {
		for _, name := range o.names {
			if slices.Contains(g.Members, strings.TrimLeft(name, "-")) {
				return g.Name
			}
		}
	}
	return other
}

// common returns the options that the short help lists.
func (m *Manual) common(c *cli.Command, options []option) []option {
	const most = 10
	names, listed := m.Common[c.Name]
	if len(options) <= most || !listed {
		return options[:min(most, len(options))]
	}
	var few []option
	for _, name := range names {
		i := slices.IndexFunc(options, func(o option) bool { return slices.Contains(o.names, "--"+name) })
		if i >= 0 {
			few = append(few, options[i])
		}
	}
	return few
}

// usage returns the usage lines of a command, and its examples, which follow the first
// empty line.
func usage(c named) (lines, examples []string) {
	typed, rest, _ := strings.Cut(c.command.UsageText, "\n\n")
	if lines = trimmed(typed); len(lines) > 0 {
		return lines, trimmed(rest)
	}
	if len(c.command.Subcommands) > 0 {
		return []string{c.name + " COMMAND [OPTIONS]"}, trimmed(rest)
	}
	return []string{strings.TrimSpace(c.name + " [OPTIONS] " + c.command.ArgsUsage)}, trimmed(rest)
}

// trimmed returns the lines that are not empty, without the spaces around them.
func trimmed(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
