package manual

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Shells lists the supported shells.
var Shells = []string{"bash", "zsh", "fish", "powershell"}

//go:embed scripts/bash
var bash string

//go:embed scripts/zsh
var zsh string

//go:embed scripts/fish
var fish string

//go:embed scripts/powershell
var powershell string

// Script returns a shell's completion script. The script asks the program for candidates,
// so it does not change when the commands do.
func (m *Manual) Script(shell string) (string, error) {
	text, known := map[string]string{"bash": bash, "zsh": zsh, "fish": fish, "powershell": powershell}[shell]
	if !known {
		return "", fmt.Errorf("no completion for the shell %q; there is %s", shell, strings.Join(Shells, ", "))
	}
	return strings.ReplaceAll(text, "PROGRAM", m.App.Name), nil
}

// Files is a line of output that says that file names are allowed.
const Files = ":files"

// Complete writes the candidates for the current word, given the words before it. Each line
// has a candidate, a tab and its description. If a file name is allowed, the last line is
// Files.
func (m *Manual) Complete(out io.Writer, current string, before []string) {
	for _, candidate := range m.candidates(current, before) {
		fmt.Fprintln(out, candidate)
	}
}

func (m *Manual) candidates(current string, before []string) []string {
	before = slices.DeleteFunc(slices.Clone(before), func(word string) bool { return word == "=" }) // bash splits at =
	if current == "=" {
		current = ""
	}
	command, rest := m.Command(before)
	if command == nil {
		return matching(current, m.names(before))
	}
	options := m.options(command)
	if len(before) > 0 {
		if o, found := find(options, before[len(before)-1]); found && o.value != "" {
			return o.values("", current)
		}
	}
	if name, value, joined := strings.Cut(current, "="); joined {
		if o, found := find(options, name); found {
			return o.values(name+"=", value)
		}
	}
	if strings.HasPrefix(current, "-") {
		return matching(current, describe(options))
	}
	if len(command.Subcommands) > 0 && len(rest) == 0 {
		return matching(current, listed(command.Subcommands))
	}
	if values := m.Choices[command.Name+" "]; values != nil {
		return matching(current, plain(values))
	}
	return []string{Files}
}

// names returns the candidates for the first word of a command line.
func (m *Manual) names(before []string) []candidate {
	if len(before) > 0 && before[0] != "help" {
		return nil
	}
	all := listed(m.App.Commands)
	if len(before) > 0 {
		for _, topic := range m.Topics {
			all = append(all, candidate{topic.Name, topic.Usage})
		}
	}
	return all
}

// candidate is a word and its description.
type candidate struct{ word, meaning string }

func listed(commands []*cli.Command) []candidate {
	var all []candidate
	for _, c := range commands {
		if !c.Hidden {
			all = append(all, candidate{c.Name, c.Usage})
		}
	}
	return all
}

func describe(options []option) []candidate {
	var all []candidate
	for _, o := range options {
		for _, name := range o.names {
			all = append(all, candidate{name, o.usage})
		}
	}
	return append(all, candidate{"--help", "show all options"})
}

func plain(words []string) []candidate {
	var all []candidate
	for _, word := range words {
		all = append(all, candidate{word: word})
	}
	return all
}

// matching returns the lines of the candidates that begin with word.
func matching(word string, all []candidate) []string {
	var lines []string
	for _, c := range all {
		if strings.HasPrefix(c.word, word) {
			lines = append(lines, strings.TrimSuffix(c.word+"\t"+c.meaning, "\t"))
		}
	}
	return lines
}

func find(options []option, word string) (option, bool) {
	i := slices.IndexFunc(options, func(o option) bool { return slices.Contains(o.names, word) })
	if i < 0 {
		return option{}, false
	}
	return options[i], true
}

// values returns the candidates for the value of an option, after a prefix.
func (o option) values(prefix, word string) []string {
	if len(o.choices) == 0 {
		if strings.Contains(o.value, "FILE") || strings.Contains(o.value, "PATH") {
			return []string{Files}
		}
		return nil
	}
	lines := matching(word, plain(o.choices))
	for i := range lines {
		lines[i] = prefix + lines[i]
	}
	return lines
}
