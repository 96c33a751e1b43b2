package manual

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// MaxWidth is the maximum width of a help page in columns. Longer lines are hard to read.
const MaxWidth = 100

// page writes a help page.
type page struct {
	out   io.Writer
	width int
}

func (p page) line(text string) { fmt.Fprintln(p.out, text) }

// paragraph writes text wrapped to the width, and indents each line.
func (p page) paragraph(text string, indent int) {
	for _, line := range wrap(text, p.width-indent) {
		p.line(strings.TrimRight(strings.Repeat(" ", indent)+line, " "))
	}
}

// row writes a name with a text beside it, or below it if there is not enough space.
func (p page) row(name, text string, column int) {
	if p.width < 60 || len(name)+2 > column {
		p.line(name)
		p.paragraph(text, min(6, column))
		return
	}
	for i, line := range wrap(text, p.width-column) {
		if i > 0 {
			name = ""
		}
		p.line(fmt.Sprintf("%-*s%s", column, name, line))
	}
}

// Help writes the help of a command, or of the program if words is empty. A short help fits
// on a screen. It returns false if there is no such command.
func (m *Manual) Help(out io.Writer, words []string, width int, short bool) bool {
	p := page{out, min(width, MaxWidth)}
	if len(words) == 0 {
		m.program(p, short)
		return true
	}
	for _, topic := range m.Topics {
		if len(words) == 1 && topic.Name == words[0] {
			p.paragraph(topic.Text, 0)
			return true
		}
	}
	command, left := m.Command(words)
	if command == nil || len(left) > 0 && len(command.Subcommands) > 0 {
		return false
	}
	m.command(p, named{m.App.Name + " " + strings.Join(words[:len(words)-len(left)], " "), command}, short)
	return true
}

// program writes the help of the program itself.
func (m *Manual) program(p page, short bool) {
	p.paragraph(m.App.Name+" - "+m.App.Usage, 0)
	p.line("")
	p.paragraph("usage: "+m.App.UsageText, 0)
	for _, section := range m.Sections {
		if short && section.Name != m.Sections[0].Name {
			break
		}
		p.line("")
		p.line(section.Name + ":")
		for _, name := range section.Members {
			if command, _ := m.Command([]string{name}); command != nil && !command.Hidden {
				p.row("  "+name, command.Usage, 18)
			}
		}
	}
	if !short {
		p.line("")
		p.line("pages:")
		for _, topic := range m.Topics {
			p.row("  help "+topic.Name, topic.Usage, 18)
		}
		if m.App.Description != "" {
			p.line("")
			p.paragraph(m.App.Description, 0)
		}
	}
	p.line("")
	more := m.App.Name + " help COMMAND shows a command."
	if short {
		more = m.App.Name + " --help lists all commands. " + more
	}
	p.paragraph(more, 0)
}

// command writes the help of a command.
func (m *Manual) command(p page, c named, short bool) {
	lines, examples := usage(c)
	p.paragraph(c.name+" - "+c.command.Usage, 0)
	p.line("")
	for i, line := range lines {
		p.paragraph([]string{"usage: ", "       "}[min(i, 1)]+line, 0)
	}
	if short {
		examples = examples[:min(3, len(examples))]
	}
	if len(examples) > 0 {
		p.line("")
		p.line("examples:")
		for _, example := range examples {
			p.line("  " + example) // not wrapped, so that it can be copied
		}
	}
	if text := strings.TrimSpace(c.command.Description); text != "" && !short {
		p.line("")
		p.paragraph(text, 0)
	}
	p.subcommands(c.command)
	options := m.options(c.command)
	if short {
		m.shortOptions(p, c, options)
		return
	}
	headings, members := m.grouped(options)
	for _, heading := range headings {
		p.line("")
		if len(headings) == 1 {
			heading = "options"
			members = map[string][]option{heading: options}
		}
		p.line(heading + ":")
		p.options(members[heading])
	}
	var feet []string
	for _, topic := range m.Topics {
		if topic.Foot != "" {
			feet = append(feet, fmt.Sprintf("%s help %s: %s.", m.App.Name, topic.Name, topic.Foot))
		}
	}
	if len(feet) > 0 {
		p.line("")
		p.paragraph(strings.Join(feet, "\n"), 0)
	}
}

func (p page) subcommands(c *cli.Command) {
	if len(c.Subcommands) == 0 {
		return
	}
	p.line("")
	p.line("commands:")
	for _, sub := range c.Subcommands {
		if !sub.Hidden {
			p.row("  "+sub.Name, sub.Usage, 18)
		}
	}
}

// shortOptions writes the usual options.
func (m *Manual) shortOptions(p page, c named, options []option) {
	few := m.common(c.command, options)
	if len(few) > 0 {
		p.line("")
		p.line("options:")
		p.options(few)
	}
	more := c.name + " --help says more."
	if len(few) < len(options) {
		more = fmt.Sprintf("%s --help lists all %d options.", c.name, len(options))
	}
	p.line("")
	p.paragraph(more, 0)
}

func (p page) options(options []option) {
	for _, o := range options {
		p.row("  "+o.spec(), o.text(), 26)
	}
}

// spec returns the syntax of an option.
func (o option) spec() string {
	spec := strings.Join(o.names, ", ")
	if o.value != "" {
		spec += " " + o.value
	}
	return spec
}

// mostChoices is how many choices a help page lists. If there are more, the help names a
// command that lists them.
const mostChoices = 10

// text returns the description of an option with its choices, default and variables.
func (o option) text() string {
	var notes []string
	if n := len(o.choices); n > 0 && n <= mostChoices && !mentions(o.usage, o.choices) {
		notes = append(notes, "one of "+strings.Join(o.choices, ", "))
	}
	if o.deflt != "" {
		notes = append(notes, "default: "+o.deflt)
	}
	for _, name := range o.env {
		notes = append(notes, "$"+name)
	}
	if len(notes) == 0 {
		return o.usage
	}
	return o.usage + " (" + strings.Join(notes, "; ") + ")"
}

// mentions reports whether a text already names all choices.
func mentions(text string, choices []string) bool {
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,;:()", r) })
	return !slices.ContainsFunc(choices, func(choice string) bool { return !slices.Contains(words, choice) })
}

// wrap breaks paragraphs into lines of at most width characters. It keeps lines that
// begin with a space.
func wrap(text string, width int) []string {
	var lines []string
	var words []string
	flush := func() {
		lines = append(lines, fill(words, width)...)
		words = nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" || line[0] == ' ' {
			flush()
			lines = append(lines, line)
			continue
		}
		words = append(words, strings.Fields(line)...)
	}
	flush()
	return lines
}

// fill breaks a paragraph into lines.
func fill(words []string, width int) []string {
	var lines []string
	for i, word := range words {
		last := len(lines) - 1
		if i == 0 || len(lines[last])+1+len(word) > width {
			lines = append(lines, word)
			continue
		}
		lines[last] += " " + word
	}
	return lines
}
