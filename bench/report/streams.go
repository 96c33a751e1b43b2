package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// conversations is a result of echocast bench --streams --json.
type conversations struct {
	Streams     int     `json:"all"`
	LateP50     float64 `json:"late_p50_seconds"`
	LateP99     float64 `json:"late_p99_seconds"`
	LateMost    float64 `json:"late_most_seconds"`
	Underruns   float64 `json:"underruns"`
	Wrong       float64 `json:"wrong"`
	SendCPU     float64 `json:"send_cpu"`
	ReceiveCPU  float64 `json:"receive_cpu"`
	SendEach    float64 `json:"send_cpu_seconds_per_message"`
	ReceiveEach float64 `json:"receive_cpu_seconds_per_message"`
	SendMemory  float64 `json:"send_bytes_per_stream"`
}

// manyColumns are the columns after the number of conversations.
var manyColumns = []struct {
	head, format string
	of           func(conversations) float64
}{
	{"late p50", "%.2f ms", func(c conversations) float64 { return 1000 * c.LateP50 }},
	{"p99", "%.2f ms", func(c conversations) float64 { return 1000 * c.LateP99 }},
	{"most", "%.2f ms", func(c conversations) float64 { return 1000 * c.LateMost }},
	{"underruns", "%.0f", func(c conversations) float64 { return c.Underruns }},
	{"wrong", "%.0f", func(c conversations) float64 { return c.Wrong }},
	{"send CPU", "%.2f", func(c conversations) float64 { return c.SendCPU }},
	{"a message", "%.0f µs", func(c conversations) float64 { return 1e6 * c.SendEach }},
	{"receive CPU", "%.2f", func(c conversations) float64 { return c.ReceiveCPU }},
	{"a message", "%.0f µs", func(c conversations) float64 { return 1e6 * c.ReceiveEach }},
	{"kB/stream", "%.0f", func(c conversations) float64 { return c.SendMemory / 1000 }},
}

// manyTable returns a table with a row for each number of conversations. It shows the
// median of the rounds and, in parentheses, the minimum and maximum.
func manyTable(lines string) (string, error) {
	rounds := map[int][]conversations{}
	var counts []int
	for scanner := bufio.NewScanner(strings.NewReader(lines)); scanner.Scan(); {
		var c conversations
		if err := json.Unmarshal(scanner.Bytes(), &c); err != nil || c.Streams == 0 {
			return "", fmt.Errorf("not a result of bench --streams --json: %.100s", scanner.Text())
		}
		if rounds[c.Streams] == nil {
			counts = append(counts, c.Streams)
		}
		rounds[c.Streams] = append(rounds[c.Streams], c)
	}
	var b strings.Builder
	b.WriteString("| streams |")
	for _, column := range manyColumns {
		fmt.Fprintf(&b, " %s |", column.head)
	}
	b.WriteString("\n| ---: |" + strings.Repeat(" ---: |", len(manyColumns)) + "\n")
	for _, n := range counts {
		fmt.Fprintf(&b, "| %d |", n)
		for _, column := range manyColumns {
			var values []float64
			for _, c := range rounds[n] {
				values = append(values, column.of(c))
			}
			fmt.Fprintf(&b, " %s |", spread(column.format, values))
		}
		b.WriteString("\n")
	}
	if len(counts) > 0 {
		fmt.Fprintf(&b, "\n"+spreadNote+"\n", len(rounds[counts[0]]))
	}
	return b.String(), nil
}

// spread formats the median, and the minimum and maximum if they look different.
func spread(format string, values []float64) string {
	slices.Sort(values)
	text := func(v float64) string { return fmt.Sprintf(format, v) }
	least, greatest := text(values[0]), text(values[len(values)-1])
	median := text(values[len(values)/2])
	if least == greatest {
		return median
	}
	number, _, _ := strings.Cut(least, " ")
	return fmt.Sprintf("%s (%s to %s)", median, number, strings.Fields(greatest)[0])
}
