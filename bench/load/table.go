package load

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"echocast/internal/terminal"
)

// TableStyle is the style of a table.
type TableStyle struct {
	bar      int // columns for the bars; 0: no bars
	hasColor bool
}

// Widths of a table on a terminal.
const (
	tableColumns = 69 // columns of the figures
	longestBar   = 32
	shortestBar  = 4
)

// StyleOf returns the style of a table on stdout. On a terminal, bars fill the line, in
// colour unless NO_COLOR is set (https://no-color.org). Elsewhere there are no bars.
func StyleOf(stdout io.Writer) TableStyle {
	if !terminal.Is(stdout) || os.Getenv("TERM") == "dumb" {
		return TableStyle{}
	}
	columns, _, err := term.GetSize(int(stdout.(*os.File).Fd()))
	if err != nil || columns == 0 {
		columns = 80
	}
	bar := min(columns-tableColumns-2, longestBar)
	if bar < shortestBar {
		bar = 0
	}
	return TableStyle{bar: bar, hasColor: os.Getenv("NO_COLOR") == ""}
}

// Table returns the results as text for people, one case per line. The fastest case has the
// longest bar.
func Table(results []CaseResult, look TableStyle) string {
	most := 0.0
	for _, r := range results {
		most = max(most, r.TimesRealTime)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%9s %8s %11s %7s %11s %9s %8s\n", "input", "message", "messages/s", "MB/s",
		"x real time", "ns each", "allocs")
	for _, r := range results {
		fmt.Fprintf(&text, "%6d Hz %8v %11.0f %7.0f %11.0f %9.0f %8.2f", r.Rate,
			time.Duration(r.ChunkSeconds*float64(time.Second)).Round(time.Microsecond),
			r.MessagesPerSecond, r.MegabytesPerSecond, r.TimesRealTime, r.NanosecondsPerMessage, r.AllocationsPerMessage)
		text.WriteString(look.barOf(r.TimesRealTime/most) + "\n")
	}
	return text.String()
}

// barOf returns a bar for a fraction of the longest bar, in eighths of a column.
func (l TableStyle) barOf(part float64) string {
	if l.bar == 0 {
		return ""
	}
	eighths := int(math.Round(part * float64(8*l.bar)))
	bar := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		bar += string(rune('█' + 8 - rest)) // each following block is an eighth narrower
	}
	if l.hasColor {
		bar = "\x1b[36m" + bar + "\x1b[0m"
	}
	return "  " + bar
}

// ResultHead is the heading of the table with the lines of Result.Line.
const ResultHead = "streams messages  late p50       p99      most  underruns wrong  " +
	"send CPU a message  receive CPU a message  kB/stream\n"

// Line returns the result as a line of a table for people.
func (r Result) Line() string {
	short := func(s float64) string { return fmt.Sprintf("%.2f ms", 1000*s) }
	each := func(s float64) string { return fmt.Sprintf("%.0f µs", 1e6*s) }
	return fmt.Sprintf("%7d %8d %9s %9s %9s  %9d %5d  %8.2f %9s  %11.2f %9s %10d\n", r.Streams, r.Messages,
		short(r.LateP50), short(r.LateP99), short(r.LateMost), r.Underruns, r.Wrong,
		r.SendCPU, each(r.SendEach), r.ReceiveCPU, each(r.ReceiveEach), r.SendMemory/1000)
}
