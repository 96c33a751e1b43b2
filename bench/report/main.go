// Command report writes what the benchmarks and the peers gave into the README,
// between its two markers, with the machine and the versions of all that took
// part.
//
//	go test -run '^$' -bench . -count 3 ./bench > stages.txt
//	go run ./bench/peers > peers.md
//	go run ./bench/report -stages stages.txt -peers peers.md -readme bench/README.md
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

// The markers stand on lines of their own. What is between them is replaced.
const (
	beginMark = "<!-- bench: begin -->\n"
	endMark   = "<!-- bench: end -->\n"
)

func main() {
	stages := flag.String("stages", "", "`FILE` with the output of go test -bench")
	peers := flag.String("peers", "", "`FILE` with the table of the peers")
	more := flag.String("more", "", "`FILE` with further sections, to stand below")
	load := flag.String("load", "unknown", "load average of the machine before the measuring")
	readme := flag.String("readme", "bench/README.md", "`FILE` to write into")
	flag.Parse()
	if err := run(*stages, *peers, *more, *load, *readme); err != nil {
		fmt.Fprintf(os.Stderr, "report: %v\n", err)
		os.Exit(1)
	}
}

func run(stagesFile, peersFile, moreFile, load, readmeFile string) error {
	stages, err := os.ReadFile(stagesFile)
	if err != nil {
		return err
	}
	peers, err := os.ReadFile(peersFile)
	if err != nil {
		return err
	}
	var more []byte
	if moreFile != "" {
		if more, err = os.ReadFile(moreFile); err != nil {
			return err
		}
	}
	readme, err := os.ReadFile(readmeFile)
	if err != nil {
		return err
	}
	results, err := parse(string(stages))
	if err != nil {
		return err
	}
	text := machine(load) + "\n### Stages\n\n" + table(results) + "\n### The whole tool and its peers\n\n" + string(peers)
	if len(more) > 0 {
		text += "\n" + string(more)
	}
	changed, err := between(string(readme), text)
	if err != nil {
		return fmt.Errorf("%s: %w", readmeFile, err)
	}
	return os.WriteFile(readmeFile, []byte(changed), 0o644)
}

// between puts text between the markers.
func between(readme, text string) (string, error) {
	before, rest, found := strings.Cut(readme, beginMark)
	_, after, ended := strings.Cut(rest, endMark)
	if !found || !ended {
		return "", fmt.Errorf("the lines %q and %q are not there", strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	return before + beginMark + "\n" + text + "\n" + endMark + after, nil
}
