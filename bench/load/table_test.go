package load

import (
	"strings"
	"testing"
)

func TestTableOnATerminal(t *testing.T) {
	results := []CaseResult{{TimesRealTime: 32000}, {TimesRealTime: 4500}, {TimesRealTime: 1}}
	bars := func(l TableStyle) (all []string) {
		for _, line := range strings.Split(Table(results, l), "\n")[1:4] {
			all = append(all, line[tableColumns:])
		}
		return all
	}
	got := bars(TableStyle{bar: 8})
	if want := []string{"  ████████", "  █▏", "  "}; strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("bars %q, want %q", got, want)
	}
	if got := bars(TableStyle{bar: 8, hasColor: true})[0]; got != "  \x1b[36m████████\x1b[0m" {
		t.Errorf("a bar in colour is %q", got)
	}
	if got := strings.Join(bars(TableStyle{}), ""); got != "" {
		t.Errorf("without bars there is %q", got)
	}
}
