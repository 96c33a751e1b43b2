package main

import (
	"flag"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Who may import whom is a decision, not an accident: a new edge is added to
// testdata/imports.txt by hand, or with -update, and seen in the review.
func TestImports(t *testing.T) {
	const golden = "testdata/imports.txt"
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f",
		`{{$from := .ImportPath}}{{range .Imports}}{{$from}} -> {{.}}{{"\n"}}{{end}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var edges []string
	for edge := range strings.Lines(string(out)) {
		if to := edge[strings.Index(edge, "-> ")+3:]; strings.HasPrefix(to, "echocast") {
			edges = append(edges, edge)
		}
	}
	slices.Sort(edges)
	got := strings.Join(edges, "")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the imports are\n%s\nand %s says\n%s", got, golden, want)
	}
}

// The samples and the messages need no C: these packages build and test anywhere.
func TestPackagesWithoutC(t *testing.T) {
	for _, pkg := range []string{"./chunker", "./echo", "./rtc", "./rtc/livekit", "./rtc/daily", "./replica",
		"./trace", "./tavus"} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f",
			`{{if and .CgoFiles (not .Standard)}}{{.ImportPath}}{{end}}`, pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		if deps := strings.Fields(string(out)); len(deps) > 0 {
			t.Errorf("%s needs cgo for %v", pkg, deps)
		}
	}
}
