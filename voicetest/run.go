package voicetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/child"
	"echocast/replica/serve"
	"echocast/room"
	"echocast/room/peer"
)

// Result is the result of an item. The item failed if there are Failures or an Error.
type Result struct {
	Talk     string             `json:"talk"`
	Name     string             `json:"name"`
	Passed   bool               `json:"passed"`
	Seconds  float64            `json:"seconds"`            // duration of the whole item
	Failures []string           `json:"failures,omitempty"` // differences from what was expected
	Error    string             `json:"error,omitempty"`    // why it could not be run
	Figures  map[string]float64 `json:"figures"`            // known figures; times in seconds
	Receipt  *echo.Receipt      `json:"receipt,omitempty"`

	File  string    `json:"-"` // of the talk
	Line  int       `json:"-"`
	Start time.Time `json:"-"`
}

// measured holds the measurements of an utterance. Several goroutines write it.
type measured struct {
	mu          sync.Mutex
	begin       time.Time // when the file was opened or the command started
	started     chan struct{}
	receipt     echo.Receipt
	firstAudio  time.Duration // negative: not known; interrupt likewise
	interruptAt time.Time
	interrupt   time.Duration
	late        []float64 // seconds, of each chunk
}

// observe records a moment of the session.
func (m *measured) observe(moment echo.Moment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case moment.Kind == echo.MomentChunk && !moment.Due.IsZero():
		m.late = append(m.late, moment.At.Sub(moment.Due).Seconds())
	case moment.Kind != echo.MomentEvent || moment.Event.Role == echo.RoleUser:
	case moment.Event.Kind == echo.StartedSpeaking && m.firstAudio < 0:
		m.firstAudio = moment.At.Sub(m.begin)
		close(m.started)
	case moment.Event.Kind == echo.StoppedSpeaking && !m.interruptAt.IsZero() && m.interrupt < 0:
		m.interrupt = moment.At.Sub(m.interruptAt)
	}
}

// lateness returns the 99th percentile of the lateness of chunks, in seconds.
func (m *measured) lateness() (seconds float64, isKnown bool) {
	if len(m.late) == 0 {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(m.late))
	rank := int(math.Ceil(0.99 * float64(len(sorted))))
	return max(sorted[rank-1], 0), true
}

// Run speaks the items of a talk, one after the other, and passes each result to report. If
// ctx ends before the last item, it returns the cause.
func (t *Talk) Run(ctx context.Context, file string, report func(Result)) error {
	for i := range t.Items {
		r := Result{Talk: t.Name, Name: t.Items[i].Name, File: file, Line: t.Items[i].Line, Start: time.Now()}
		m := &measured{started: make(chan struct{}), firstAudio: -1, interrupt: -1}
		err := t.Items[i].run(ctx, t.Dir, m)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		r.judge(&t.Items[i], m, err)
		report(r)
	}
	return nil
}

// judge compares the measurements with the expectations.
func (r *Result) judge(i *Item, m *measured, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.Seconds, r.Figures = time.Since(r.Start).Seconds(), map[string]float64{}
	for _, f := range figures {
		if value, isKnown := f.of(m); isKnown {
			r.Figures[f.name] = value
		}
	}
	if m.receipt.Outcome != "" {
		r.Receipt = &m.receipt
	}
	switch {
	case m.receipt.Outcome == i.Expect && (err == nil || i.Expect != echo.Finished):
	case m.receipt.Outcome == "":
		r.Error = err.Error()
	case err == nil:
		r.fail("%s, and %s is expected", m.receipt.Summary(true), i.Expect.Words())
	default:
		r.fail("%s (%v), and %s is expected", m.receipt.Summary(true), err, i.Expect.Words())
	}
	if r.Error == "" {
		r.compare(i)
	}
	r.Passed = r.Error == "" && len(r.Failures) == 0
}

func (r *Result) fail(format string, args ...any) {
	r.Failures = append(r.Failures, fmt.Sprintf(format, args...))
}

// compare checks the bounds. A bound of the talk that is about interrupts is skipped for
// items without an interrupt.
func (r *Result) compare(i *Item) {
	for _, b := range i.Bounds {
		f := figureOf(b.Figure)
		value, isKnown := r.Figures[b.Figure]
		words, broken := "at most", value > b.Limit
		if b.IsLeast {
			words, broken = "at least", value < b.Limit
		}
		switch {
		case !isKnown && (b.isOwn || b.Figure == "first_audio"):
			r.fail("%s is not known, and %s %s is expected", f.name, words, f.text(b.Limit))
		case isKnown && broken:
			r.fail("%s is %s, and %s %s is expected", f.name, f.text(value), words, f.text(b.Limit))
		}
	}
}

// run speaks the item to a new stand-in replica.
func (i *Item) run(ctx context.Context, dir string, m *measured) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, i.Timeout, fmt.Errorf("it was not over after %v", i.Timeout))
	defer cancel()
	local, err := serve.StartLocal(&serve.LocalOptions{Faults: i.Faults})
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, local.Close()) }()
	joined, err := room.Join(ctx, local.URL(), &room.Options{Backend: &peer.Backend{}})
	if err != nil {
		return err
	}
	defer joined.Close()
	session, err := echo.NewSession(joined.Stage(), &echo.Options{
		Pace: echo.Pace{Mode: echo.LeadMode, Lead: i.Lead}, Observe: m.observe,
	})
	if err != nil {
		return err
	}
	defer session.Close()
	if err := session.WaitReady(ctx); err != nil {
		return err
	}
	speech, finish, err := i.open(ctx, dir, m)
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	stop := i.interruptLater(ctx, session, m)
	receipt, err := session.Speak(ctx, speech)
	stop()
	if n, ok := local.Underruns(receipt.InferenceID); ok {
		receipt.Underruns, receipt.UnderrunsBy = n, echo.ByReplica
	}
	if cause := context.Cause(ctx); cause != nil {
		_ = finish()
		return cause // no receipt, because ctx ended the utterance
	}
	m.mu.Lock()
	m.receipt = receipt
	m.mu.Unlock()
	return errors.Join(err, finish())
}

// interruptLater interrupts the replica once it has spoken for the item's interrupt_after.
// The returned function cancels that.
func (i *Item) interruptLater(ctx context.Context, session *echo.Session, m *measured) (stop func()) {
	if i.InterruptAfter < 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-m.started:
		case <-ctx.Done():
			return
		}
		timer := time.NewTimer(i.InterruptAfter)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		m.mu.Lock()
		m.interruptAt = time.Now()
		m.mu.Unlock()
		_ = session.Interrupt(ctx, nil) // the receipt reports the result
	})
	return func() {
		cancel()
		waiting.Wait()
	}
}

// open opens the file, or starts the command. finish closes the file, or waits for the command
// and returns how it failed.
func (i *Item) open(ctx context.Context, dir string, m *measured) (s echo.Speech, finish func() error, err error) {
	m.mu.Lock()
	m.begin = time.Now()
	m.mu.Unlock()
	if i.Command != "" {
		return i.start(ctx, dir)
	}
	name := i.File
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	file, err := os.Open(name)
	if err != nil {
		return s, nil, err
	}
	prepared, err := i.prepare(ctx, file)
	if err != nil {
		_ = file.Close() // it was only read
		return s, nil, fmt.Errorf("%s: %w", i.File, err)
	}
	return echo.Speech{Samples: prepared, Name: i.Name}, func() error {
		_ = prepared.Close()
		_ = file.Close()
		return nil
	}, nil
}

func (i *Item) prepare(ctx context.Context, r io.Reader) (*audio.Prepared, error) {
	raw := audio.Format{Rate: i.Rate, Channels: i.Channels}
	return audio.Prepare(ctx, r, &audio.PrepareOptions{Input: &audio.Options{Encoding: i.Format, Raw: raw}})
}

// start starts the command.
func (i *Item) start(ctx context.Context, dir string) (s echo.Speech, finish func() error, err error) {
	command := child.Shell(ctx, i.Command)
	complaints := &child.Complaints{}
	command.Dir, command.Stdin, command.Stderr = dir, strings.NewReader(i.Text), complaints
	process, err := child.Start(command)
	if err != nil {
		return s, nil, err
	}
	prepared, err := i.prepare(ctx, process.Stdout)
	if err != nil {
		return s, nil, cmp.Or(complaints.AboutBroken(process), err)
	}
	feed := echo.NewFeed(prepared, echo.FeedOptions{Abort: process.Kill})
	speech := echo.Speech{Samples: feed, Name: i.Name, Text: i.Text, Abort: feed.Abort}
	return speech, func() error {
		_ = feed.Close()
		_ = prepared.Close()
		err := process.Wait()
		if i.InterruptAfter >= 0 {
			return nil // this program ended the command
		}
		return complaints.About(err)
	}, nil
}
