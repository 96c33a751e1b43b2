package trace

import (
	"crypto/sha256"
	_ "embed" // for the parts of the page
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"echocast/echo"
)

//go:embed page/page.html
var pageHTML string

//go:embed page/page.css
var pageCSS string

//go:embed page/page.js
var pageJS string

var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Parse(pageHTML))
})

// Limits on the size of a page, so that a browser can show it.
const (
	mostPoints = 12000 // points of a lane; above it, neighbours are merged and the worst is shown
	mostBlocks = 2000  // blocks of a lane, and rows of the table
	mostRuns   = 50    // sessions
)

// Page is a report as one HTML page. It loads no other files. The content of a trace cannot
// add markup or script to it.
type Page struct {
	Title    string // such as the file name
	Sessions []*Session
}

// page is the data of the template.
type page struct {
	Title, When string
	Figures     *Figures
	Tiles       []tile
	Notes       []string
	Sessions    []*timeline
	Lateness    []bar
	Percentiles []part
	Rows        []row
	RowsNote    string
	Said        []spoken
	SaidNote    string
	Style       template.CSS
	Script      template.JS
	ScriptHash  string
}

type (
	// tile holds one or more figures of the summary.
	tile struct {
		Name, Class, Value, Unit, Note string
		Parts                          []part
	}
	part struct{ Name, Value, Unit string }
	// bar is one bar of a histogram.
	bar struct {
		Name, Class string
		Count       int
		Part        float64 // percent of the longest
	}
	// row is an utterance in the table of utterances.
	row struct {
		Number, Chunks, Underruns           int
		Name, ID, Outcome, Judgement, Error string
		Begins, Sent, Spoken, SpokenBy      string
		FirstAudio, UnderrunsBy             string
	}
)

// Render writes the page.
func (p *Page) Render(w io.Writer) error { return pageTemplate().Execute(w, p.content()) }

// IsPage reports whether r begins as a page written by Render does.
func IsPage(r io.Reader) bool {
	head, _, _ := strings.Cut(pageHTML, "<title>")
	head, _, _ = strings.Cut(head, "{{")
	begin := make([]byte, len(head))
	_, err := io.ReadFull(r, begin)
	return err == nil && string(begin) == head
}

func (p *Page) content() *page {
	f := FiguresOf(p.Sessions)
	hash := sha256.Sum256([]byte(pageJS))
	c := &page{
		Title: p.Title, When: when(p.Sessions), Figures: f, Tiles: tiles(f),
		Notes: notes(p.Sessions), Style: template.CSS(pageCSS), Script: template.JS(pageJS),
		ScriptHash: "sha256-" + base64.StdEncoding.EncodeToString(hash[:]),
		Lateness:   histogram(f.Late),
	}
	if len(f.Late) > 0 {
		c.Percentiles = percentiles(f.Late, 50, 75, 90, 95, 99, 99.9, 100)
	}
	for i, s := range p.Sessions[:min(len(p.Sessions), mostRuns)] {
		t := newTimeline(s)
		t.Title = "Timeline"
		if len(p.Sessions) > 1 {
			t.Title = fmt.Sprintf("Run %d of %d", i+1, len(p.Sessions))
		}
		c.Sessions = append(c.Sessions, t)
	}
	c.Said, c.SaidNote = p.said()
	c.rows(p.Sessions)
	return c
}

// when returns the line below the title: date, duration and program.
func when(sessions []*Session) string {
	if len(sessions) == 0 {
		return ""
	}
	first, total := sessions[0], 0.0
	for _, s := range sessions {
		total += s.Length
	}
	parts := []string{first.Start.UTC().Format("2 January 2006, 15:04:05 UTC"), longTime(total)}
	if len(sessions) > 1 {
		parts = append(parts, fmt.Sprintf("%d runs", len(sessions)))
	}
	if first.Program != "" {
		parts = append(parts, first.Program)
	}
	return strings.Join(parts, "  ·  ")
}

// notes returns warnings about the trace.
func notes(sessions []*Session) (texts []string) {
	for _, s := range sessions {
		if s.Cut {
			texts = append(texts, "The last line of the trace is cut off: the recording process was killed.")
		}
		if s.Missing > 0 {
			texts = append(texts, fmt.Sprintf("%s of the trace missing: the disk was too slow.",
				plural(s.Missing, "line is", "lines are")))
		}
	}
	if len(sessions) > mostRuns {
		texts = append(texts, fmt.Sprintf("The first %d of %d runs are drawn.", mostRuns, len(sessions)))
	}
	return texts
}

func tiles(f *Figures) []tile {
	sent := tile{Name: "Audio sent", Note: plural(f.Utterances, "utterance", "utterances") + ", " +
		plural(f.Chunks, "chunk", "chunks")}
	sent.Value, sent.Unit = splitUnit(longTime(f.Seconds))
	first := tile{Name: "First audio", Value: "–", Note: "not reported by the replica"}
	if n := len(f.FirstAudio); n > 0 {
		first.Value, first.Unit = splitUnit(shortTime(Percentile(f.FirstAudio, 50)))
		first.Note = "after the first message"
		if n > 1 {
			first.Note = fmt.Sprintf("median of %d, longest %s", n, shortTime(f.FirstAudio[n-1]))
		}
	}
	late := tile{Name: "Lateness of chunks", Class: "wide", Value: "–", Note: "no chunk has a due time"}
	if len(f.Late) > 0 {
		late.Parts = percentiles(f.Late, 50, 95, 99, 100)
	}
	dry := tile{Name: "Underruns", Value: fmt.Sprint(f.Underruns), Note: "by the clock"}
	if f.Underruns > 0 {
		dry.Class = "red"
	}
	stops := tile{Name: "Interrupts", Value: fmt.Sprint(f.Interrupts), Note: "the connection held"}
	if f.Interrupts > 0 {
		stops.Class = "amber"
	}
	if f.Lost > 0 {
		stops.Class, stops.Note = "red", "connection lost "+times(f.Lost)
	}
	return []tile{sent, first, late, dry, stops}
}

func percentiles(sorted []float64, ps ...float64) (parts []part) {
	for _, p := range ps {
		name := fmt.Sprintf("p%g", p)
		if p == 100 {
			name = "max"
		}
		value, unit := splitUnit(shortTime(Percentile(sorted, p)))
		parts = append(parts, part{name, value, unit})
	}
	return parts
}

// Limits of lateness in seconds. Chunks that are later are highlighted. With a small lead
// such lateness can be heard.
const (
	late     = 0.020
	veryLate = 0.100
)

// lateClass returns the colour class of a lateness.
func lateClass(seconds float64) string {
	switch {
	case math.IsNaN(seconds):
		return "none"
	case seconds >= veryLate:
		return "very"
	case seconds >= late:
		return "late"
	}
	return "ok"
}

// histogram counts chunks by lateness.
func histogram(sorted []float64) (bars []bar) {
	if len(sorted) == 0 {
		return nil
	}
	most := 0
	bounds := []float64{0.0005, 0.001, 0.002, 0.005, 0.010, late, 0.050, veryLate, 0.200, 0.500, 1, math.Inf(1)}
	below := math.Inf(-1)
	for _, bound := range bounds {
		b := bar{Name: shortTime(below) + " to " + shortTime(bound), Class: lateClass(below)}
		switch {
		case math.IsInf(below, -1):
			b.Name, b.Class = "under "+shortTime(bound), "ok"
		case math.IsInf(bound, 1):
			b.Name = shortTime(below) + " and more"
		}
		for _, v := range sorted {
			if v >= below && v < bound {
				b.Count++
			}
		}
		below = bound
		most = max(most, b.Count)
		bars = append(bars, b)
	}
	for len(bars) > 1 && bars[len(bars)-1].Count == 0 {
		bars = bars[:len(bars)-1]
	}
	for i := range bars {
		bars[i].Part = percent(float64(bars[i].Count), float64(most))
		if bars[i].Count > 0 {
			bars[i].Part = max(bars[i].Part, 0.6) // so that it is visible
		}
	}
	return bars
}

// rows fills the table of utterances.
func (c *page) rows(sessions []*Session) {
	total := 0
	for _, s := range sessions {
		total += len(s.Utterances)
		for i := range s.Utterances {
			if len(c.Rows) < mostBlocks {
				c.Rows = append(c.Rows, rowOf(&s.Utterances[i], len(c.Rows)+1))
			}
		}
	}
	c.RowsNote = "from their receipts"
	if total > len(c.Rows) {
		c.RowsNote = fmt.Sprintf("the first %d of %d", len(c.Rows), total)
	}
}

func rowOf(u *Utterance, number int) row {
	r := row{
		Number: number, Name: u.title(), ID: u.ID,
		Outcome: echo.Outcome(u.Outcome()).Words(), Judgement: outcomeClass(u.Outcome()),
		Begins: fmt.Sprintf("%.3f s", u.From), Sent: fmt.Sprintf("%.3f s", u.seconds(u.Samples)), Chunks: u.Chunks,
		Spoken: "–", FirstAudio: "–", Underruns: u.Underruns, UnderrunsBy: "by the clock",
	}
	receipt := u.Receipt
	if receipt == nil {
		return r
	}
	r.Error, r.Underruns = receipt.Error, receipt.Underruns
	if receipt.UnderrunsBy != echo.ByClock {
		r.UnderrunsBy = withSource(receipt.UnderrunsBy)
	}
	if receipt.SpokenBy != "" {
		r.Spoken, r.SpokenBy = fmt.Sprintf("%.3f s", receipt.SpokenSeconds), withSource(receipt.SpokenBy)
	}
	if receipt.FirstAudioSeconds >= 0 {
		r.FirstAudio = shortTime(receipt.FirstAudioSeconds)
	}
	return r
}

func withSource(whom string) string {
	switch whom {
	case echo.ByClock:
		return "by the clock"
	case "":
		return ""
	}
	return "by " + whom
}

// title returns the name of the utterance.
func (u *Utterance) title() string {
	if u.Name != "" {
		return u.Name
	}
	return "unnamed"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// shortTime formats a time that is usually milliseconds, such as 1.3 ms, 240 ms
// or 1.25 s.
func shortTime(seconds float64) string {
	ms := seconds * 1000
	switch {
	case math.Abs(ms) < 9.95:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", ms), ".0") + " ms"
	case math.Abs(ms) < 999.5:
		return fmt.Sprintf("%.0f ms", ms)
	case math.Abs(seconds) < 100:
		return strings.TrimSuffix(strings.TrimSuffix(fmt.Sprintf("%.2f", seconds), "0"), ".0") + " s"
	}
	return longTime(seconds)
}

// longTime formats a time that may be hours.
func longTime(seconds float64) string {
	if seconds < 59.995 {
		return fmt.Sprintf("%.2f s", seconds)
	}
	d := time.Duration(math.Round(seconds)) * time.Second
	if d < time.Hour {
		return fmt.Sprintf("%d:%02d min", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d:%02d:%02d h", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}

// splitUnit splits a formatted value into number and unit.
func splitUnit(text string) (value, unit string) {
	value, unit, _ = strings.Cut(text, " ")
	return value, unit
}

func percent(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return math.Round(1e4*100*part/whole) / 1e4
}
