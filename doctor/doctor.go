// Package doctor checks what a real conversation needs: the state folder, the account, the
// libraries, and the room. It creates nothing, ends nothing, and says nothing in a room.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"echocast/internal/text"
	"echocast/room/daily"
	"echocast/rtc"
	"echocast/tavus"
)

// Options say what to check.
type Options struct {
	// Client returns a client of the Tavus API. Its error is about the key.
	Client func() (*tavus.Client, error)
	// HasKey reports whether there is an API key, even if it is invalid.
	HasKey bool

	PAL, Face string // ids; empty: not given
	Address   string // of the room; empty: not given
	// Join also joins the room and waits for the replica.
	Join         bool
	ReadyTimeout time.Duration

	Daily *daily.Backend // joins Daily rooms
	Peer  rtc.Options    // dials other rooms
	CDN   string         // where daily-js is loaded from; empty: the public CDN
	// Explain adds advice to an error, and may change its type.
	Explain func(error) error

	// OnFinding is called with each finding as soon as there is one. It may be nil.
	OnFinding func(Finding)
}

// Status is the result of a check.
type Status string

// The results of a check.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
	Skip Status = "skip"
)

// Finding is the result of one check.
type Finding struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	Fix    string `json:"fix"` // what to do; empty: nothing
	Err    error  `json:"-"`   // the error of a failed check
}

// examination runs all checks.
type examination struct {
	*Options
	findings []Finding
}

// Run runs all checks in order, until ctx ends, and returns the findings.
func Run(ctx context.Context, o *Options) []Finding {
	e := &examination{Options: o}
	for _, check := range []func(context.Context){e.state, e.account, e.libraries, e.transport, e.reachRoom} {
		if check(ctx); ctx.Err() != nil {
			break
		}
	}
	return e.findings
}

func (e *examination) note(f Finding) {
	e.findings = append(e.findings, f)
	if e.OnFinding != nil {
		e.OnFinding(f)
	}
}

func (e *examination) ok(name, format string, args ...any) {
	e.note(Finding{Name: name, Status: OK, Detail: fmt.Sprintf(format, args...)})
}

func (e *examination) skip(name, detail, fix string) {
	e.note(Finding{Name: name, Status: Skip, Detail: detail, Fix: fix})
}

func (e *examination) warn(name, detail, fix string) {
	e.note(Finding{Name: name, Status: Warn, Detail: detail, Fix: fix})
}

// fail records a failed check. fix may be empty if the error says what to do.
func (e *examination) fail(name string, err error, fix string) {
	e.note(Finding{Name: name, Status: Fail, Detail: text.FirstLine(err.Error()), Fix: fix, Err: err})
}

// state checks the state directory, and conversations that were left open.
func (e *examination) state(context.Context) {
	dir, err := tavus.StateDir()
	if err == nil {
		err = tryWriting(dir)
	}
	if err != nil {
		e.fail("state directory", fmt.Errorf("%s: %w", dir, text.WithoutPath(err)),
			"no conversation can be created; let ECHOCAST_STATE_DIR name a folder that you may write")
		e.skip("left conversations", "there is no state directory", "")
		return
	}
	e.ok("state directory", "%s can be written", dir)
	all, err := tavus.Journal("")
	left := 0
	for _, conversation := range all {
		if conversation.Left {
			left++
		}
	}
	switch {
	case err != nil:
		e.warn("left conversations", text.FirstLine(err.Error()), "look at the file, and remove it if it is not yours")
	case left > 0:
		e.warn("left conversations", text.Count(left, "conversation")+" of ended processes may still be open, and cost money",
			"run: echocast conversation end-mine")
	case len(all) > 0:
		e.ok("left conversations", "none; %s of processes that run", text.Count(len(all), "conversation"))
	default:
		e.ok("left conversations", "none")
	}
}

// tryWriting creates and removes a file in a folder.
func tryWriting(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, "doctor-")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}
