package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/internal/option"
	"echocast/internal/outfile"
	"echocast/internal/terminal"
	"echocast/room"
	"echocast/speak"
	"echocast/trace"
)

// replayCmd is the replay command.
type replayCmd struct {
	settings settings // conversation, message limit and output
	target   targetOptions
	streams  Streams
	record   string
	speed    float64
	burst    bool
	sameIDs  bool
}

func replayCommand(streams Streams) *cli.Command {
	r := &replayCmd{streams: streams}
	return &cli.Command{
		Name:  "replay",
		Usage: "send the messages of a trace again",
		UsageText: "echocast replay [OPTIONS] TRACE\n\n   echocast send --trace session.ndjson speech.wav\n" +
			"   echocast replay session.ndjson --to http://127.0.0.1:8870",
		Description: `A TRACE is a file that --trace recorded, or - for standard input. echocast sends its
messages at the times at which they were sent, with fresh inference ids. If the
recording stopped in mid-utterance, replay ends that utterance with an interrupt.
Without --to, a stand-in replica in this process listens.`,
		Flags: append([]cli.Flag{
			option.New(&r.target.to, "to", "", "`URL` of the replica: that of echocast replica, or of a Daily room (default: a "+
				"replica in this process)"),
			option.New(&r.record, "record", "", "write what the replica in this process heard to `FILE` (WAV)"),
			option.New(&r.speed, "speed", 1, "send `N` times as fast as it was recorded"),
			option.Bool(&r.burst, "burst", "send as fast as the connection allows"),
			option.Bool(&r.sameIDs, "same-ids", "keep the inference ids; a replica that has heard them may refuse them"),
			option.New(&r.settings.conversation, "conversation", "", "`ID` of the conversation, in place of the recorded one "+
				"(default: as recorded)"),
			option.New(&r.settings.maxMessage, "max-message", echo.DefaultMaxMessage, "the replica in this process drops "+
				"messages of more than `BYTES`"),
			option.New(&r.target.readyTimeout, "ready-timeout", 30*time.Second, "wait at most this `TIME` for the replica to "+
				"join"),
			option.Bool(&r.settings.json, "json", "print receipts as JSON lines on stdout"),
			option.Quiet(&r.settings.quiet),
		}, option.Join(r.target.via.flags(), r.target.create.service.Flags(), r.target.daily.Flags(),
			r.target.peer.DialFlags())...),
		Action: func(c *cli.Context) error {
			return r.settings.printFailure(streams.Out, r.run(c.Context, c.Args().Slice()))
		},
	}
}

func (r *replayCmd) check(names []string) error {
	switch {
	case !(r.speed > 0 && r.speed <= 1000):
		return usagef("--speed %g: more than 0, at most 1000", r.speed)
	case r.burst && r.speed != 1:
		return usagef("--burst sends as fast as the connection allows; leave out --speed")
	case r.record != "" && r.target.to != "":
		return usagef("--record is for the replica in this process; with --to, the other side records: echocast "+
			"replica --record %s", r.record)
	case r.target.readyTimeout <= 0:
		return usagef("--ready-timeout must be more than 0")
	case r.settings.maxMessage <= 0:
		return usagef("--max-message must be more than 0")
	}
	if _, err := r.target.peer.Options(r.streams.Warn); err != nil {
		return err
	}
	return cmp.Or(outfile.CheckEnding("--record", r.record, ".wav"),
		outfile.CheckAll(map[string]string{"--record": r.record}, names))
}

func (r *replayCmd) run(ctx context.Context, names []string) error {
	name, err := traceName(names, r.streams.In)
	if err != nil {
		return err
	}
	if err := r.check(names); err != nil {
		return err
	}
	stdin, restore := terminal.ReadUntil(ctx, r.streams.In)
	defer restore()
	in, err := openTrace(name, stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	out := r.settings.newReporter(r.streams)
	out.awaitsHeard = true
	var conn echo.Conn // the messages are sent unchanged, without a session
	wrap := func(c echo.Conn) echo.Conn {
		conn = c
		return c
	}
	target, err := r.target.connect(ctx, room.Options{Conversation: r.settings.conversation,
		MaxMessage: r.settings.maxMessage, Wrap: wrap}, r.record, out)
	if err != nil {
		return err
	}
	if conn == nil {
		return cmp.Or(target.close(), usagef("--to: this room carries no messages; replay into another"))
	}
	out.say("waiting for the replica")
	err = r.replay(ctx, name, in, conn, out)
	if !target.HasEvents() && errors.Is(err, echo.ErrUnverified) {
		err = nil // the receipts say so if nothing confirms what was heard
	}
	return cmp.Or(err, target.close())
}

// replay sends the trace in, and reports how its utterances ended.
func (r *replayCmd) replay(ctx context.Context, name string, in io.Reader, conn echo.Conn, out *reporter) error {
	var failed error // of stdout
	count := 0
	err := trace.Replay(ctx, trace.Read(in), conn, &trace.ReplayOptions{
		Speed: r.speed, Burst: r.burst, SameIDs: r.sameIDs, Conversation: r.settings.conversation,
		ReadyTimeout: r.target.readyTimeout,
		OnReceipt: func(receipt echo.Receipt) {
			count++
			receipt.Source = fmt.Sprintf("%s, utterance %d", speak.Title(name), count)
			failed = cmp.Or(failed, out.replayed(receipt))
		},
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil && !isReplicaError(err) {
		err = inputError(speak.Title(name), err)
	}
	return cmp.Or(err, failed)
}

// isReplicaError reports whether err is about the replica, and not about the trace.
func isReplicaError(err error) bool {
	for _, known := range []error{echo.ErrLost, echo.ErrNotReady, echo.ErrInterrupted, echo.ErrUnverified} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// replayed reports how an utterance that was sent again ended.
func (r *reporter) replayed(receipt echo.Receipt) error {
	r.count(&receipt)
	r.sayOutcome(receipt.Source, &receipt, r.awaitsHeard)
	return r.print(plainReceipt{receipt, r.isRehearsal})
}
