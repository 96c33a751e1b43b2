package voicetest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"echocast/echo"
)

// field reads the value of a key.
type field struct {
	name, usage string
	read        func(node *yaml.Node) error
}

// lineError is a mistake in a line of the file.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return e.err.Error() }

func at(node *yaml.Node, format string, args ...any) error {
	return &lineError{node.Line, fmt.Errorf(format, args...)}
}

// inFile adds the file name to the error of a mistake.
func inFile(err error, file string) error {
	if placed, ok := errors.AsType[*lineError](err); ok {
		return &Error{file, placed.line, placed.err}
	}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, found := strings.CutPrefix(text, "line "); found { // an error of the YAML parser
		number, why, _ := strings.Cut(rest, ": ")
		if line, failed := strconv.Atoi(number); failed == nil {
			return &Error{file, line, errors.New(why)}
		}
	}
	return &Error{file, 0, errors.New(text)}
}

// readTalk reads a file into talk. all holds the defaults for its items.
func readTalk(r io.Reader, talk *Talk, all Item) error {
	var document yaml.Node
	decoder := yaml.NewDecoder(r)
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return errors.New("it is empty")
	} else if err != nil {
		return err
	}
	if decoder.Decode(new(yaml.Node)) != io.EOF {
		return errors.New("it holds more than one document; write one talk a file")
	}
	root := document.Content[0]
	var items *yaml.Node
	keys := append(commonKeys(&all), field{"name", "the name of the talk", text(&talk.Name)},
		field{"say", "the list of what is said", func(n *yaml.Node) error { items = n; return nil }})
	if err := readFields(root, keys); err != nil {
		return err
	}
	if items == nil || items.Kind != yaml.SequenceNode || len(items.Content) == 0 {
		return at(root, "say must list what is said, such as say: [{file: hello.wav}]")
	}
	for b := range all.Bounds {
		all.Bounds[b].isOwn = false
	}
	for _, node := range items.Content {
		item := all
		item.Faults, item.Bounds, item.Line = slices.Clone(all.Faults), slices.Clone(all.Bounds), node.Line
		if err := readFields(node, append(commonKeys(&item), ownKeys(&item)...)); err != nil {
			return err
		}
		talk.Items = append(talk.Items, item)
	}
	return nil
}

// commonKeys are the keys that may be set for a talk and for an item.
func commonKeys(i *Item) []field {
	return []field{
		{"expect", "how the utterance ends: " + strings.Join(outcomes(), ", "), i.readOutcome},
		{"at_most", "upper bounds of figures", func(n *yaml.Node) error { return i.readBounds(n, false) }},
		{"at_least", "lower bounds of figures", func(n *yaml.Node) error { return i.readBounds(n, true) }},
		{"lead", "how far ahead of playback chunks are sent", duration(&i.Lead)},
		{"timeout", "how long an item may take", duration(&i.Timeout)},
		{"faults", "what the stand-in does wrong: a list of what echocast replica --fault takes", texts(&i.Faults)},
	}
}

// ownKeys are the keys that may be set only for an item.
func ownKeys(i *Item) []field {
	return []field{
		{"name", "the name of the test case", text(&i.Name)},
		{"file", "an audio file, from the folder of the talk", text(&i.File)},
		{"command", "a line of the shell that prints audio", text(&i.Command)},
		{"text", "what the command reads on its standard input", text(&i.Text)},
		{"format", "of raw samples, such as s16le", text(&i.Format)},
		{"rate", "of raw samples, in Hz", number(&i.Rate)},
		{"channels", "of raw samples", number(&i.Channels)},
		{"interrupt_after", "interrupt the replica when it has spoken this long", duration(&i.InterruptAfter)},
	}
}

// readFields reads an object with known keys.
func readFields(node *yaml.Node, fields []field) error {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.MappingNode {
		return at(node, "keys with values are expected here, such as file: hello.wav")
	}
	seen := map[string]bool{}
	for n := 0; n+1 < len(node.Content); n += 2 {
		key, value := node.Content[n], node.Content[n+1]
		found := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
		switch {
		case found < 0:
			return at(key, "no key is called %q here; there are %s", key.Value, names(fields))
		case seen[key.Value]:
			return at(key, "%s is there twice", key.Value)
		}
		seen[key.Value] = true
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if err := fields[found].read(value); err != nil {
			if _, placed := errors.AsType[*lineError](err); placed {
				return err
			}
			return at(value, "%s: %w", key.Value, err)
		}
	}
	return nil
}

func names(fields []field) string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.name
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func text(to *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.Value == "" {
			return errors.New("it must be a text")
		}
		*to = n.Value
		return nil
	}
}

func texts(to *[]string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode {
			return errors.New("it must be a list of texts, such as [delay=100ms]")
		}
		*to = nil
		for _, one := range n.Content {
			*to = append(*to, one.Value)
		}
		return nil
	}
}

func number(to *int) func(*yaml.Node) error {
	return func(n *yaml.Node) (err error) {
		if *to, err = strconv.Atoi(n.Value); err != nil || *to <= 0 {
			return errors.New("it must be a whole number above 0")
		}
		return nil
	}
}

func duration(to *time.Duration) func(*yaml.Node) error {
	return func(n *yaml.Node) (err error) {
		if *to, err = time.ParseDuration(n.Value); err != nil || *to <= 0 {
			return errors.New("a time has a number above 0 and a unit, such as 300ms")
		}
		return nil
	}
}

func outcomes() []string {
	return []string{string(echo.Finished), string(echo.Interrupted), string(echo.Unverified), string(echo.Failed)}
}

func (i *Item) readOutcome(n *yaml.Node) error {
	if !slices.Contains(outcomes(), n.Value) {
		return fmt.Errorf("it must be one of %s", strings.Join(outcomes(), ", "))
	}
	i.Expect = echo.Outcome(n.Value)
	return nil
}

// readBounds reads bounds. They replace the bounds of the talk.
func (i *Item) readBounds(node *yaml.Node, isLeast bool) error {
	var fields []field
	for f := range figures {
		fields = append(fields, field{figures[f].name, "", func(n *yaml.Node) error {
			limit, err := figures[f].limit(n.Value)
			if err != nil {
				return err
			}
			bound := Bound{figures[f].name, limit, isLeast, true}
			i.Bounds = slices.DeleteFunc(i.Bounds, func(b Bound) bool {
				return b.Figure == bound.Figure && b.IsLeast == isLeast
			})
			i.Bounds = append(i.Bounds, bound)
			return nil
		}})
	}
	return readFields(node, fields)
}

// limit reads a limit for the figure.
func (f *figure) limit(value string) (float64, error) {
	if f.isTime {
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return 0, errors.New("a time has a number and a unit, such as 300ms")
		}
		return d.Seconds(), nil
	}
	limit, err := strconv.ParseFloat(value, 64)
	if err != nil || !(limit >= 0) {
		return 0, errors.New("it must be a number, not negative")
	}
	return limit, nil
}
