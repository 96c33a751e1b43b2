package cli

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/rtc"
)

type sending struct {
	settings
	streams      Streams
	to           string
	record       string
	wait         string
	readyTimeout time.Duration
}

func sendCommand(streams Streams) *cli.Command {
	s := &sending{streams: streams}
	return &cli.Command{
		Name:      "send",
		Usage:     "speak the inputs through a replica",
		UsageText: "echocast send [OPTIONS] INPUT...\n\n   espeak-ng --stdout \"Hello there\" | echocast send -\n   echocast send --to http://127.0.0.1:8870 speech.mp3 more.wav",
		Description: helpInputs + `

Without --to, a stand-in replica in this process listens, over a real WebRTC
data channel. Ctrl-C interrupts the replica and ends; a second one ends at once.

` + helpExitCodes,
		Flags: append(append(append([]cli.Flag{
			&cli.StringFlag{Name: "to", Destination: &s.to, DefaultText: "a replica in this process", Usage: "`URL` of the replica"},
			&cli.StringFlag{Name: "record", Destination: &s.record, Usage: "write what the replica in this process heard to `FILE` (WAV)"},
			&cli.StringFlag{Name: "wait", Value: waitPlayed, Destination: &s.wait, Usage: "end each utterance when it was `played`, or when it is sent"},
			&cli.DurationFlag{Name: "ready-timeout", Value: 30 * time.Second, Destination: &s.readyTimeout, Usage: "wait at most this `TIME` for the replica to join"},
		}, append(s.inputFlags(), s.levelFlags()...)...), s.messageFlags(echo.LeadMode)...), s.outputFlags()...),
		Action: func(c *cli.Context) error {
			return s.run(c.Context, c.Args().Slice())
		},
	}
}

// What --wait can be.
const (
	waitPlayed = "played"
	waitSent   = "sent"
)

func (s *sending) check(names []string) error {
	switch {
	case s.wait != waitPlayed && s.wait != waitSent:
		return usagef("--wait %s: wait for played or for sent", s.wait)
	case s.record != "" && s.to != "":
		return usagef("--record is for the replica in this process; with --to, the other side records: echocast replica --record %s", s.record)
	case s.readyTimeout <= 0:
		return usagef("--ready-timeout %v: waiting takes time", s.readyTimeout)
	}
	if err := checkRecord(s.record, names); err != nil {
		return err
	}
	return s.settings.check(names)
}

func (s *sending) session() *echo.Options {
	options := s.settings.session()
	options.ReadyTimeout = s.readyTimeout
	options.SkipHeard = s.wait == waitSent
	return options
}

func (s *sending) run(ctx context.Context, names []string) error {
	if err := s.check(names); err != nil {
		return err
	}
	if err := checkInputs(names, s.streams.In, &s.settings); err != nil {
		return err
	}
	stdin, restore := endReads(ctx, s.streams.In)
	defer restore()
	if s.dryRun {
		return s.plan(ctx, names, stdin, s.streams)
	}
	out := s.newReporter(s.streams.Out, s.streams.Err)
	out.heard = s.wait == waitPlayed
	target, err := s.connect(ctx, out)
	if err != nil {
		return cancelled(ctx, err)
	}
	session, err := echo.NewSession(echo.NewMessages(target.conn, s.conversation, s.maxMessage), s.session())
	if err != nil {
		return first(settingsError(err), target.close())
	}
	out.say("waiting for the replica")
	if err = session.WaitReady(ctx); err == nil {
		err = speakAll(ctx, session, names, stdin, &s.settings, out)
	}
	_ = session.Close() // never fails
	return first(err, target.close())
}

// target is what is spoken to.
type target struct {
	conn  *rtc.Conn
	local *localReplica // nil where the replica is elsewhere
}

func (s *sending) connect(ctx context.Context, out *reporter) (*target, error) {
	if s.to != "" {
		conn, err := rtc.Dial(ctx, s.to, nil)
		if err != nil {
			return nil, &unreachable{err}
		}
		return &target{conn: conn}, nil
	}
	local, err := startLocalReplica(s.record, s.maxMessage, out)
	if err != nil {
		return nil, err
	}
	out.underruns = local.underruns
	conn, err := rtc.Dial(ctx, local.url(), nil)
	if err != nil {
		return nil, first(&unreachable{err}, local.close())
	}
	return &target{conn: conn, local: local}, nil
}

// close leaves the room: what was sent is delivered first.
func (t *target) close() error {
	_ = t.conn.Close() // what it could not deliver, receipts tell
	if t.local == nil {
		return nil
	}
	return t.local.close()
}
