package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/tavus"
)

// doctoring is the doctor command.
type doctoring struct {
	service
	reaching // its room, and how that is joined
	pal      string
	face     string
	joins    bool

	checkup
}

func doctorCommand(streams Streams) *cli.Command {
	d := &doctoring{service: service{streams: streams}}
	return &cli.Command{
		Name:      "doctor",
		Usage:     "check what a real conversation needs, and say what to do",
		UsageText: "echocast doctor [OPTIONS]\n\n   echocast doctor --pal p123 --face r456\n   echocast doctor --to https://tavus.daily.co/c123 --join --json",
		Description: `It creates nothing, ends nothing and says nothing in a room. Each check is one line:
ok, warn, fail or skip, its name, what was found, and what to do about it. The exit
code is 0 where nothing failed, else that of the first check that failed, as send
would have it.

` + helpKey,
		Flags: joined([]cli.Flag{
			&cli.StringFlag{Name: "to", Destination: &d.to, DefaultText: "none", Usage: "`URL` of the room that is to be reached"},
			&cli.BoolFlag{Name: "join", Destination: &d.joins, DisableDefaultText: true, Usage: "join the room, and look who is there"},
			&cli.StringFlag{Name: "pal", EnvVars: []string{"TAVUS_PAL_ID", "TAVUS_PERSONA_ID"}, Destination: &d.pal, DefaultText: "none", Usage: "`ID` of the PAL that is to speak"},
			&cli.StringFlag{Name: "face", EnvVars: []string{"TAVUS_FACE_ID", "TAVUS_REPLICA_ID"}, Destination: &d.face, DefaultText: "the PAL's own", Usage: "`ID` of its face"},
			&cli.DurationFlag{Name: "ready-timeout", Value: 5 * time.Second, Destination: &d.readyTimeout, Usage: "with --join: wait at most this `TIME` for the replica"},
		}, d.service.flags(), d.daily.flags(), d.peering.dialFlags()),
		Action: func(c *cli.Context) error {
			if err := noInputs(c); err != nil {
				return err
			}
			return d.run(c.Context)
		},
	}
}

func (d *doctoring) check() error {
	switch {
	case d.joins && d.to == "":
		return usagef("--join joins the room that --to names; name one")
	case d.readyTimeout <= 0:
		return usagef("--ready-timeout %v: waiting takes time", d.readyTimeout)
	}
	_, err := d.peering.options(d.service.warn)
	return err
}

func (d *doctoring) run(ctx context.Context) error {
	if err := d.check(); err != nil {
		return err
	}
	d.reaching.streams = d.service.streams
	// An empty variable of the new name does not hide the old one.
	d.pal = cmp.Or(d.pal, os.Getenv("TAVUS_PERSONA_ID"))
	d.face = cmp.Or(d.face, os.Getenv("TAVUS_REPLICA_ID"))
	if !d.service.json {
		d.out = d.service.streams.Out
	}
	for _, examine := range []func(context.Context){d.state, d.account, d.libraries, d.transport, d.room} {
		if examine(ctx); ctx.Err() != nil || d.failed != nil {
			break
		}
	}
	if d.service.json && d.failed == nil && ctx.Err() == nil {
		d.failed = d.printJSON(d.service.streams.Out)
	}
	return first(context.Cause(ctx), d.failed, d.verdict())
}

// status is how a check ended.
type status string

// How a check can end.
const (
	statusOK   status = "ok"
	statusWarn status = "warn"
	statusFail status = "fail"
	statusSkip status = "skip"
)

// finding is what one check found.
type finding struct {
	Name   string `json:"name"`
	Status status `json:"status"`
	Detail string `json:"detail"`
	Fix    string `json:"fix"` // what to do; empty where nothing has to be
	err    error  // of a failure: it decides the exit code
}

// checkup is what all checks found.
type checkup struct {
	findings []finding
	out      io.Writer // where each is printed at once, or nil
	failed   error     // of out
}

func (c *checkup) note(f finding) {
	c.findings = append(c.findings, f)
	if c.out == nil || c.failed != nil {
		return
	}
	line := fmt.Sprintf("%-4s  %-18s  %s", f.Status, f.Name, f.Detail)
	if f.Fix != "" {
		line += "; " + f.Fix
	}
	if _, err := fmt.Fprintln(c.out, printable(line)); err != nil {
		c.failed = stdoutError{err}
	}
}

func (c *checkup) ok(name, format string, args ...any) {
	c.note(finding{Name: name, Status: statusOK, Detail: fmt.Sprintf(format, args...)})
}

func (c *checkup) skip(name, detail, fix string) {
	c.note(finding{Name: name, Status: statusSkip, Detail: detail, Fix: fix})
}

func (c *checkup) warn(name, detail, fix string) {
	c.note(finding{Name: name, Status: statusWarn, Detail: detail, Fix: fix})
}

// fail notes a failure. What to do about it is known, or in the error.
func (c *checkup) fail(name string, err error, fix string) {
	c.note(finding{Name: name, Status: statusFail, Detail: firstLine(err.Error()), Fix: fix, err: err})
}

// printJSON prints all of it as one object.
func (c *checkup) printJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false) // the addresses are for people to copy
	err := encoder.Encode(struct {
		Version string    `json:"version"`
		OK      bool      `json:"ok"`
		Checks  []finding `json:"checks"`
	}{Version, c.verdict() == nil, c.findings})
	if err != nil {
		return stdoutError{err}
	}
	return nil
}

// verdict is nil where nothing failed.
func (c *checkup) verdict() error {
	failures := failures{}
	for _, f := range c.findings {
		if f.Status == statusFail {
			failures.n++
			failures.first = first(failures.first, f.err)
		}
	}
	if failures.n == 0 {
		return nil
	}
	failures.of = len(c.findings)
	return failures
}

// failures are those of a checkup.
type failures struct {
	n, of int
	first error
}

func (f failures) Error() string { return fmt.Sprintf("%d of %s failed", f.n, counted(f.of, "check")) }
func (f failures) Unwrap() error { return f.first }

// state is where conversations are remembered, and those that were left open.
func (d *doctoring) state(context.Context) {
	dir, err := tavus.StateDir()
	if err == nil {
		err = tryWriting(dir)
	}
	if err != nil {
		d.fail("state directory", fmt.Errorf("%s: %w", dir, plain(err)), "no conversation can be created; let ECHOCAST_STATE_DIR name a folder that you may write")
		d.skip("left conversations", "there is no state directory", "")
		return
	}
	d.ok("state directory", "%s can be written", dir)
	all, err := tavus.Journal("")
	left := 0
	for _, conversation := range all {
		if conversation.Left {
			left++
		}
	}
	switch {
	case err != nil:
		d.checkup.warn("left conversations", firstLine(err.Error()), "look at the file, and remove it if it is not yours")
	case left > 0:
		d.checkup.warn("left conversations", counted(left, "conversation")+" may be open whose process is gone, and cost money", "run: echocast conversation end-mine")
	case len(all) > 0:
		d.ok("left conversations", "none; %s of processes that run", counted(len(all), "conversation"))
	default:
		d.ok("left conversations", "none")
	}
}

// tryWriting finds out whether files can be made in a folder.
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
