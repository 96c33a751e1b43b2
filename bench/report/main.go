// Command report writes the results of the benchmarks and of peers into the README, between
// its two markers, with the machine and the versions of all programs. It keeps the sections
// that were not measured again.
//
//	go test -run '^$' -bench . -count 3 ./bench > stages.txt
//	go run ./bench/peers > peers.md
//	go run ./bench/report -stages stages.txt -peers peers.md -readme bench/README.md
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Each marker is a whole line. The sections are between them.
const (
	beginMark   = "<!-- bench: begin -->\n"
	endMark     = "<!-- bench: end -->\n"
	sectionMark = "### "
)

func main() {
	stages := flag.String("stages", "", "`FILE` with the output of go test -bench")
	peers := flag.String("peers", "", "`FILE` with the table of the peers")
	many := flag.String("many", "", "`FILE` with the results of echocast bench --streams --json, of several rounds")
	more := flag.String("more", "", "`FILE` with further sections; those with the same title are rounds")
	load := flag.String("load", "unknown", "load average of the machine before the measuring")
	readme := flag.String("readme", "bench/README.md", "`FILE` to write into")
	flag.Parse()
	if err := run(*stages, *peers, *many, *more, *load, *readme); err != nil {
		fmt.Fprintf(os.Stderr, "report: %v\n", err)
		os.Exit(1)
	}
}

func run(stagesFile, peersFile, manyFile, moreFile, load, readmeFile string) error {
	stages, errStages := read(stagesFile)
	peers, errPeers := read(peersFile)
	many, errMany := read(manyFile)
	more, errMore := read(moreFile)
	readme, err := os.ReadFile(readmeFile)
	if err := errors.Join(errStages, errPeers, errMany, errMore, err); err != nil {
		return err
	}
	text := ""
	if stages != "" {
		results, err := parse(stages)
		if err != nil {
			return err
		}
		text += "### Stages\n\n" + table(results) + "\n"
	}
	if peers != "" {
		text += "### The whole tool and its peers\n\n" + peers + "\n"
	}
	if many != "" {
		table, err := manyTable(many)
		if err != nil {
			return err
		}
		text += "### Many conversations\n\n" + table + "\n"
	}
	changed, err := update(string(readme), text+more, machine(load))
	if err != nil {
		return fmt.Errorf("%s: %w", readmeFile, err)
	}
	return os.WriteFile(readmeFile, []byte(changed), 0o644)
}

// read returns the contents of a file, or "" if name is empty.
func read(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	text, err := os.ReadFile(name)
	return string(text), err
}

// section is a part of the results: a title, and what was measured, where and when.
type section struct{ title, body string }

// sections cuts a text at its titles.
func sections(text string) (all []section) {
	for part := range strings.SplitSeq("\n"+text, "\n"+sectionMark) {
		if title, body, ok := strings.Cut(part, "\n"); ok && strings.TrimSpace(title) != "" {
			all = append(all, section{title, strings.Trim(body, "\n")})
		}
	}
	return all
}

// update replaces those sections between the markers that are also in text, which was
// measured on this machine, perhaps in rounds. It marks figures that have moved, and appends
// new sections.
func update(readme, text, machine string) (string, error) {
	before, rest, found := strings.Cut(readme, beginMark)
	old, after, ended := strings.Cut(rest, endMark)
	if !found || !ended {
		return "", fmt.Errorf("the lines %q and %q are not there", strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	measured, err := mergeRounds(sections(text))
	if err != nil {
		return "", err
	}
	all := sections(old)
	for _, s := range measured {
		s.body = strings.TrimSpace(machine) + "\n\n" + s.body
		if at := slices.IndexFunc(all, func(o section) bool { return o.title == s.title }); at >= 0 {
			s.body = markMoved(all[at].body, s.body)
			all[at] = s
		} else {
			all = append(all, s)
		}
	}
	written := ""
	for _, s := range all {
		written += "\n" + sectionMark + s.title + "\n\n" + s.body + "\n"
	}
	return before + beginMark + written + "\n" + endMark + after, nil
}
