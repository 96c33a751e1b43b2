package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// declarations are what the code declares, as pages name it: echo.Session,
// echo.Session.Speak, TestSignals.
type declarations struct {
	names      map[string]bool
	packages   map[string]bool // by the last part of their path
	goroutines []string        // the functions that start one
}

// scaffolding are the folders of tests and tools. Their goroutines need not be listed.
var scaffolding = regexp.MustCompile(`^(bench|scripts|examples|acceptance)/|(test|test/cmd/[a-z]+)/[^/]*$|testwait`)

// declared is what the checkout declares. Without a checkout the test is skipped.
func declared(t *testing.T) declarations {
	t.Helper()
	d, err := readDeclarations()
	if err != nil {
		t.Skipf("needs a checkout: %v", err)
	}
	return d
}

// readDeclarations parses all files, once.
var readDeclarations = sync.OnceValues(func() (declarations, error) {
	d := declarations{names: map[string]bool{}, packages: map[string]bool{}}
	out, err := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.go").Output()
	if err != nil {
		return d, err
	}
	for _, name := range strings.Fields(string(out)) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			continue // deleted, and not committed yet
		}
		pkg := filepath.Base(filepath.Dir(name))
		d.packages[pkg] = true
		for _, declaration := range file.Decls {
			d.add(pkg, declaration, !strings.HasSuffix(name, "_test.go") && !scaffolding.MatchString(name))
		}
	}
	slices.Sort(d.goroutines)
	d.goroutines = slices.Compact(d.goroutines)
	return d, nil
})

func (d *declarations) add(pkg string, declaration ast.Decl, counts bool) {
	switch declaration := declaration.(type) {
	case *ast.FuncDecl:
		name := pkg + "." + receiver(declaration) + declaration.Name.Name
		d.names[name] = true
		d.names[declaration.Name.Name] = d.names[declaration.Name.Name] || strings.HasPrefix(declaration.Name.Name, "Test") ||
			strings.HasPrefix(declaration.Name.Name, "Fuzz")
		if counts && startsGoroutine(declaration) {
			d.goroutines = append(d.goroutines, name)
		}
	case *ast.GenDecl:
		for _, spec := range declaration.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				d.addType(pkg+"."+spec.Name.Name, spec.Type)
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					d.names[pkg+"."+name.Name] = true
				}
			}
		}
	}
}

// addType adds a type, and the methods of an interface.
func (d *declarations) addType(name string, expression ast.Expr) {
	d.names[name] = true
	if methods, ok := expression.(*ast.InterfaceType); ok {
		for _, method := range methods.Methods.List {
			for _, methodName := range method.Names {
				d.names[name+"."+methodName.Name] = true
			}
		}
	}
}

// receiver is the type of a method, with a dot.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	expression := f.Recv.List[0].Type
	if star, ok := expression.(*ast.StarExpr); ok {
		expression = star.X
	}
	if index, ok := expression.(*ast.IndexExpr); ok {
		expression = index.X
	}
	if name, ok := expression.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}

// startsGoroutine looks for a go statement and for the Go of a group.
func startsGoroutine(f *ast.FuncDecl) bool {
	found := false
	if f.Body == nil {
		return false
	}
	ast.Inspect(f.Body, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.GoStmt:
			found = true
		case *ast.CallExpr:
			if called, ok := node.Fun.(*ast.SelectorExpr); ok && called.Sel.Name == "Go" && len(node.Args) == 1 {
				found = true
			}
		}
		return !found
	})
	return found
}

// quoted matches text between backquotes. Code blocks are removed before.
var (
	quoted    = regexp.MustCompile("`([^`\n]+)`")
	codeBlock = regexp.MustCompile("(?s)```.*?```")
	codeName  = regexp.MustCompile(`^([a-z0-9]+)\.[A-Za-z]\w*(\.[A-Za-z]\w*)?$`)
	testName  = regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*$`)
	pathName  = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)*/$|^[\w./-]+\.(go|md|txt|yml|yaml|sh)$`)
)

// What the pages for developers name exists: functions, types, tests, files.
func TestPagesNameWhatExists(t *testing.T) {
	d := declared(t)
	for _, page := range []string{"ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range quoted.FindAllStringSubmatch(codeBlock.ReplaceAllString(string(text), ""), -1) {
			if !d.exists(match[1]) {
				t.Errorf("%s names `%s`, which does not exist", page, match[1])
			}
		}
	}
	if d.exists("echo.Session.Sing") || d.exists("TestNothing") || d.exists("echo/sing.go") {
		t.Error("what does not exist passes")
	}
}

// ARCHITECTURE.md has a line for each folder of the checkout, in order, and no other.
func TestArchitectureListsTheFolders(t *testing.T) {
	out, err := exec.Command("git", "ls-files").Output()
	if err != nil {
		t.Skipf("needs a checkout: %v", err)
	}
	var folders []string
	for _, name := range strings.Fields(string(out)) {
		folder, _, inFolder := strings.Cut(name, "/")
		if inFolder && !strings.HasPrefix(folder, ".") && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	slices.Sort(folders)
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([\\w-]+)/` \\| ").FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, row[1])
	}
	if !slices.Equal(listed, folders) {
		t.Errorf("ARCHITECTURE.md lists\n%s\nthe folders are\n%s", strings.Join(listed, " "), strings.Join(folders, " "))
	}
}

// Each surface in SECURITY.md names a test of its promise, and each fuzz target is
// in the table of fuzzing.
func TestSecurityNamesATestForEachSurface(t *testing.T) {
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	surfaces, tried, _ := strings.Cut(string(text), "## Fuzzing")
	rows := 0
	for line := range strings.Lines(surfaces) {
		cells := strings.Split(line, " | ")
		if len(cells) != 3 || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| surface") {
			continue
		}
		rows++
		isNamed := slices.ContainsFunc(quoted.FindAllStringSubmatch(cells[2], -1),
			func(m []string) bool { return testName.MatchString(m[1]) })
		if !isNamed {
			t.Errorf("no test is named for the promise: %s", line)
		}
	}
	if rows < 10 {
		t.Errorf("%d surfaces are listed", rows)
	}
	for name := range declared(t).names {
		if strings.HasPrefix(name, "Fuzz") && !strings.Contains(tried, "| "+name+" | ") {
			t.Errorf("%s is not in the table of fuzzing", name)
		}
	}
}

// exists reports whether a word that looks like a name or a path of ours is one.
func (d declarations) exists(word string) bool {
	if name := codeName.FindStringSubmatch(word); name != nil && d.packages[name[1]] && !pathName.MatchString(word) {
		return d.names[word]
	}
	if testName.MatchString(word) {
		return d.names[word]
	}
	if pathName.MatchString(word) {
		_, err := os.Stat(word)
		return err == nil
	}
	return true
}

// ARCHITECTURE.md lists each function that starts a goroutine, and no other.
func TestGoroutinesAreListed(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Goroutines")
	section, _, _ = strings.Cut(section, "\n## ")
	var listed []string
	for line := range strings.Lines(section) {
		if first, _, isRow := strings.Cut(strings.TrimPrefix(line, "| "), " |"); isRow && strings.HasPrefix(line, "| `") {
			for _, match := range quoted.FindAllStringSubmatch(first, -1) {
				listed = append(listed, match[1])
			}
		}
	}
	slices.Sort(listed)
	started := declared(t).goroutines
	for _, name := range started {
		if !slices.Contains(listed, name) {
			t.Errorf("%s starts a goroutine and is not listed", name)
		}
	}
	for _, name := range listed {
		if !slices.Contains(started, name) {
			t.Errorf("%s is listed and starts no goroutine", name)
		}
	}
}

// The program in docs/library.md is the one that is built with the others.
func TestLibraryPage(t *testing.T) {
	page, err := os.ReadFile("docs/library.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("examples/library/file/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```go\n"+string(program)+"```") {
		t.Error("docs/library.md does not show examples/library/file/main.go")
	}
}
