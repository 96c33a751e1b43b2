package manual

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// WriteMan writes a manual page for the program and for each command to a folder, in the
// format of man.
func (m *Manual) WriteMan(folder string) error {
	pages := append([]named{{name: m.App.Name}}, m.commands()...)
	for _, c := range pages {
		var text strings.Builder
		m.man(&text, c)
		name := filepath.Join(folder, strings.ReplaceAll(c.name, " ", "-")+".1")
		if err := os.WriteFile(name, []byte(text.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// man writes the manual page of a command, or of the program.
func (m *Manual) man(out io.Writer, c named) {
	title := strings.ReplaceAll(c.name, " ", "-")
	fmt.Fprintf(out, ".TH %s 1 \"\" \"%s %s\"\n", strings.ToUpper(title), m.App.Name, m.App.Version)
	if c.command == nil {
		m.manProgram(out)
		return
	}
	lines, examples := usage(c)
	fmt.Fprintf(out, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n%s\n", roff(title), roff(c.command.Usage),
		strings.Join(roffLines(lines), "\n.br\n"))
	if text := strings.TrimSpace(c.command.Description); text != "" {
		fmt.Fprint(out, ".SH DESCRIPTION\n", roffText(text))
	}
	for _, sub := range c.command.Subcommands {
		if !sub.Hidden {
			fmt.Fprintf(out, ".TP\n.BR %s (1)\n%s\n", roff(title+"-"+sub.Name), roff(sub.Usage))
		}
	}
	headings, members := m.grouped(m.options(c.command))
	if len(headings) > 0 {
		fmt.Fprint(out, ".SH OPTIONS\n")
	}
	for _, heading := range headings {
		if len(headings) > 1 {
			fmt.Fprintf(out, ".SS %s\n", roff(heading))
		}
		for _, o := range members[heading] {
			fmt.Fprintf(out, ".TP\n.B %s\n%s\n", roff(o.spec()), roff(o.text()))
		}
	}
	if len(examples) > 0 {
		fmt.Fprintf(out, ".SH EXAMPLES\n.nf\n%s\n.fi\n", strings.Join(roffLines(examples), "\n"))
	}
	fmt.Fprintf(out, ".SH SEE ALSO\n.BR %s (1)\n", m.App.Name)
}

func (m *Manual) manProgram(out io.Writer) {
	fmt.Fprintf(out, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n%s\n", m.App.Name, roff(m.App.Usage), roff(m.App.UsageText))
	if m.App.Description != "" {
		fmt.Fprint(out, ".SH DESCRIPTION\n", roffText(m.App.Description))
	}
	fmt.Fprint(out, ".SH COMMANDS\n")
	for _, c := range m.commands() {
		fmt.Fprintf(out, ".TP\n.BR %s (1)\n%s\n", roff(strings.ReplaceAll(c.name, " ", "-")), roff(c.command.Usage))
	}
	for _, topic := range m.Topics {
		fmt.Fprintf(out, ".SH %s\n%s", strings.ToUpper(strings.ReplaceAll(topic.Name, "-", " ")), roffText(topic.Text))
	}
}

// roff escapes characters that are special in man pages.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

func roffLines(lines []string) []string {
	var all []string
	for _, line := range lines {
		all = append(all, roff(line))
	}
	return all
}

// roffText formats paragraphs. It does not change lines that begin with a space.
func roffText(text string) string {
	var out strings.Builder
	asIs := false
	for line := range strings.SplitSeq(text, "\n") {
		indented := strings.HasPrefix(line, " ")
		switch {
		case indented && !asIs:
			out.WriteString(".nf\n")
		case !indented && asIs:
			out.WriteString(".fi\n")
		}
		asIs = indented
		if line == "" {
			out.WriteString(".PP\n")
			continue
		}
		fmt.Fprintln(&out, roff(line))
	}
	if asIs {
		out.WriteString(".fi\n")
	}
	return out.String()
}
