package trace

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"echocast/echo"
)

// timeline is the chart of a session: lanes with a common time axis.
type timeline struct {
	Title, Sub string
	Length     float64 // seconds across
	Lanes      []*lane
	Lines      []block // drawn across all lanes
	Ticks      []tick
	Data       *readings
}

// lane is one row of the chart. The coordinates of its paths are seconds horizontally, and
// from 0 (top) to 100 (bottom) vertically.
type lane struct {
	Name, Note, Class string
	Axis              string // meaning and unit of its height
	Legend            []key
	Scale             []tick // in percent from the bottom
	Paths             []path
	Blocks            []block
}

type (
	key  struct{ Class, Name string }
	path struct{ Class, D string }
	tick struct {
		At   float64
		Name string
	}
	// block is a labelled stretch of time. Left and Width are percent.
	block struct {
		Class, Name, Title    string
		Left, Width, From, To float64
	}
)

// readings are the values that the script of the page shows.
type readings struct {
	Length        float64      `json:"length"`
	ChunkT        []float64    `json:"chunkT"`
	ChunkLate     []*float64   `json:"chunkLate"`
	ChunkPosition []float64    `json:"chunkPosition"`
	LevelT        []float64    `json:"levelT"`
	LevelS        []float64    `json:"levelS"`
	Underruns     [][2]float64 `json:"underruns"`
	Replica       [][2]float64 `json:"replica"`
	User          [][2]float64 `json:"user"`
	Away          [][2]float64 `json:"away"`
	Marks         [][2]any     `json:"marks"`
}

func newTimeline(s *Session) *timeline {
	t := &timeline{Length: max(micro(s.Length), 0.001)}
	t.Sub = plural(s.Out, "message out", "messages out") + ", " + plural(s.In, "message in", "messages in")
	if len(s.Utterances)+len(s.Replica)+len(s.Marks)+len(s.User) == 0 {
		return t
	}
	t.Ticks = ticks(t.Length)
	t.Data = &readings{Length: t.Length, Underruns: pairs(s.Underruns), Replica: pairs(s.Replica), User: pairs(s.User),
		Away: pairs(s.Away), Marks: [][2]any{}}
	t.Lanes = append(t.Lanes, t.utterances(s))
	if len(s.Inputs) > 0 {
		t.Lanes = append(t.Lanes, t.inputs(s))
	}
	t.Lanes = append(t.Lanes, t.sends(s), t.buffer(s), t.sound(s),
		t.spans("Replica", "speaks, by its events", "replica", s.Replica))
	if len(s.User) > 0 {
		t.Lanes = append(t.Lanes, t.spans("User", "speaks, by the events", "user", s.User))
	}
	if len(s.Marks) > 0 {
		t.Lanes = append(t.Lanes, t.marks(s))
	}
	for _, span := range clip(s.Away) {
		t.Lines = append(t.Lines, t.block("away", "", span))
	}
	return t
}

func pairs(spans []Span) [][2]float64 {
	all := [][2]float64{}
	for _, s := range clip(spans) {
		all = append(all, [2]float64{micro(s.From), micro(s.To)})
	}
	return all
}

// clip returns at most the first mostBlocks elements.
func clip[T any](all []T) []T { return all[:min(len(all), mostBlocks)] }

func (t *timeline) block(class, name string, span Span) block {
	from, to := micro(span.From), micro(max(span.To, span.From))
	b := block{Class: class, Name: name, From: from, To: to, Left: percent(from, t.Length),
		Width: percent(to-from, t.Length)}
	b.Title = fmt.Sprintf("%.3f s", from)
	if to > from {
		b.Title = fmt.Sprintf("%.3f to %.3f s", from, to)
	}
	for _, text := range []string{name, span.Text} {
		if text != "" {
			b.Title += ": " + text
		}
	}
	return b
}

func (t *timeline) utterances(s *Session) *lane {
	l := &lane{Name: "Utterances", Note: "until the receipt", Class: "thin"}
	for i := range clip(s.Utterances) {
		u := &s.Utterances[i]
		words := echo.Outcome(u.Outcome()).Words()
		l.Blocks = append(l.Blocks, t.block("u "+outcomeClass(u.Outcome()), u.title(), Span{u.From, u.To, words}))
	}
	return l
}

func (t *timeline) spans(name, note, class string, spans []Span) *lane {
	l := &lane{Name: name, Note: note, Class: "thin"}
	for _, span := range clip(spans) {
		l.Blocks = append(l.Blocks, t.block(class, shortTime(span.To-span.From), span))
	}
	return l
}

// marks is the lane of single moments. An interrupt is also drawn as a line across all
// lanes.
func (t *timeline) marks(s *Session) *lane {
	l := &lane{Name: "Moments", Class: "thin marks"}
	var rows markRows
	for _, m := range clip(s.Marks) {
		words, class := m.label()
		switch {
		case strings.Contains(m.Text, words):
			words = m.Text
		case m.Text != "":
			words += ": " + m.Text
		}
		b := t.block("mark "+class, shortened(words), Span{m.T, m.T, words})
		b.Class += rows.findRow(b.Left, 1.5+0.65*float64(len(b.Name)))
		l.Blocks = append(l.Blocks, b)
		t.Data.Marks = append(t.Data.Marks, [2]any{micro(m.T), words})
		if m.Kind == KindInterrupt {
			t.Lines = append(t.Lines, t.block("interrupt", "", Span{m.T, m.T, ""}))
		}
	}
	return l
}

// markRows are the rows for labels of marks. Each number is where the last label of a row
// ends, in percent. The script of the page computes the rows in the same way when it zooms.
type markRows [3]float64

// findRow finds a row for a label of a given width, in percent, and returns its CSS
// classes. The label is to the right of its mark, or to its left if there is no space on
// the right.
func (r *markRows) findRow(at, width float64) string {
	from, side := at, ""
	if at+width > 100 && at > width {
		from, side = at-width, " flipped"
	}
	for row := range r {
		if from >= r[row] {
			r[row] = max(from+width, at+0.5)
			return fmt.Sprintf(" row%d%s", row, side)
		}
	}
	return " crowded"
}

// shortened cuts the text of a label.
func shortened(words string) string {
	const most = 40
	if runes := []rune(words); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return words
}

// label returns the name of a mark and its CSS class.
func (m Mark) label() (text, class string) {
	switch m.Kind {
	case KindInterrupt:
		return "interrupt", "interrupt"
	case KindLost:
		return "connection lost", "lost"
	case KindConnected:
		if m.Text == joinedText {
			return "joined", "joined"
		}
		return "connected", "joined"
	}
	return "interrupted", "interrupt"
}

// stem returns the height of a value on a logarithmic scale of four decades.
func stem(value, least float64) float64 {
	if !(value > least) {
		return 4
	}
	return min(4+96*math.Log10(value/least)/4, 100)
}

func decades(least float64) (scale []tick) {
	for i, value := range []float64{least * 10, least * 100, least * 1000} {
		scale = append(scale, tick{4 + 96*float64(i+1)/4, shortTime(value)})
	}
	return scale
}

// inputs draws when audio was read from the sources. A taller line means more audio.
func (t *timeline) inputs(s *Session) *lane {
	l := &lane{Name: "Input", Note: "audio that was read", Axis: "playing time (ms, log)", Scale: decades(0.001)}
	width := t.Length / mostPoints
	var d pen
	for i := 0; i < len(s.Inputs); {
		in := s.Inputs[i]
		for i++; len(s.Inputs) > mostPoints && i < len(s.Inputs) && s.Inputs[i].T < in.T+width; i++ {
			in.Seconds += s.Inputs[i].Seconds
		}
		d.stem(in.T, stem(in.Seconds, 0.001))
	}
	l.Paths = []path{{"in", d.String()}}
	return l
}

// sends draws each chunk. A taller line means a later chunk. Merged chunks show the latest
// one.
func (t *timeline) sends(s *Session) *lane {
	l := &lane{
		Name: "Sends", Note: "chunks", Axis: "lateness (ms, log)", Scale: decades(0.0001),
		Legend: []key{{"ok", "on time"}, {"late", "from " + shortTime(late)}, {"very", "from " + shortTime(veryLate)}},
	}
	width := t.Length / mostPoints
	classes := []string{"none", "ok", "late", "very"}
	pens := map[string]*pen{}
	for i := 0; i < len(s.Chunks); {
		from, worst := s.Chunks[i], s.Chunks[i]
		for i++; len(s.Chunks) > mostPoints && i < len(s.Chunks) && s.Chunks[i].T < from.T+width; i++ {
			if !(s.Chunks[i].Late <= worst.Late) {
				worst = s.Chunks[i]
			}
		}
		t.Data.chunk(worst)
		class := lateClass(worst.Late)
		if pens[class] == nil {
			pens[class] = &pen{}
		}
		pens[class].stem(worst.T, stem(worst.Late, 0.0001))
	}
	for _, class := range classes {
		if pens[class] != nil {
			l.Paths = append(l.Paths, path{class, pens[class].String()})
		}
	}
	return l
}

func (r *readings) chunk(c Chunk) {
	r.ChunkT = append(r.ChunkT, micro(c.T))
	r.ChunkPosition = append(r.ChunkPosition, micro(c.Position))
	var behind *float64
	if !math.IsNaN(c.Late) {
		behind = new(micro(c.Late))
	}
	r.ChunkLate = append(r.ChunkLate, behind)
}

// buffer draws how much audio the replica held, and its underruns.
func (t *timeline) buffer(s *Session) *lane {
	l := &lane{Name: "Render buffer", Note: "what the replica holds, estimated", Axis: "playing time (s)", Class: "tall"}
	levels := thinned(s.Buffer, t.Length/(mostPoints/4))
	top := 0.0
	for _, level := range levels {
		top = max(top, level.Seconds)
	}
	step := roundStep(top / 3)
	for value := step; value < top*1.02; value += step {
		l.Scale = append(l.Scale, tick{percent(value, top*1.12), shortTime(value)})
	}
	y := func(seconds float64) float64 { return 100 - percent(seconds, top*1.12) }
	var area, edge pen
	for i, level := range levels {
		if i == 0 {
			area.to("M", level.T, 100)
			edge.to("M", level.T, y(level.Seconds))
		}
		area.to("L", level.T, y(level.Seconds))
		edge.to("L", level.T, y(level.Seconds))
		t.Data.LevelT = append(t.Data.LevelT, micro(level.T))
		t.Data.LevelS = append(t.Data.LevelS, micro(level.Seconds))
	}
	if len(levels) > 0 {
		area.to("L", levels[len(levels)-1].T, 100)
		l.Paths = []path{{"area", area.String() + "Z"}, {"edge", edge.String()}}
	}
	for _, span := range clip(s.Underruns) {
		b := t.block("dry", "underrun, "+shortTime(span.To-span.From), span)
		l.Blocks = append(l.Blocks, b)
	}
	return l
}

// thinned reduces the number of levels if there are too many. It keeps the lowest and the
// highest level of each interval.
func thinned(levels []Level, width float64) (kept []Level) {
	if len(levels) <= mostPoints {
		return levels
	}
	for i := 0; i < len(levels); {
		low, high, from := levels[i], levels[i], levels[i].T
		for i++; i < len(levels) && levels[i].T < from+width; i++ {
			if levels[i].Seconds < low.Seconds {
				low = levels[i]
			}
			if levels[i].Seconds > high.Seconds {
				high = levels[i]
			}
		}
		if low.T > high.T {
			low, high = high, low
		}
		kept = append(kept, low, high)
	}
	return kept
}

// sound draws the waveform at the time when it plays. Parts that an interrupt cut off are
// pale.
func (t *timeline) sound(s *Session) *lane {
	l := &lane{Name: "Sound", Note: "where it plays, estimated", Axis: "amplitude (1 = full scale)"}
	l.Scale = []tick{{97, "1"}, {50, "0"}, {3, "−1"}}
	count := 0
	for i := range s.Chunks {
		count += len(s.Chunks[i].Peaks) / 2
	}
	width := 0.0
	if count > mostPoints {
		width = t.Length / mostPoints
	}
	heard, ghost := waveOutline{width: width}, waveOutline{width: width}
	for i := range s.Chunks {
		c := &s.Chunks[i]
		parts := len(c.Peaks) / 2
		if math.IsNaN(c.Plays) {
			continue
		}
		for j := range parts {
			at := c.Seconds * float64(j) / float64(parts)
			w := &heard
			if at >= c.Heard {
				w = &ghost
			}
			w.add(c.Plays+at, c.Plays+c.Seconds*float64(j+1)/float64(parts), c.Peaks[2*j], c.Peaks[2*j+1])
		}
	}
	for _, p := range []path{{"ghost", ghost.String()}, {"wave", heard.String()}} {
		if p.D != "" {
			l.Paths = append(l.Paths, p)
		}
	}
	return l
}

// waveOutline draws the outline of a waveform: the maxima from left to right, and then the minima
// from right to left.
type waveOutline struct {
	width float64 // parts closer than this are merged
	d     pen
	parts []wavePart
}

type wavePart struct {
	from, to  float64
	low, high int
}

func (w *waveOutline) add(from, to float64, low, high int) {
	low, high = min(max(low, -127), 127), min(max(high, -127), 127)
	if n := len(w.parts); n > 0 {
		last := &w.parts[n-1]
		switch {
		case math.Abs(from-last.to) > 0.001:
			w.flush()
		case to-last.from <= w.width:
			last.to, last.low, last.high = to, min(last.low, low), max(last.high, high)
			return
		}
	}
	w.parts = append(w.parts, wavePart{from, to, low, high})
}

// flush draws the contiguous parts.
func (w *waveOutline) flush() {
	if len(w.parts) == 0 {
		return
	}
	y := func(v int) float64 { return 50 - 47*float64(v)/127 }
	w.d.to("M", w.parts[0].from, 50)
	for _, p := range w.parts {
		w.d.to("L", (p.from+p.to)/2, y(p.high))
	}
	w.d.to("L", w.parts[len(w.parts)-1].to, 50)
	for i := len(w.parts) - 1; i >= 0; i-- {
		w.d.to("L", (w.parts[i].from+w.parts[i].to)/2, y(w.parts[i].low))
	}
	w.d.b = append(w.d.b, 'Z')
	w.parts = w.parts[:0]
}

func (w *waveOutline) String() string {
	w.flush()
	return w.d.String()
}

// pen writes an SVG path.
type pen struct{ b []byte }

func (p *pen) String() string { return string(p.b) }

func (p *pen) to(how string, x, y float64) {
	p.b = append(p.b, how...)
	p.number(x, 1e4)
	p.b = append(p.b, ' ')
	p.number(y, 10)
}

// stem draws a line upwards from the bottom.
func (p *pen) stem(x, height float64) {
	p.to("M", x, 100)
	p.b = append(p.b, 'V')
	p.number(100-height, 10)
}

func (p *pen) number(v, parts float64) {
	p.b = strconv.AppendFloat(p.b, math.Round(v*parts)/parts, 'f', -1, 64)
}

// ticks returns the ticks of the time axis. The script of the page adds finer ones.
func ticks(length float64) (all []tick) {
	step := roundStep(length / 10)
	for i := 0; float64(i)*step <= length; i++ {
		t := tick{percent(float64(i)*step, length), clockTime(float64(i)*step, step)}
		all = append(all, t)
	}
	return all
}

// roundStep returns the smallest round step that is at least this many seconds.
func roundStep(atLeast float64) float64 {
	if !(atLeast > 0) {
		return 1
	}
	for _, step := range []float64{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15,
		30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400} {
		if step >= atLeast {
			return step
		}
	}
	return 86400 * math.Ceil(atLeast/86400)
}

// clockTime formats a time for the axis.
func clockTime(seconds, step float64) string {
	if seconds < 60 && step < 60 {
		digits := 0
		for s := step; s < 0.999 && digits < 3; s *= 10 {
			digits++
		}
		return fmt.Sprintf("%.*f s", digits, seconds)
	}
	whole := int64(seconds)
	if whole < 3600 {
		return fmt.Sprintf("%d:%02d", whole/60, whole%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", whole/3600, whole/60%60, whole%60)
}

// micro rounds to a microsecond.
func micro(seconds float64) float64 { return math.Round(seconds*1e6) / 1e6 }
