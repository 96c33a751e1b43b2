// Lint runs the analysers that go vet and staticcheck lack. It is a tool for
// go vet -vettool, which runs it on the packages that changed. With the arguments
// lines FILE... it finds lines that are too long instead.
//
// A comment //nolint:NAME // REASON on the line silences one.
package main

import (
	"go/ast"
	"os"
	"slices"
	"strings"

	"github.com/nishanths/predeclared/passes/predeclared"
	"github.com/sivchari/containedctx"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/unitchecker"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "lines" {
		os.Exit(checkLines(os.Args[2:], os.Stderr))
	}
	unitchecker.Main(
		ignorable(containedctx.Analyzer), // contexts in structs
		ignorable(predeclared.Analyzer),  // names that shadow predeclared ones
	)
}

// ignorable returns an analyser that obeys comments that silence it.
func ignorable(a *analysis.Analyzer) *analysis.Analyzer {
	quiet := *a
	quiet.Run = func(pass *analysis.Pass) (any, error) {
		ignored := ignoredLines(pass, a.Name)
		filtered := *pass
		filtered.Report = func(d analysis.Diagnostic) {
			at := pass.Fset.Position(d.Pos)
			isTest := strings.HasSuffix(at.Filename, "_test.go") && a == containedctx.Analyzer
			if !isTest && !slices.Contains(ignored[at.Filename], at.Line) {
				pass.Report(d)
			}
		}
		return a.Run(&filtered)
	}
	return &quiet
}

// ignoredLines returns, for each file, the lines on which a comment silences the analyser.
func ignoredLines(pass *analysis.Pass, name string) map[string][]int {
	lines := map[string][]int{}
	for _, file := range pass.Files {
		for _, group := range file.Comments {
			for _, comment := range group.List {
				if isIgnore(comment, name) {
					at := pass.Fset.Position(comment.Pos())
					lines[at.Filename] = append(lines[at.Filename], at.Line)
				}
			}
		}
	}
	return lines
}

// isIgnore reports whether a comment silences the analyser and gives a reason.
func isIgnore(comment *ast.Comment, name string) bool {
	reason, found := strings.CutPrefix(comment.Text, "//nolint:"+name+" // ")
	return found && strings.TrimSpace(reason) != ""
}
