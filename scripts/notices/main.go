// Notices writes THIRD-PARTY-NOTICES.txt, with the licences of everything that the programs
// link, and the list of licences in README.md. It uses go list, so both match the code.
package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// programs are the main packages that are shipped.
var programs = []string{".", "./cmd/echocast-server"}

// builds are the build environments that link different modules.
var builds = [][]string{
	{"GOOS=linux", "CGO_ENABLED=1"},
	{"GOOS=linux", "CGO_ENABLED=0"},
	{"GOOS=darwin", "CGO_ENABLED=0"},
	{"GOOS=windows", "CGO_ENABLED=0"},
}

// part is a linked library or module.
type part struct {
	Name, Version string // the version is set only for modules
	License       string // its SPDX name
	Text          string
	InClient      bool // linked by echocast, not only by echocast-server
}

//go:embed lgpl-2.1.txt
var lgpl string

//go:embed opus.txt
var opus string

// libraries are the linked C libraries. They are linked dynamically, and only with cgo.
var libraries = []part{
	{Name: "libsoxr", License: "LGPL-2.1", Text: lgpl, InClient: true},
	{Name: "libmpg123", License: "LGPL-2.1", Text: lgpl, InClient: true},
	{Name: "libopus", License: "BSD-3-Clause", Text: opus, InClient: true},
}

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

// write updates the two files in root.
func write(root string) error {
	parts, err := linked(root)
	if err != nil {
		return err
	}
	readme := filepath.Join(root, "README.md")
	text, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	text, err = withList(text, parts)
	if err != nil {
		return err
	}
	if err := os.WriteFile(readme, text, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, noticesFile), notices(parts), 0o644)
}

const noticesFile = "THIRD-PARTY-NOTICES.txt"

// linked returns everything that the programs link, sorted by name.
func linked(root string) ([]part, error) {
	found := map[string]part{}
	for i, program := range programs {
		for _, build := range builds {
			modules, err := modulesOf(root, program, build)
			if err != nil {
				return nil, err
			}
			for _, m := range modules {
				m.InClient = i == 0 || found[m.Name].InClient
				found[m.Name] = m
			}
		}
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	standard := part{Name: "Go", InClient: true}
	if err := standard.read(strings.TrimSpace(string(goroot))); err != nil {
		return nil, err
	}
	parts := append(slices.Clone(libraries), standard)
	for _, m := range found {
		parts = append(parts, m)
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.Name, b.Name) })
	return parts, nil
}

// modulesOf returns the modules of the packages that a program links.
func modulesOf(root, program string, environment []string) ([]part, error) {
	const format = `{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}`
	list := exec.Command("go", "list", "-deps", "-f", format, program)
	list.Dir = root
	list.Env = append(os.Environ(), environment...)
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, err
	}
	lines := strings.Fields(string(out))
	var modules []part
	for fields := range slices.Chunk(lines, 3) {
		m := part{Name: fields[0], Version: fields[1]}
		if slices.ContainsFunc(modules, func(other part) bool { return other.Name == m.Name }) {
			continue
		}
		if err := m.read(fields[2]); err != nil {
			return nil, err
		}
		modules = append(modules, m)
	}
	return modules, nil
}

var licenseFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|unlicense)(\.|-|$)`)

// read finds the licence in the files of a folder.
func (p *part) read(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, entry := range entries {
		if !licenseFile.MatchString(entry.Name()) || entry.IsDir() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return err
		}
		text.Write(bytes.TrimSpace(bytes.ReplaceAll(content, []byte("\r"), nil)))
		text.WriteString("\n")
	}
	p.Text = text.String()
	p.License = classify(p.Text)
	if p.License == "" {
		return fmt.Errorf("%s: no licence that is known in %s", p.Name, folder)
	}
	return nil
}

// phrases are phrases that occur in only one licence each. The first match decides.
var phrases = []struct{ license, phrase string }{
	{"Apache-2.0", "apache license version 2.0"},
	{"MPL-2.0", "mozilla public license"},
	{"Unlicense", "this is free and unencumbered software released into the public domain"},
	{"CC0-1.0", "cc0 1.0 universal"},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose"},
	{"ISC", "permission to use, copy, modify, and distribute this software for any"},
	{"BSD-3-Clause", "neither the name"},
	{"BSD-3-Clause", "the name of the author may not be used"},
	{"BSD-2-Clause", "redistributions in binary form must reproduce"},
	{"MIT", "the above copyright notice and this permission notice shall be included"},
	{"MIT-0", "permission is hereby granted, free of charge"},
}

// classify returns the SPDX name of a licence, or "" for one that is not known.
func classify(text string) string {
	words := strings.ReplaceAll(strings.Join(strings.Fields(strings.ToLower(text)), " "), "license, version",
		"license version")
	for _, p := range phrases {
		if strings.Contains(words, p.phrase) {
			return p.license
		}
	}
	return ""
}

// notices returns each licence's text once, after the names of the parts that have it.
func notices(parts []part) []byte {
	var out bytes.Buffer
	out.WriteString("What echocast and echocast-server link, and its licences. Written by make notices.\n")
	names := map[string][]string{}
	for _, p := range parts {
		names[p.Text] = append(names[p.Text], strings.TrimSpace(p.Name+" "+p.Version)+" ("+p.License+")")
	}
	for _, p := range parts {
		if names[p.Text] == nil {
			continue // already written
		}
		fmt.Fprintf(&out, "\n%s\n%s\n\n%s", strings.Repeat("=", 80), strings.Join(names[p.Text], "\n"), p.Text)
		names[p.Text] = nil
	}
	return out.Bytes()
}

// list returns the list of licences for README.md.
func list(parts []part) string {
	var out strings.Builder
	out.WriteString("| licence | linked by both programs | by `echocast-server` alone |\n| --- | --- | --- |\n")
	byLicense := map[string][2][]string{}
	for _, p := range parts {
		columns := byLicense[p.License]
		column := 1
		if p.InClient {
			column = 0
		}
		columns[column] = append(columns[column], strings.TrimPrefix(p.Name, "github.com/"))
		byLicense[p.License] = columns
	}
	licenses := make([]string, 0, len(byLicense))
	for license := range byLicense {
		licenses = append(licenses, license)
	}
	slices.Sort(licenses)
	for _, license := range licenses {
		fmt.Fprintf(&out, "| %s | %s | %s |\n", license, strings.Join(byLicense[license][0], ", "),
			strings.Join(byLicense[license][1], ", "))
	}
	return out.String()
}

const (
	listBegins = "<!-- licences: written by make notices -->\n"
	listEnds   = "<!-- end of licences -->\n"
)

// withList returns the README with the list between its markers.
func withList(readme []byte, parts []part) ([]byte, error) {
	before, rest, begins := bytes.Cut(readme, []byte(listBegins))
	_, after, ends := bytes.Cut(rest, []byte(listEnds))
	if !begins || !ends {
		return nil, fmt.Errorf("README.md lacks the marks %q and %q", listBegins, listEnds)
	}
	return slices.Concat(before, []byte(listBegins+list(parts)+listEnds), after), nil
}
