package main

import (
	"regexp"
	"strconv"
	"strings"
)

// movedBy is the factor by which a figure must grow or shrink to be marked as moved: more
// than a third.
const movedBy = 1 + 1.0/3

// units are the units of the compared figures. Times are compared in nanoseconds.
var units = map[string]float64{
	"": 1, "ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9, "MB": 1, "×": 1, "%": 1,
}

var number = regexp.MustCompile(`^(\d+(?:\.\d+)?) ?(ns|µs|ms|s|MB|×|%|)(?:$| \(|, was )`)

// figure returns the number at the beginning of a table cell.
func figure(cell string) (value float64, isFigure bool) {
	match := number.FindStringSubmatch(cell)
	if match == nil {
		return 0, false
	}
	value, err := strconv.ParseFloat(match[1], 64)
	return value * units[match[2]], err == nil
}

// eachRow calls visit for each row of the tables of a section. It returns the section with
// the cells that visit returns. The name of a row consists of its first cell and of its
// cells in columns that are not right-aligned. If the first cell is empty, that of the row
// above counts.
func eachRow(body string, visit func(name string, cells []string) []string) string {
	var b strings.Builder
	first, isTable := "", false
	var marks []string // alignment of each column, such as ---:
	for line := range strings.Lines(body) {
		text := strings.TrimSuffix(line, "\n")
		inside, isRow := strings.CutPrefix(text, "| ")
		isHead := isRow && !isTable
		cells := strings.Split(strings.TrimSuffix(inside, " |"), " | ")
		isMark := strings.HasPrefix(inside, "---")
		if isMark {
			marks = cells
		}
		if isTable = isRow; !isRow || isHead || isMark || len(cells) != len(marks) {
			b.WriteString(line)
			continue
		}
		if strings.TrimSpace(cells[0]) != "" {
			first = cells[0]
		}
		name := first
		for i, cell := range cells[1:] {
			if marks[i+1] == "---" {
				name += ", " + cell
			}
		}
		b.WriteString("| " + strings.Join(visit(name, cells), " | ") + " |" + strings.TrimPrefix(line, text))
	}
	return b.String()
}

// markMoved marks the figures of a section that are more than a third larger or smaller
// than before. The mark shows the previous figure.
func markMoved(before, now string) string {
	old := map[string][]string{}
	eachRow(before, func(name string, cells []string) []string {
		old[name] = cells
		return cells
	})
	return eachRow(now, func(name string, cells []string) []string {
		was := old[name]
		if len(was) != len(cells) {
			return cells // the columns differ
		}
		for i, cell := range cells[1:] {
			a, hadFigure := figure(was[i+1])
			b, hasFigure := figure(cell)
			if hadFigure && hasFigure && min(a, b) > 0 && max(a, b) > movedBy*min(a, b) {
				text, _, _ := strings.Cut(was[i+1], " (")
				text, _, _ = strings.Cut(text, ", was ")
				cells[i+1] = cell + ", was " + text
			}
		}
		return cells
	})
}
