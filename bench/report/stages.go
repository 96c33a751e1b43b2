package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// result is the best run of one benchmark.
type result struct {
	stage, name, form string // such as "Encode", "50ms", "naive"
	nanoseconds       float64
	slowest           float64            // nanoseconds, of the slowest run
	metrics           map[string]float64 // by unit, such as "MB/s"
}

// parse reads the output of go test -bench. Of several runs of one benchmark it keeps the
// fastest.
func parse(output string) ([]*result, error) {
	var all []*result
	known := map[string]*result{}
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		r, err := parseLine(fields)
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(line))
		}
		key := r.stage + "/" + r.name + "/" + r.form
		if best := known[key]; best == nil {
			known[key] = r
			all = append(all, r)
		} else {
			slowest := max(best.slowest, r.slowest)
			if r.nanoseconds < best.nanoseconds {
				*best = *r
			}
			best.slowest = slowest
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no results of benchmarks")
	}
	return all, nil
}

// parseLine reads "BenchmarkEncode/50ms/naive-2 1000 11942 ns/op 401.93 MB/s".
func parseLine(fields []string) (*result, error) {
	name := strings.TrimPrefix(fields[0], "Benchmark")
	if at := strings.LastIndexByte(name, '-'); at >= 0 {
		name = name[:at] // the number of cores
	}
	parts := strings.Split(name, "/")
	if len(parts) != 3 {
		return nil, errors.New("not a stage, a case and a form")
	}
	r := &result{stage: parts[0], name: parts[1], form: parts[2], metrics: map[string]float64{}}
	for i := 2; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return nil, err
		}
		r.metrics[fields[i+1]] = value
	}
	r.nanoseconds = r.metrics["ns/op"]
	r.slowest = r.nanoseconds
	if r.nanoseconds <= 0 {
		return nil, errors.New("no time")
	}
	return r, nil
}

// order is the order of the stages: as the samples pass them, then all stages together.
// Unknown stages come last.
var order = []string{"Decode", "Resample", "Chunk", "Encode", "ChunkEncode", "Pace", "File"}

func rank(stage string) int {
	if at := slices.Index(order, stage); at >= 0 {
		return at
	}
	return len(order)
}

// table returns a table with a row for each result of echocast. The other implementations
// are shown as ratios.
func table(all []*result) string {
	other := map[string]*result{}
	for _, r := range all {
		other[r.stage+"/"+r.name+"/"+r.form] = r
	}
	slices.SortStableFunc(all, func(r, s *result) int { return cmp.Compare(rank(r.stage), rank(s.stage)) })
	var b strings.Builder
	b.WriteString("| stage | case | time | slowest round | MB/s | × real time | allocations | naive takes " +
		"| memcpy takes |\n")
	b.WriteString("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	last := ""
	for _, r := range all {
		if r.form != "echocast" {
			continue
		}
		key, stage := r.stage+"/"+r.name+"/", r.stage
		if stage == last {
			stage = ""
		}
		last = r.stage
		fmt.Fprintf(&b, "| %s | %s | %s | +%.0f %% | %s | %s | %.0f | %s | %s |\n", stage,
			strings.ReplaceAll(r.name, "-", " "), duration(r.nanoseconds), 100*(r.slowest/r.nanoseconds-1),
			r.whole("MB/s"), r.whole("x-real-time"), r.metrics["allocs/op"], r.times(other[key+"naive"]),
			r.times(other[key+"memcpy"]))
	}
	return b.String()
}

// whole returns a metric without decimals, or "" if there is none.
func (r *result) whole(unit string) string {
	value, ok := r.metrics[unit]
	if !ok {
		return ""
	}
	return strconv.FormatFloat(value, 'f', 0, 64)
}

// times returns how many times longer than r the other implementation takes.
func (r *result) times(other *result) string {
	if other == nil {
		return ""
	}
	return fmt.Sprintf("%.2g ×", other.nanoseconds/r.nanoseconds)
}

func duration(nanoseconds float64) string {
	switch {
	case nanoseconds < 1e4:
		return fmt.Sprintf("%.0f ns", nanoseconds)
	case nanoseconds < 1e6:
		return fmt.Sprintf("%.1f µs", nanoseconds/1e3)
	}
	return fmt.Sprintf("%.2f ms", nanoseconds/1e6)
}
