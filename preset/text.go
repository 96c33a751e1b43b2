package preset

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Table returns the presets as text for people, one per line.
func Table(all []Preset) string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tSOURCE\tREAD AS")
	for _, p := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\n", p.Name, p.Vendor, p)
	}
	_ = table.Flush() // into memory
	return text.String()
}

// Text returns the preset as text for people: how its audio is read, what to ask the source
// for, and an example.
func (p Preset) Text() string {
	words := ""
	if p.Words.Ask != "" {
		words = "  words    " + p.Words.Ask + "\n"
	}
	return fmt.Sprintf("%s: %s\n  read as  %s\n  ask for  %s\n%s  example  %s\n", p.Name, p.Vendor, p,
		p.Ask, words, p.Example)
}
