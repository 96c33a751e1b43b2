package preset

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the list of presets")

// The list has an entry for every preset. It is written from the table by go test ./preset
// -update.
func TestListShowsEveryPreset(t *testing.T) {
	const name, begin, end = "../docs/presets.md", "<!-- presets -->\n", "<!-- /presets -->"
	list, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(list), begin)
	shown, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("the list has no %q and %q", begin, end)
	}
	var want strings.Builder
	for _, p := range All() {
		words := ""
		if p.Words.Ask != "" {
			words = fmt.Sprintf(" [Times of words](%s): %s", p.Words.Source, p.Words.Ask)
		}
		fmt.Fprintf(&want, "**%s** (%s): %s%s\n\n```\n%s\n```\n\n", p.Name, p.Vendor, p.Ask, words, p.Example)
	}
	if shown == want.String() {
		return
	}
	if !*update {
		t.Fatal("the presets in the list are not those of the table; go test ./preset -update writes them")
	}
	if err := os.WriteFile(name, []byte(before+begin+want.String()+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}
