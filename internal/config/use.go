package config

import (
	"slices"
	"strings"

	"echocast/internal/option"

	"github.com/urfave/cli/v2"

	"echocast/internal/manual"
	"echocast/internal/text"
)

// Use reads options that are not on the command line from the environment and the file, for
// every command with options. It also adds the option --profile. An error about such an
// option names its source. Use calls warn if others can read a file that names secrets.
func (s *Sources) Use(app *cli.App, warn func(format string, args ...any)) {
	_ = s.walk("", app.Commands, func(path string, command *cli.Command) error { // never fails
		takeVariables(command)
		s.wrap(app, path, command, warn)
		return nil
	})
}

// wrap makes a command read the settings before it starts.
func (s *Sources) wrap(app *cli.App, path string, command *cli.Command, warn func(string, ...any)) {
	command.Flags = append(command.Flags,
		&cli.StringFlag{Name: ProfileOption, DefaultText: "none", Usage: "use the settings of the profile `NAME`"})
	before, action := command.Before, command.Action
	var found *Found
	var flags []cli.Flag
	command.Before = func(c *cli.Context) (err error) {
		typed := c.LocalFlagNames()
		isTyped := func(option string) bool { return slices.Contains(typed, option) }
		if found, err = s.Find(app, path, command, TypedProfile(c), isTyped); err != nil {
			return err
		}
		if found.isExposed {
			warn("other users of this machine can read %s, which names files with secrets: run chmod 600 on it", found.File.Path)
		}
		err = found.apply(c)
		if err == nil && before != nil {
			err = before(c)
		}
		if err == nil && len(command.Subcommands) == 0 {
			// urfave/cli would now look for the Action of each option. None has an Action,
			// and the time grows with the square of the number of options: 2 ms for send.
			flags, command.Flags = command.Flags, nil
		}
		return err
	}
	command.Action = func(c *cli.Context) error {
		if len(command.Subcommands) == 0 {
			command.Flags = flags
		}
		err := action(c)
		if err == nil {
			return nil
		}
		if source := found.explain(err.Error()); source != "" {
			return &sourceError{err, source}
		}
		return err
	}
}

// sourceError adds the source of an option to the error of a command.
type sourceError struct {
	err    error
	source string
}

func (e *sourceError) Error() string { return e.err.Error() + " (" + e.source + ")" }
func (e *sourceError) Unwrap() error { return e.err }

// takeVariables makes Sources read the environment variables of options. urfave/cli would
// not distinguish their values from options on the command line.
func takeVariables(command *cli.Command) {
	for i, flag := range command.Flags {
		if text, ok := flag.(*cli.StringFlag); ok && len(text.EnvVars) > 0 {
			command.Flags[i] = &named{text, text.EnvVars}
			text.EnvVars = nil
		}
	}
}

// named is an option with additional environment variables.
type named struct {
	*cli.StringFlag
	variables []string
}

// GetEnvVars returns the additional environment variables.
func (n *named) GetEnvVars() []string { return n.variables }

// apply sets the options of a command that were not on the command line.
func (f *Found) apply(c *cli.Context) error {
	for _, v := range f.Values {
		for _, value := range v.Texts {
			if err := c.Set(v.Option, value); err != nil {
				return option.Errorf("%s: %s", v.Source, manual.BadValue(c.Command, v.Option, value))
			}
		}
	}
	return nil
}

// explain returns the source of the first option that a message mentions and that was not
// on the command line, or "" if there is none.
func (f *Found) explain(message string) string {
	words := strings.FieldsFunc(message, func(r rune) bool { return strings.ContainsRune(" ,;:()=", r) })
	for _, v := range f.Values {
		if slices.Contains(words, "--"+v.Option) {
			return "--" + v.Option + " is from " + v.Source
		}
	}
	return ""
}

// Default is the source of a value that is not set.
const Default = "default"

// Show returns the effective values of a command, in the order of its options, as if only
// the profile were on the command line. Without a command it returns the values that are
// set for any command.
func (s *Sources) Show(app *cli.App, name string, command *cli.Command, profile Profile) ([]Value, error) {
	if command == nil {
		return s.changed(app, profile)
	}
	found, err := s.Find(app, name, command, profile, isEmpty)
	if err != nil {
		return nil, err
	}
	var all []Value
	for _, flag := range command.Flags {
		v := Value{Option: flag.Names()[0], Texts: []string{manual.Default(flag)}, Source: Default}
		if i := slices.IndexFunc(found.Values, func(set Value) bool { return set.Option == v.Option }); i >= 0 {
			v = found.Values[i]
		}
		if v.Option == ProfileOption {
			v.Texts = []string{found.Profile}
		}
		if !slices.Contains(s.Typed, v.Option) {
			all = append(all, v)
		}
	}
	return all, nil
}

// isEmpty always returns false: no option is on the command line of a command that is not
// run.
func isEmpty(string) bool { return false }

// changed returns the file, the profile, and the values that the environment and the
// file set for any command.
func (s *Sources) changed(app *cli.App, profile Profile) ([]Value, error) {
	head, err := s.Find(app, "", &cli.Command{}, profile, isEmpty)
	if err != nil {
		return nil, err
	}
	state := "there is no such file"
	if head.File.isThere {
		state = text.Count(len(head.File.lines), "setting")
	}
	all := []Value{{Option: "(file)", Texts: []string{head.File.Path}, Source: state}}
	if head.Profile != "" {
		all = append(all, Value{Option: "(profile)", Texts: []string{head.Profile}, Source: head.profileFrom})
	}
	err = s.walk("", app.Commands, func(path string, command *cli.Command) error {
		found, err := s.Find(app, path, command, profile, isEmpty)
		if err != nil {
			return err
		}
		for _, v := range found.Values {
			isSame := func(other Value) bool { return other.Option == v.Option && other.Source == v.Source }
			if !slices.ContainsFunc(all, isSame) {
				all = append(all, v)
			}
		}
		return nil
	})
	return all, err
}

// walk calls visit for each command with options, with the words that run the command.
func (s *Sources) walk(prefix string, commands []*cli.Command, visit func(string, *cli.Command) error) error {
	for _, command := range commands {
		path := strings.TrimSpace(prefix + " " + command.Name)
		if err := s.walk(path, command.Subcommands, visit); err != nil {
			return err
		}
		if len(command.Flags) == 0 {
			continue
		}
		if err := visit(path, command); err != nil {
			return err
		}
	}
	return nil
}
