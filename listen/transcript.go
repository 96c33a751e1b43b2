package listen

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"echocast/echo"
	"echocast/internal/outfile"
	"echocast/internal/text"
)

// Transcript writes who said what and when to a file. Times count from the first
// entry, by the arrival of events. A nil Transcript does nothing.
type Transcript struct {
	name    string
	file    *os.File
	write   func(t *Transcript, e entry) error
	began   time.Time
	pending *entry // its end is not known yet
	entries int
	err     error // the first one; nothing is written after it
}

// entry is one entry.
type entry struct {
	Role        string  `json:"role"`
	Text        string  `json:"text"`
	Start       float64 `json:"start_seconds"`
	End         float64 `json:"end_seconds"`
	Interrupted bool    `json:"interrupted,omitempty"`
	InferenceID string  `json:"inference_id,omitempty"`
}

// NewTranscript creates a file; the ending of its name chooses the format: .txt, .srt
// or .json.
func NewTranscript(name string) (*Transcript, error) {
	writers := map[string]func(*Transcript, entry) error{".txt": (*Transcript).line, ".srt": (*Transcript).subtitle, ".json": (*Transcript).object}
	write, ok := writers[strings.ToLower(filepath.Ext(name))]
	if !ok {
		return nil, &FormatError{name}
	}
	file, err := outfile.Create(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, text.WithoutPath(err))
	}
	return &Transcript{name: name, file: file, write: write}, nil
}

// FormatError says that the name of a transcript has no ending that is known.
type FormatError struct{ Name string }

func (e *FormatError) Error() string { return e.Name + ": the name ends with .txt, .srt or .json" }

// Add takes an event that arrived at now.
func (t *Transcript) Add(event echo.Event, now time.Time) error {
	if t == nil || t.err != nil {
		return nil
	}
	switch event.Kind {
	case echo.KindUtterance:
		t.utterance(event, now)
	case echo.StoppedSpeaking:
		t.stopped(event, now)
	case echo.KindTranscriptionReady:
		t.whole(event.Transcript)
	}
	return t.failed()
}

// utterance begins an entry. The service sends the replica's utterance at its start,
// and the user's at its end.
func (t *Transcript) utterance(event echo.Event, now time.Time) {
	if t.began.IsZero() {
		t.began = now
	}
	at := now.Sub(t.began).Seconds()
	t.flush(at)
	t.pending = &entry{Role: event.Role, Text: event.Text, Start: at, End: at + reading(event.Text).Seconds(), Interrupted: event.Interrupted, InferenceID: event.InferenceID}
	if event.Role == echo.RoleUser {
		t.pending.Start, t.pending.End = max(0, at-reading(event.Text).Seconds()), at
		t.flush(at)
	}
}

// stopped ends the entry of the replica.
func (t *Transcript) stopped(event echo.Event, now time.Time) {
	p := t.pending
	if p == nil || event.Role != p.Role || event.InferenceID != p.InferenceID {
		return
	}
	p.Interrupted = p.Interrupted || event.Interrupted
	p.End = now.Sub(t.began).Seconds()
	t.flush(p.End)
}

// flush writes the pending entry, which ended at then at the latest.
func (t *Transcript) flush(then float64) {
	if t.pending == nil || t.err != nil {
		return
	}
	e := *t.pending
	t.pending = nil
	e.End = max(e.Start, min(e.End, then))
	t.err = t.write(t, e)
	t.entries++
}

// whole writes the transcript of a callback after the conversation.
func (t *Transcript) whole(entries []echo.TranscriptEntry) {
	for _, e := range entries {
		if e.Role != "user" && e.Role != "assistant" {
			continue // instructions, and what tools said
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
		t.pending = &entry{Role: role, Text: e.Text, Start: start, End: start + length.Seconds(), InferenceID: e.InferenceID}
		t.flush(start + length.Seconds())
	}
}

// reading estimates how long a text takes to say.
func reading(text string) time.Duration { return time.Duration(len(text)) * 60 * time.Millisecond }

func (t *Transcript) line(e entry) error {
	cut := ""
	if e.Interrupted {
		cut = " (interrupted)"
	}
	_, err := fmt.Fprintf(t.file, "[%s] %s: %s%s\n", stamp(e.Start, "."), e.Role, text.OneLine(e.Text), cut)
	return err
}

func (t *Transcript) subtitle(e entry) error {
	_, err := fmt.Fprintf(t.file, "%d\n%s --> %s\n%s: %s\n\n", t.entries+1, stamp(e.Start, ","), stamp(e.End, ","), e.Role, text.OneLine(e.Text))
	return err
}

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
	if t.pending != nil {
		t.flush(t.pending.End)
	}
	if t.err == nil && strings.EqualFold(filepath.Ext(t.name), ".json") {
		end := "\n]\n"
		if t.entries == 0 {
			end = "[]\n"
		}
		_, t.err = t.file.WriteString(end)
	}
	t.err = cmp.Or(t.err, t.file.Close())
	return t.failed()
}

func (t *Transcript) failed() error {
	if t.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", t.name, text.WithoutPath(t.err))
}
