package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// movedBy is how many times as large or as small a figure must be to be named as one that
// has moved: by more than a third.
const movedBy = 1 + 1.0/3

// figure is a number in a table and its text.
type figure struct {
	value float64 // times in seconds
	text  string
}

// units are the units of the figures that are compared.
var units = map[string]float64{
	"": 1, "ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1, "MB": 1, "×": 1, "%": 1,
}

var number = regexp.MustCompile(`^(\d+(?:\.\d+)?) ?(ns|µs|ms|s|MB|×|%|)(?: \(.*)?$`)

// figuresOf returns the figures of each row of the tables of a section. The name of a row is
// the texts in it; an empty first cell means that of the row above.
func figuresOf(body string) (names []string, rows map[string][]figure, heads map[string][]string) {
	rows, heads = map[string][]figure{}, map[string][]string{}
	var head []string
	first := ""
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		cells, isRow := strings.CutPrefix(line, "| ")
		if !isRow {
			head = nil
			continue
		}
		row := strings.Split(strings.ReplaceAll(strings.TrimSuffix(cells, "|"), `\|`, "¦"), "|")
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		switch {
		case head == nil:
			head = row
			continue
		case strings.HasPrefix(row[0], "---"):
			continue
		case row[0] != "":
			first = row[0]
		}
		name, figures, of := first, []figure(nil), []string(nil)
		for i, cell := range row[1:] {
			if match := number.FindStringSubmatch(cell); match != nil {
				value, _ := strconv.ParseFloat(match[1], 64)
				figures, of = append(figures, figure{value * units[match[2]], cell}), append(of, head[i+1])
			} else if cell != "" {
				name += ", " + cell
			}
		}
		names, rows[name], heads[name] = append(names, name), figures, of
	}
	return names, rows, heads
}

// moved names the figures of a section that are more than a third larger or smaller than
// before; empty: none.
func moved(before, now string) string {
	_, old, _ := figuresOf(before)
	names, rows, heads := figuresOf(now)
	var all []string
	for _, name := range names {
		figures := rows[name]
		if len(old[name]) != len(figures) {
			continue // other columns
		}
		for i, f := range figures {
			was := old[name][i]
			if min(was.value, f.value) > 0 && max(was.value, f.value) > movedBy*min(was.value, f.value) {
				all = append(all, fmt.Sprintf("%s, %s: %s → %s", name, heads[name][i], was.text, f.text))
			}
		}
	}
	if len(all) == 0 {
		return ""
	}
	return "Moved by more than a third since the measurement before: " + strings.Join(all, "; ") + "."
}
