// Package voicetest tests a voice path. It speaks the items of a talk to a stand-in
// replica, in real time, and compares the result with the talk's expectations.
//
// A talk is a YAML file:
//
//	at_most: {first_audio: 400ms, gaps: 0}
//	say:
//	  - file: greeting.wav
//	  - text: Hello there.
//	    command: my-tts --stdout
//	  - file: long.wav
//	    interrupt_after: 1s
//	    expect: interrupted
//	    at_most: {interrupt: 300ms}
//
// Each item of say has a separate stand-in and connection, so a failure does not affect the
// next item. An item may override the settings of its talk.
//
// [WriteJUnit] writes results in the form that CI systems read: a suite for each talk, a
// test case for each item, and the item's figures as properties.
package voicetest

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"echocast/audio"
	"echocast/echo"
	"echocast/replica"
)

// Talk is a parsed talk file: what to speak and what to expect.
type Talk struct {
	Name  string // of the suite; default: the file name
	Dir   string // folder of the files; commands run in it
	Items []Item
}

// Item is one utterance with its expectations.
type Item struct {
	Name string
	Line int // its line in the file

	File           string // an audio file, or
	Command        string // a shell command line that prints audio
	Text           string // for the command's standard input; what the audio says
	Format         string // of raw samples, such as s16le; empty: by content
	Rate           int    // Hz, of raw samples
	Channels       int
	InterruptAfter time.Duration // of speech; negative: never
	Lead           time.Duration
	Timeout        time.Duration // for the whole item, at most
	Faults         []string      // of the stand-in
	Expect         echo.Outcome
	Bounds         []Bound
}

// Bound is a limit for a figure.
type Bound struct {
	Figure  string
	Limit   float64 // seconds, for times
	IsLeast bool    // the figure must be at least Limit; otherwise at most
	isOwn   bool    // set by the item, not by the talk
}

// The defaults of a talk.
const (
	DefaultTimeout = time.Minute
	never          = -1
)

// Error reports a mistake in a talk file.
type Error struct {
	File string
	Line int // 0: the whole file
	Err  error
}

// Error returns the mistake and where it is.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// figure is a measurement that may have bounds.
type figure struct {
	name   string
	isTime bool
	usage  string
	of     func(m *measured) (value float64, isKnown bool)
}

// figures lists all figures, in the order of the documentation and of reports.
var figures = []figure{
	{"first_audio", true, "from the start of the file or the command until the replica speaks",
		func(m *measured) (float64, bool) { return m.firstAudio.Seconds(), m.firstAudio >= 0 }},
	{"gaps", false, "how often the replica ran out of audio",
		func(m *measured) (float64, bool) { return float64(m.receipt.Underruns), m.receipt.Chunks > 0 }},
	{"gap_time", true, "for how long it had none, in all",
		func(m *measured) (float64, bool) { return m.receipt.GapSeconds, m.receipt.Chunks > 0 }},
	{"late", true, "how late chunks left: 99 of 100 no later",
		(*measured).lateness},
	{"lead", true, "how far ahead of playback chunks arrived, on average",
		func(m *measured) (float64, bool) { return m.receipt.LeadSeconds, m.receipt.Chunks > 0 }},
	{"interrupt", true, "from the interrupt until the replica said that it stopped",
		func(m *measured) (float64, bool) { return m.interrupt.Seconds(), m.interrupt >= 0 }},
	{"factor", false, "how fast the audio arrived, where 1 is real time",
		func(m *measured) (float64, bool) {
			if m.receipt.Input == nil {
				return 0, false
			}
			return m.receipt.Input.Factor, m.receipt.Input.Factor > 0
		}},
	{"stalls", false, "how often the audio came too late",
		func(m *measured) (float64, bool) {
			if m.receipt.Input == nil {
				return 0, false
			}
			return float64(m.receipt.Input.Stalls), true
		}},
	{"spoken", true, "how long the replica spoke",
		func(m *measured) (float64, bool) { return m.receipt.SpokenSeconds, m.receipt.SpokenBy != "" }},
}

func figureOf(name string) *figure {
	for i := range figures {
		if figures[i].name == name {
			return &figures[i]
		}
	}
	return nil
}

// text formats a value of the figure.
func (f *figure) text(value float64) string {
	switch {
	case !f.isTime:
		return strings.TrimSuffix(fmt.Sprintf("%.2f", value), ".00")
	case value < 1:
		return fmt.Sprintf("%.0f ms", 1000*value)
	}
	return fmt.Sprintf("%.2f s", value)
}

// Read reads a talk. Files and commands of the talk are relative to the folder of file. An
// error is an *Error that names the line.
func Read(r io.Reader, file string) (*Talk, error) {
	talk := &Talk{Dir: filepath.Dir(file), Name: strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))}
	all := Item{
		InterruptAfter: never, Lead: echo.DefaultLead, Timeout: DefaultTimeout, Expect: echo.Finished,
	}
	if err := readTalk(r, talk, all); err != nil {
		return nil, inFile(err, file)
	}
	for i := range talk.Items {
		item := &talk.Items[i]
		if err := item.check(); err != nil {
			return nil, &Error{file, item.Line, err}
		}
	}
	return talk, nil
}

// isOfInterrupt reports whether the bound is about interrupts and was set by the item.
func (b Bound) isOfInterrupt() bool { return b.isOwn && b.Figure == "interrupt" }

// check returns an error for an item that contradicts itself. It sets a missing name.
func (i *Item) check() error {
	switch {
	case (i.File == "") == (i.Command == ""):
		return fmt.Errorf("an item speaks either a file or what a command prints: give one of them")
	case i.Text != "" && i.Command == "":
		return fmt.Errorf("text is what a command reads: add command, a line of the shell that speaks it")
	case i.Format != "" && (i.Rate == 0 || i.Channels == 0):
		return fmt.Errorf("raw samples have no header: add rate and channels, such as rate: 24000 and channels: 1")
	case i.Format != "" && !slices.Contains(audio.RawEncodings(), i.Format):
		return fmt.Errorf("no samples are called %q; there are %s", i.Format, strings.Join(audio.RawEncodings(), ", "))
	case i.Format == "" && (i.Rate != 0 || i.Channels != 0):
		return fmt.Errorf("rate and channels are for raw samples: add format, such as format: s16le")
	case i.InterruptAfter < 0 && slices.ContainsFunc(i.Bounds, Bound.isOfInterrupt):
		return fmt.Errorf("interrupt bounds how fast an interrupt is obeyed: add interrupt_after, such as 1s")
	}
	if i.Name == "" {
		i.Name = i.File + i.Command
	}
	return new(replica.Options).SetFaults(i.Faults)
}
