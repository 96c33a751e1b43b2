package terminal

import (
	"fmt"
	"strings"
	"time"
)

// Playback is the content of a status line: the name of the input, a bar, the time heard,
// the time sent, the state, and the keys.
type Playback struct {
	Name        string
	Heard, Sent time.Duration
	Total       time.Duration // 0: not known
	State       string
	Keys        string
}

// The widths of parts of the line, in columns.
const (
	longestName  = 24
	shortName    = 12
	shortestName = 8
	longestBar   = 30
	shortestBar  = 8
	gap          = "  "
)

// Text returns the status line for a width in columns. It always shows the time heard and
// the state. If there is not enough space, it omits first the time sent, then the bar, then
// the keys. It also truncates the name.
func (p Playback) Text(columns int) string {
	needed := p.clock() + gap + p.State
	left := columns - Width(needed) - len(gap)
	nameColumns := max(left, 0)
	if keys := Width(p.Keys) + len(gap); left-keys >= shortName {
		nameColumns -= keys // keys matter more than the end of a long name
	}
	name := Fit(p.Name, min(longestName, nameColumns))
	if Width(name) < min(shortestName, Width(p.Name)) {
		name = ""
	}
	left -= Width(name)
	keys := textIfFits(p.Keys, &left)
	bar := ""
	if p.Total > 0 && left >= shortestBar+len(gap) {
		bar = p.bar(min(left-len(gap), longestBar))
		left -= Width(bar) + len(gap)
	}
	sent := textIfFits("sent "+clock(p.Sent), &left)
	var parts []string
	for _, text := range []string{name, bar, p.clock(), sent, p.State, keys} {
		if text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, gap)
}

// textIfFits returns the text if there is enough space for it and the gap before it.
func textIfFits(text string, left *int) string {
	columns := Width(text) + len(gap)
	if columns > *left {
		return ""
	}
	*left -= columns
	return text
}

// clock returns the time heard and the total.
func (p Playback) clock() string {
	if p.Total > 0 {
		return clock(p.Heard) + " / " + clock(p.Total)
	}
	return clock(p.Heard)
}

// bar returns a bar: filled up to the time heard, half-filled up to the time sent.
func (p Playback) bar(columns int) string {
	cells := func(d time.Duration) int {
		return int(min(d, p.Total) * time.Duration(columns) / p.Total)
	}
	heard := cells(p.Heard)
	sent := max(cells(p.Sent)-heard, 0)
	return strings.Repeat("█", heard) + strings.Repeat("▒", sent) + strings.Repeat("░", columns-heard-sent)
}

// clock formats a time as minutes, seconds and tenths.
func clock(d time.Duration) string {
	tenths := d.Milliseconds() / 100
	return fmt.Sprintf("%d:%02d.%d", tenths/600, tenths/10%60, tenths%10)
}
