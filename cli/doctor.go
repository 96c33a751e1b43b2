package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/doctor"
	"echocast/internal/account"
	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/internal/redact"
	"echocast/internal/roomoption"
	"echocast/internal/shutdown"
	"echocast/internal/terminal"
	"echocast/tavus"
)

// doctorCmd is the doctor command.
type doctorCmd struct {
	streams      Streams
	service      account.Options
	json         bool
	to           string
	daily        roomoption.Daily
	peer         roomoption.Peer
	pal          string
	face         string
	join         bool
	readyTimeout time.Duration
	live         bool
	yes          bool
}

func doctorCommand(streams Streams) *cli.Command {
	d := &doctorCmd{streams: streams}
	return &cli.Command{
		Name:  "doctor",
		Usage: "check what a real conversation needs, and say what to do",
		UsageText: "echocast doctor [OPTIONS]\n\n   echocast doctor --pal p123 --face r456\n" +
			"   echocast doctor --live --yes --pal p123\n   echocast doctor --to https://tavus.daily.co/c123 --join --json",
		Description: `It creates nothing, ends nothing and says nothing in a room. Each check is one line:
ok, warn, fail or skip, its name, what was found, and what to do about it. The last
lines say what this machine is ready for, and what to type. The exit code is 0 if
nothing failed; otherwise it is the code of the first failed check, as for send.

--live --yes creates a conversation with the PAL instead, which costs money, speaks
two seconds of silence in it over REST, ends it, and prints what the service
answered, and how fast. The report holds no key and no id; please send it in.

` + account.HelpKey,
		Flags: option.Join([]cli.Flag{
			option.New(&d.to, "to", "", "`URL` of the room to check (default: none)"),
			option.Bool(&d.join, "join", "join the room, and report who is there"),
			option.New(&d.pal, "pal", "", "`ID` of the PAL to check (default: none) [$TAVUS_PAL_ID, $TAVUS_PERSONA_ID]"),
			option.New(&d.face, "face", "", "`ID` of its face (default: the PAL's own) [$TAVUS_FACE_ID, $TAVUS_REPLICA_ID]"),
			option.New(&d.readyTimeout, "ready-timeout", 5*time.Second, "with --join: wait at most this `TIME` for the replica"),
			option.Bool(&d.live, "live", "measure a conversation with the PAL over REST; it costs money, so add --yes"),
			option.Bool(&d.yes, "yes", "with --live: yes, create a conversation"),
		}, d.service.Flags(), []cli.Flag{option.Bool(&d.json, "json", "print JSON, one object a "+
			"line")}, d.daily.Flags(), d.peer.DialFlags()),
		Action: option.WithoutInputs(d.run),
	}
}

func (d *doctorCmd) check() error {
	switch {
	case d.join && d.to == "":
		return usagef("--join joins the room that --to names; name one")
	case d.readyTimeout <= 0:
		return usagef("--ready-timeout must be more than 0")
	case d.yes && !d.live:
		return usagef("--yes confirms --live; add --live, or leave --yes out")
	case d.live && d.pal == "":
		return usagef("--live speaks in a conversation with a PAL: name one with --pal ID")
	case d.live && !d.yes:
		return usagef("--live creates a conversation, which costs money: add --yes")
	case d.live && d.json:
		return usagef("--live prints a report to paste, and no JSON; leave --json out")
	}
	return nil
}

// measure makes the live check, and prints its report even if it failed.
func (d *doctorCmd) measure(ctx context.Context) error {
	client, err := d.service.Client(d.streams.Warn)
	if err != nil {
		return err
	}
	spec := tavus.Spec{PAL: d.pal, Face: d.face, Name: "echocast doctor", MaxDuration: 2 * time.Minute}
	if err := spec.Check(); err != nil {
		return usagef("%v", err)
	}
	account.WarnOfLeft(d.streams.Warn)
	report, err := doctor.Live(ctx, client, spec)
	if _, printErr := fmt.Fprintf(d.streams.Out, "echocast %s, doctor --live\n%s", Version, report); printErr != nil {
		err = cmp.Or(err, error(&output.Error{Err: printErr}))
	}
	return shutdown.Cause(ctx, account.Explain(ctx, err, d.streams.Warn))
}

// options collects what the checks need.
func (d *doctorCmd) options() (*doctor.Options, error) {
	peer, err := d.peer.Options(d.streams.Warn)
	if err != nil {
		return nil, err
	}
	daily, err := d.daily.Backend(d.streams.Warn)
	if err != nil {
		return nil, err
	}
	return &doctor.Options{
		Client: func() (*tavus.Client, error) { return d.service.Client(d.streams.Warn) },
		HasKey: d.service.HasKey(),
		PAL:    d.pal, Face: d.face,
		Address: d.to, Join: d.join, ReadyTimeout: d.readyTimeout,
		Daily: daily, Peer: *peer, Explain: asJoinError,
	}, nil
}

func (d *doctorCmd) run(ctx context.Context) error {
	if err := d.check(); err != nil {
		return err
	}
	if d.live {
		return d.measure(ctx)
	}
	options, err := d.options()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !d.json {
		options.OnFinding = func(f doctor.Finding) {
			if err := output.Text(d.streams.Out, d.paint(f.Status, f.Text(), "  ")+"\n"); err != nil {
				cancel(err)
			}
		}
	}
	findings := doctor.Run(ctx, options)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	for i := range findings { // a server may repeat secrets that it was sent
		findings[i].Detail, findings[i].Fix = redact.Hide(findings[i].Detail), redact.Hide(findings[i].Fix)
	}
	return d.report(findings, doctor.Verdict(options, findings))
}

// report prints what this machine is ready for; with --json all findings as well. It returns
// the error of the first failed check.
func (d *doctorCmd) report(findings []doctor.Finding, uses []doctor.Use) error {
	failed := failure(findings)
	if d.json {
		return cmp.Or(d.printJSON(findings, uses, failed == nil), failed)
	}
	for _, use := range uses {
		status := doctor.Fail
		if use.Ready {
			status = doctor.OK
		}
		if err := output.Text(d.streams.Out, d.paint(status, use.Text(), ":")+"\n"); err != nil {
			return err
		}
	}
	return failed
}

// statusColors are the colors of findings on a terminal.
var statusColors = map[doctor.Status]terminal.Color{
	doctor.OK: terminal.Green, doctor.Warn: terminal.Yellow, doctor.Fail: terminal.Red,
}

// paint returns a line for people. On a terminal, the words before separator have the
// color of the status.
func (d *doctorCmd) paint(status doctor.Status, line, separator string) string {
	words, rest, _ := strings.Cut(output.ForPeople(line), separator)
	return terminal.Paint(d.streams.Out, statusColors[status], words) + separator + rest
}

// printJSON prints all findings as one object.
func (d *doctorCmd) printJSON(findings []doctor.Finding, uses []doctor.Use, ok bool) error {
	return output.JSONLines(d.streams.Out, []any{struct {
		Version string           `json:"version"`
		OK      bool             `json:"ok"`
		Checks  []doctor.Finding `json:"checks"`
		Verdict []doctor.Use     `json:"verdict"`
	}{Version, ok, findings, uses}})
}

// failure returns nil if no check failed, else an error with the exit code of the first
// failure.
func failure(findings []doctor.Finding) error {
	failed := doctor.Failed(findings)
	if failed == nil {
		return nil
	}
	failed.First = asJoinError(failed.First)
	return failed
}
