package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// mergeRounds merges the sections that have the same title: they are rounds of the same
// measurement.
func mergeRounds(all []section) (merged []section, err error) {
	rounds := map[string][]string{}
	for _, s := range all {
		rounds[s.title] = append(rounds[s.title], s.body)
	}
	for _, s := range all {
		bodies := rounds[s.title]
		delete(rounds, s.title)
		if len(bodies) == 0 {
			continue // it was merged into an earlier one
		}
		if s.body, err = mergeTables(bodies); err != nil {
			return nil, fmt.Errorf("%s: %w", s.title, err)
		}
		merged = append(merged, s)
	}
	return merged, nil
}

// mergeTables returns the tables of the first round. Each figure is the median of the
// rounds and, in parentheses, the minimum and maximum.
func mergeTables(rounds []string) (string, error) {
	if len(rounds) == 1 {
		return rounds[0], nil
	}
	var columns [][]string // for each cell, its text in each round
	for _, body := range rounds {
		at := 0
		eachRow(body, func(_ string, cells []string) []string {
			for _, cell := range cells {
				if at == len(columns) {
					columns = append(columns, nil)
				}
				columns[at] = append(columns[at], cell)
				at++
			}
			return cells
		})
	}
	var wrong error
	text := eachRow(rounds[0], func(name string, cells []string) []string {
		for i := range cells {
			cell, ok := mergeCell(columns[0])
			if !ok || len(columns[0]) != len(rounds) {
				wrong = fmt.Errorf("the rounds of %q differ: %q", name, columns[0])
			}
			cells[i], columns = cell, columns[1:]
		}
		return cells
	})
	if len(columns) > 0 {
		wrong = fmt.Errorf("a round has %d more cells than the first", len(columns))
	}
	return text + fmt.Sprintf("\n\n"+spreadNote, len(rounds)), wrong
}

// spreadNote is below the tables that show a spread.
const spreadNote = "The medians of %d rounds, with the least and the greatest."

// mergeCell merges the texts that a cell has in the rounds: equal texts, or figures in the
// same unit with the same number of decimals.
func mergeCell(rounds []string) (cell string, ok bool) {
	if len(slices.Compact(slices.Clone(rounds))) == 1 {
		return rounds[0], true
	}
	format := ""
	var values []float64
	for _, text := range rounds {
		digits, unit, _ := strings.Cut(text, " ")
		value, err := strconv.ParseFloat(digits, 64)
		_, decimals, _ := strings.Cut(digits, ".")
		own := strings.TrimSpace(fmt.Sprintf("%%.%df %s", len(decimals), strings.ReplaceAll(unit, "%", "%%")))
		if err != nil || format != "" && own != format {
			return "", false
		}
		format, values = own, append(values, value)
	}
	return spread(format, values), true
}
