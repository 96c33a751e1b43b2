package listen

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"echocast/echo"
	"echocast/internal/outfile"
	"echocast/internal/text"
)

// Transcript writes who said what and when to a file. Times are the arrival times of the
// events that somebody starts or stops speaking, counted from the first event. Interrupted
// speech is written with the words that were heard. A nil Transcript does nothing.
type Transcript struct {
	name    string
	file    *os.File
	write   func(t *Transcript, e entry) error
	began   time.Time
	spans   map[string]span // the last span of each speaker
	pending []*entry        // in the order of their starts; the first has not ended
	entries int
	shown   float64 // the end of the last subtitle, in seconds
	err     error   // the first one; nothing is written after it
}

// span is the time in which somebody spoke, in seconds.
type span struct {
	start, end              float64
	hasEnded, isInterrupted bool
}

// entry is one entry of a transcript.
type entry struct {
	Role        string           `json:"role"`
	Text        string           `json:"text"` // the whole text
	Start       float64          `json:"start_seconds"`
	End         float64          `json:"end_seconds"`
	Interrupted bool             `json:"interrupted,omitempty"`
	Heard       *echo.HeardWords `json:"heard,omitempty"` // the words heard, for interrupted speech
	InferenceID string           `json:"inference_id,omitempty"`

	hasEnded bool
}

// heard returns the part of the text that was heard.
func (e *entry) heard() string {
	if e.Heard != nil {
		return e.Heard.Text
	}
	return e.Text
}

// NewTranscript creates a transcript file; the extension of its name selects the
// format: .txt, .srt, .vtt or .json.
func NewTranscript(name string) (*Transcript, error) {
	writers := map[string]func(*Transcript, entry) error{".txt": (*Transcript).line, ".srt": (*Transcript).subtitle,
		".vtt": (*Transcript).caption, ".json": (*Transcript).object}
	write, ok := writers[strings.ToLower(filepath.Ext(name))]
	if !ok {
		return nil, &FormatError{name}
	}
	file, err := outfile.Create(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, text.WithoutPath(err))
	}
	return &Transcript{name: name, file: file, write: write, spans: map[string]span{}}, nil
}

// FormatError reports a file name without a known extension.
type FormatError struct{ Name string }

// Error says what is wrong.
func (e *FormatError) Error() string {
	return e.Name + ": the name ends with .txt, .srt, .vtt or .json"
}

// Begin makes times count from at instead of from the first event.
func (t *Transcript) Begin(at time.Time) {
	if t != nil {
		t.began = at
	}
}

// AddReceipt adds the words that were heard of an utterance, which ended at now.
func (t *Transcript) AddReceipt(r echo.Receipt, now time.Time) error {
	if t == nil || t.err != nil || r.Words == nil || r.Words.Words == 0 {
		return nil
	}
	e := &entry{Role: echo.RolePal, Text: r.Words.Text + r.Words.Rest, InferenceID: r.InferenceID, hasEnded: true}
	e.End = t.since(now)
	e.Start = max(0, e.End-r.SpokenSeconds-r.GapSeconds)
	if r.Words.Words < r.Words.Of {
		e.Interrupted, e.Heard = true, r.Words
	}
	t.add(e)
	t.flush()
	return t.failed()
}

// Add adds an event that arrived at now.
func (t *Transcript) Add(event echo.Event, now time.Time) error {
	if t == nil || t.err != nil {
		return nil
	}
	switch event.Kind {
	case echo.StartedSpeaking:
		t.spans[speaker(event)] = span{start: t.since(now)}
	case echo.KindUtterance:
		t.utterance(event, now)
	case echo.StoppedSpeaking:
		t.stopped(event, t.since(now))
	case echo.KindTranscriptionReady:
		t.whole(event.Transcript)
	}
	t.flush()
	return t.failed()
}

// since converts a time to seconds in the file; the first is 0.
func (t *Transcript) since(now time.Time) float64 {
	if t.began.IsZero() {
		t.began = now
	}
	return now.Sub(t.began).Seconds()
}

// speaker returns the key of a speaker's utterance. The replica's utterances have different
// ids; the user has one utterance at a time.
func speaker(event echo.Event) string {
	if event.Role == echo.RoleUser {
		return event.Role
	}
	return event.Role + " " + event.InferenceID
}

// utterance adds an entry. The service sends the text of the replica's utterance at its
// start, and that of the user's at its end. If there are no events of starting and stopping,
// the length is estimated from the text.
func (t *Transcript) utterance(event echo.Event, now time.Time) {
	length := reading(event.Text)
	if t.began.IsZero() && event.Role == echo.RoleUser {
		t.began = now.Add(-length)
	}
	at := t.since(now)
	who := speaker(event)
	spoke, isKnown := t.spans[who]
	delete(t.spans, who)
	e := &entry{Role: event.Role, Text: event.Text, Interrupted: event.Interrupted, InferenceID: event.InferenceID}
	switch {
	case isKnown && spoke.hasEnded:
		e.Start = spoke.start
		e.finish(spoke.end, spoke.isInterrupted)
	case event.Role == echo.RoleUser && isKnown:
		e.Start, e.End, e.hasEnded = spoke.start, at, true
	case event.Role == echo.RoleUser:
		e.Start, e.End, e.hasEnded = max(0, at-length.Seconds()), at, true
	default:
		t.endAll(at)
		if e.Start = at; isKnown {
			e.Start = spoke.start
		}
		e.End = at + length.Seconds()
	}
	t.add(e)
}

// maxPending is how many entries may wait for the end of an earlier one.
const maxPending = 100

func (t *Transcript) add(e *entry) {
	at, _ := slices.BinarySearchFunc(t.pending, e, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), -1) // after those with the same start
	})
	t.pending = slices.Insert(t.pending, at, e)
	if len(t.pending) > maxPending {
		t.pending[0].hasEnded = true
	}
}

// stopped ends the entry of a speaker.
func (t *Transcript) stopped(event echo.Event, at float64) {
	who := speaker(event)
	for _, e := range t.pending {
		if e.hasEnded || event.Role != e.Role || event.InferenceID != e.InferenceID {
			continue
		}
		e.finish(at, event.Interrupted)
		delete(t.spans, who)
		return
	}
	if spoke, isKnown := t.spans[who]; isKnown && !spoke.hasEnded {
		t.spans[who] = span{spoke.start, at, true, event.Interrupted}
	}
	if len(t.spans) > maxPending { // spans whose words never arrived
		clear(t.spans)
	}
}

// finish ends an entry.
func (e *entry) finish(at float64, wasInterrupted bool) {
	e.End, e.hasEnded = at, true
	if e.Interrupted = e.Interrupted || wasInterrupted; e.Interrupted && e.Role != echo.RoleUser {
		e.Heard = echo.HeardFor(e.Text, time.Duration((e.End-e.Start)*float64(time.Second)))
	}
}

// endAll ends the open entries at their estimated ends, but not later than then.
func (t *Transcript) endAll(then float64) {
	for _, e := range t.pending {
		if !e.hasEnded {
			e.End, e.hasEnded = max(e.Start, min(e.End, then)), true
		}
	}
}

// flush writes the finished entries in order.
func (t *Transcript) flush() {
	for len(t.pending) > 0 && t.pending[0].hasEnded && t.err == nil {
		t.err = t.write(t, *t.pending[0])
		t.pending = t.pending[1:]
		t.entries++
	}
}

// whole writes the transcript of a callback after the conversation.
func (t *Transcript) whole(entries []echo.TranscriptEntry) {
	for _, e := range entries {
		if e.Role != "user" && e.Role != "assistant" {
			continue // instructions, and output of tools
		}
		role := e.Role
		if role == "assistant" {
			role = echo.RolePal
		}
		start := max(e.Start, 0).Seconds()
		length := e.Duration
		if length < 0 {
			length = reading(e.Text)
		}
		t.pending = append(t.pending, &entry{Role: role, Text: e.Text, Start: start, End: start + length.Seconds(),
			InferenceID: e.InferenceID, hasEnded: true})
	}
}

// reading estimates how long a text takes to say: 60 ms for each byte.
func reading(text string) time.Duration { return time.Duration(len(text)) * 60 * time.Millisecond }

func (t *Transcript) line(e entry) error {
	cut := ""
	if e.Interrupted {
		cut = " (interrupted)"
	}
	_, err := fmt.Fprintf(t.file, "[%s] %s: %s%s\n", stamp(e.Start, "."), e.Role, text.OneLine(e.heard()), cut)
	return err
}

// shortest is the shortest display time of a subtitle, in seconds.
const shortest = 0.2

// shownAt returns the display time of an entry as a subtitle, in seconds. Unlike speech,
// subtitles must not be empty and must not overlap.
func (t *Transcript) shownAt(e entry) (start, end float64) {
	start = max(e.Start, t.shown)
	end = max(e.End, start+shortest)
	t.shown = end
	return start, end
}

func (t *Transcript) subtitle(e entry) error {
	start, end := t.shownAt(e)
	_, err := fmt.Fprintf(t.file, "%d\n%s --> %s\n%s: %s\n\n", t.entries+1, stamp(start, ","), stamp(end, ","),
		e.Role, text.OneLine(e.heard()))
	return err
}

// caption writes a cue of WebVTT, in which <, > and & are markup.
func (t *Transcript) caption(e entry) error {
	head := ""
	if t.entries == 0 {
		head = webVTT
	}
	start, end := t.shownAt(e)
	_, err := fmt.Fprintf(t.file, "%s%s --> %s\n<v %s>%s\n\n", head, stamp(start, "."), stamp(end, "."),
		e.Role, html.EscapeString(text.OneLine(e.heard())))
	return err
}

// webVTT is the first line of a WebVTT file.
const webVTT = "WEBVTT\n\n"

func (t *Transcript) object(e entry) error {
	line, _ := json.Marshal(e) // numbers and strings always marshal
	before := ",\n"
	if t.entries == 0 {
		before = "[\n"
	}
	_, err := fmt.Fprintf(t.file, "%s%s", before, line)
	return err
}

// stamp formats a time as subtitles do.
func stamp(seconds float64, point string) string {
	ms := int64(seconds*1000 + 0.5)
	return fmt.Sprintf("%02d:%02d:%02d%s%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, point, ms%1000)
}

// Close completes the file.
func (t *Transcript) Close() error {
	if t == nil {
		return nil
	}
	t.endAll(math.Inf(1))
	t.flush()
	if t.err == nil {
		t.err = t.finish()
	}
	t.err = cmp.Or(t.err, t.file.Close())
	return t.failed()
}

// finish writes the end of the file. If there were no entries, it writes the beginning too.
func (t *Transcript) finish() (err error) {
	isEmpty := t.entries == 0
	switch strings.ToLower(filepath.Ext(t.name)) {
	case ".json":
		end := "\n]\n"
		if isEmpty {
			end = "[]\n"
		}
		_, err = t.file.WriteString(end)
	case ".vtt":
		if isEmpty {
			_, err = t.file.WriteString(webVTT)
		}
	}
	return err
}

func (t *Transcript) failed() error {
	if t.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", t.name, text.WithoutPath(t.err))
}
