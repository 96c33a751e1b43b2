// Package config finds the values of options that are not on the command line: in the
// environment, and in a file with profiles.
//
// Every option follows one rule: --max-rate is ECHOCAST_MAX_RATE in the environment,
// and this line in the file:
//
//	max-rate = 20
//
// or send.max-rate = 20, for one command. Lines before the first heading always apply.
// Lines below a heading such as [work] apply with --profile work.
//
// The precedence is: command line, environment, profile, head of the file, default.
package config

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"echocast/internal/option"

	"github.com/urfave/cli/v2"

	"echocast/internal/manual"
)

// ProfileOption is the option that chooses a profile.
const ProfileOption = "profile"

// Sources find the values of the options of an application.
type Sources struct {
	// Typed are options that are read only from the command line.
	Typed []string
	// Rivals are pairs of options that exclude each other. The one with the higher
	// precedence hides the other. For example, with --rehearse on the command line, "to" in
	// the file is ignored.
	Rivals [][2]string
	// OnFound, if not nil, is called with each value found, before any is used or
	// shown.
	OnFound func(text string)
	// Getenv reads the environment. nil means os.Getenv.
	Getenv func(string) string
}

// Value is the effective value of an option.
type Value struct {
	Option string   `json:"option"`
	Texts  []string `json:"values"` // several if the option may be repeated
	Source string   `json:"from"`   // a variable, a line of the file, or Default
	level  int
}

// The sources of a value, in order of precedence: a lower level wins.
const (
	levelTyped = iota
	levelEnvironment
	levelProfile
	levelHead
)

// Variable returns the name of the environment variable of an option.
func Variable(option string) string {
	return "ECHOCAST_" + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

// variables returns all environment variables of an option, the general one first.
func variables(flag cli.Flag) []string {
	all := []string{Variable(option.Names(flag)[0])}
	if described, ok := flag.(cli.DocGenerationFlag); ok {
		all = append(all, described.GetEnvVars()...)
	}
	return all
}

// Profile is the profile on the command line. An empty name on the command line selects no
// profile.
type Profile struct {
	Name    string
	IsTyped bool
}

// TypedProfile returns the profile on the command line.
func TypedProfile(c *cli.Context) Profile {
	return Profile{c.String(ProfileOption), c.IsSet(ProfileOption)}
}

// Profiles returns the names of the profiles in the file, for completion. It returns none
// if the file cannot be read.
func (s *Sources) Profiles() []string {
	file, err := Load(s.getenv)
	if err != nil {
		return nil
	}
	return file.Profiles
}

// Found holds the settings found for one command.
type Found struct {
	File        *File
	Profile     string
	profileFrom string
	// Values are in the order of the command's options. They omit options on the command
	// line and defaults.
	Values []Value
	// isExposed is set if other users can read the file and it names a file with a
	// secret.
	isExposed bool
}

// Find reads the environment and the file for a command. name is the command as typed after
// the program's name. isTyped reports whether an option is on the command line.
func (s *Sources) Find(app *cli.App, name string, command *cli.Command, profile Profile,
	isTyped func(string) bool) (*Found, error) {
	file, err := Load(s.getenv)
	if err != nil {
		return nil, err
	}
	if err := s.check(app, file); err != nil {
		return nil, err
	}
	found := &Found{File: file}
	if found.Profile, found.profileFrom, err = s.profile(file, profile); err != nil {
		return nil, err
	}
	levels := map[string]int{}
	name = strings.ReplaceAll(name, " ", ".")
	for _, flag := range command.Flags {
		long := option.Names(flag)[0]
		if isTyped(long) {
			levels[long] = levelTyped
			continue
		}
		if value, ok := s.find(file, found.Profile, name, flag); ok && long != ProfileOption {
			found.Values, levels[long] = append(found.Values, value), value.level
		}
	}
	if s.OnFound != nil {
		for _, v := range found.Values {
			for _, text := range v.Texts {
				s.OnFound(text)
			}
		}
	}
	found.Values = slices.DeleteFunc(found.Values, func(v Value) bool { return s.isHidden(v, levels) })
	namesSecret := func(l setting) bool { return isSecretFile(lastPart(l.name)) }
	found.isExposed = file.isPublic && slices.ContainsFunc(file.lines, namesSecret)
	return found, nil
}

func (s *Sources) getenv(name string) string {
	if s.Getenv != nil {
		return s.Getenv(name)
	}
	return os.Getenv(name)
}

// profile returns the profile in effect: from the command line, the environment, or the
// head of the file.
func (s *Sources) profile(file *File, typed Profile) (name, source string, err error) {
	name, source = typed.Name, "--"+ProfileOption
	if variable := Variable(ProfileOption); !typed.IsTyped {
		name, source = s.getenv(variable), variable
	}
	for _, l := range file.lines {
		if l.name == ProfileOption && name == "" && !typed.IsTyped {
			name, source = l.value, file.location(l)
		}
	}
	if name == "" || slices.Contains(file.Profiles, name) {
		return name, source, nil
	}
	have := "it has none"
	if len(file.Profiles) > 0 {
		have = "it has " + strings.Join(file.Profiles, ", ")
	}
	path := cmp.Or(file.Path, "the file of settings")
	return "", "", option.Errorf("%s: no profile is called %q in %s; %s", source, name, path, have)
}

// find looks up an option in all sources, in order of precedence.
func (s *Sources) find(file *File, profile, command string, flag cli.Flag) (Value, bool) {
	name := option.Names(flag)[0]
	if slices.Contains(s.Typed, name) {
		return Value{}, false
	}
	for _, variable := range variables(flag) {
		if text := s.getenv(variable); text != "" {
			return Value{name, []string{text}, variable, levelEnvironment}, true
		}
	}
	if profile != "" {
		if v, ok := file.find(profile, command, flag); ok {
			v.level = levelProfile
			return v, true
		}
	}
	v, ok := file.find("", command, flag)
	v.level = levelHead
	return v, ok
}

// find looks up an option in a section: first for the command, then for all commands.
func (f *File) find(profile, command string, flag cli.Flag) (Value, bool) {
	for _, prefix := range []string{command + ".", ""} {
		v := Value{Option: option.Names(flag)[0]}
		for _, l := range f.lines {
			name, isMeant := strings.CutPrefix(l.name, prefix)
			if isMeant && l.profile == profile && slices.Contains(option.Names(flag), name) {
				v.Texts, v.Source = append(v.Texts, expanded(flag, l.value)), cmp.Or(v.Source, f.location(l))
			}
		}
		if v.Texts != nil {
			return v, true
		}
	}
	return Value{}, false
}

// expanded replaces a leading ~ in a file name, as a shell does.
func expanded(flag cli.Flag, value string) string {
	rest, isHome := strings.CutPrefix(value, "~/")
	home, err := os.UserHomeDir()
	if described, ok := flag.(cli.DocGenerationFlag); !isHome || err != nil || !ok || !described.TakesValue() {
		return value
	}
	return filepath.Join(home, rest)
}

// isHidden reports whether a rival of the option has a higher precedence.
func (s *Sources) isHidden(v Value, levels map[string]int) bool {
	for _, pair := range s.Rivals {
		for i, name := range pair {
			if level, isThere := levels[pair[1-i]]; name == v.Option && isThere && level < v.level {
				return true
			}
		}
	}
	return false
}

// isSecretFile reports whether the option with this name names a file with a secret.
func isSecretFile(name string) bool {
	hasEnd := func(end string) bool { return strings.HasSuffix(name, end) }
	return name == "tls-key" || slices.ContainsFunc([]string{"-key-file", "-token-file", "-credential-file"}, hasEnd)
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// check returns an error for lines of the file that no command knows.
func (s *Sources) check(app *cli.App, file *File) error {
	if len(file.lines) == 0 {
		return nil
	}
	known := knownNames("", app.Commands)
	seen := map[string]bool{}
	for _, l := range file.lines {
		isRepeatable, isKnown := known[l.name]
		_, isSecret := known[l.name+"-file"]
		key := l.profile + "\n" + l.name
		switch {
		case slices.Contains(s.Typed, lastPart(l.name)):
			return file.fault(l.number, "--%s must be typed", lastPart(l.name))
		case lastPart(l.name) == ProfileOption && l.profile+l.name != ProfileOption:
			return file.fault(l.number, "one profile is chosen for all commands: write profile = NAME above all headings")
		case !isKnown && isSecret:
			return file.fault(l.number, "a secret belongs in its own file: write %s-file = FILE", l.name)
		case !isKnown:
			return file.fault(l.number, "no option is called %q%s", l.name, meant(l.name, known))
		case seen[key] && !isRepeatable:
			return file.fault(l.number, "%s is set twice in this section", l.name)
		}
		seen[key] = true
	}
	return nil
}

// knownNames returns the valid names of settings, and whether each may be repeated.
func knownNames(prefix string, commands []*cli.Command) map[string]bool {
	names := map[string]bool{}
	for _, command := range commands {
		for _, flag := range command.Flags {
			slice, ok := flag.(cli.DocGenerationSliceFlag)
			for _, name := range option.Names(flag) {
				isRepeatable := ok && slice.IsSliceFlag()
				names[name], names[prefix+command.Name+"."+name] = isRepeatable, isRepeatable
			}
		}
		maps.Copy(names, knownNames(prefix+command.Name+".", command.Subcommands))
	}
	return names
}

func meant(name string, known map[string]bool) string {
	if closest := manual.Closest(name, slices.Sorted(maps.Keys(known))); closest != "" {
		return "; did you mean " + closest + "?"
	}
	return ""
}
