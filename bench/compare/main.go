// Command compare compares two outputs of the benchmarks. It fails if a stage takes longer,
// or allocates more, than before.
//
//	go run ./bench/compare -bound 1.2 before.txt after.txt
//
// Of each stage the fastest run counts, because other work on the machine only slows it
// down. Both outputs must be measured alternately on one machine, so that their ratio is
// meaningful.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

func main() {
	bound := flag.Float64("bound", 1.2, "how many times as long a stage may take")
	flag.Parse()
	if err := run(flag.Args(), *bound, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(names []string, bound float64, out io.Writer) error {
	if len(names) != 2 {
		return errors.New("name two outputs: before and after")
	}
	var sides [2][]stage
	for i, name := range names {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		sides[i], err = parse(file)
		_ = file.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return compare(sides[0], sides[1], bound, out)
}

// stage is the best of all runs of one stage.
type stage struct {
	name        string
	nanoseconds float64
	allocations float64
}

// parse reads the lines of benchmarks. It keeps the order of their first lines.
func parse(r io.Reader) (stages []stage, err error) {
	at := make(map[string]int)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		s := stage{name: fields[0], nanoseconds: math.Inf(1)}
		if cut := strings.LastIndexByte(s.name, '-'); cut > 0 {
			s.name = s.name[:cut] // the number of processors
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			switch fields[i+1] {
			case "ns/op":
				s.nanoseconds = value
			case "allocs/op":
				s.allocations = value
			}
		}
		if i, known := at[s.name]; known {
			stages[i].nanoseconds = min(stages[i].nanoseconds, s.nanoseconds)
			stages[i].allocations = min(stages[i].allocations, s.allocations)
			continue
		}
		at[s.name] = len(stages)
		stages = append(stages, s)
	}
	return stages, lines.Err()
}

// compare prints the stages that are in both outputs, and returns an error if some became
// worse. It ignores stages that are in only one output.
func compare(before, after []stage, bound float64, out io.Writer) error {
	were := make(map[string]stage)
	for _, s := range before {
		were[s.name] = s
	}
	compared, worse := 0, 0
	for _, is := range after {
		was, known := were[is.name]
		if !known {
			continue
		}
		compared++
		ratio, verdict := is.nanoseconds/was.nanoseconds, ""
		if ratio > bound {
			verdict = "  SLOWER"
		}
		if is.allocations > allocationsAllowed(was.allocations) {
			verdict += "  ALLOCATES MORE"
		}
		if verdict != "" {
			worse++
		}
		fmt.Fprintf(out, "%-60s %6.2f x the time  %6.0f -> %.0f allocations%s\n", is.name, ratio, was.allocations,
			is.allocations, verdict)
	}
	switch {
	case compared == 0:
		return errors.New("the two have no stage in common")
	case worse > 0:
		return fmt.Errorf("%d of %d stages became worse", worse, compared)
	}
	return nil
}

// allocationsAllowed returns the limit of allocations. Stages with many allocations have a
// tolerance, since goroutines make the number vary. Stages with few have none.
func allocationsAllowed(was float64) float64 { return was + math.Floor(was/20) }
