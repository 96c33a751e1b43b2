package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/call"
	"echocast/echo"
	"echocast/hear"
	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/internal/shutdown"
	"echocast/room"
)

// hearCmd is the hear command.
type hearCmd struct {
	streams  Streams
	target   targetOptions
	settings settings // conversation, quiet
	from     string
	format   string
	rate     int
	exec     string
	duration time.Duration
	call     string // the recording of it
}

func hearCommand(streams Streams) *cli.Command {
	h := &hearCmd{streams: streams}
	return &cli.Command{
		Name:  "hear",
		Usage: "write what is said in a room as samples, for a speech recogniser of your own",
		UsageText: `echocast hear --to URL [OPTIONS] [FILE]

   echocast hear --to http://127.0.0.1:8870 --from user -f s16le --rate 16000 - | my_asr
   echocast hear --to URL --from all call.wav
   echocast hear --to URL --exec 'my_asr --rate 16000'`,
		Description: `It writes mono samples of 16 bits to FILE, or to standard output with - or without a
FILE. The stream is as long as the call: pauses and lost packets become silence, and
silence is written while nobody speaks, 200 ms behind the clock.

In a LiveKit room the replica is the avatar, and all others are users. In a Daily
room one participant at a time is heard: the user is the first who is not the
replica. With echocast replica, the user is the file of its --user.

It ends with the room, and with Ctrl-C; neither is an error.`,
		Flags: append([]cli.Flag{
			option.New(&h.from, "from", room.User, "hear the `WHOM`: user, replica or all"),
			option.New(&h.format, "format, f", "", "write `ENCODING`: s16le or wav (default: wav for FILE.wav, else s16le)"),
			option.New(&h.rate, "rate, ar", 16000, "sampling rate in `HZ`: 8000, 12000, 16000, 24000 or 48000"),
			option.New(&h.exec, "exec", "", "write to the standard input of this `COMMAND`; it ends when the command does "+
				"(default: none)"),
			option.New(&h.duration, "duration", 0, "end after this `TIME` of sound (default: until the room ends)"),
			option.New(&h.call, "record", "", recordUsage),
			conversationFlag(&h.settings.conversation),
			option.Quiet(&h.settings.quiet),
		}, h.target.flags()...),
		Action: option.WithInputs(h.run),
	}
}

func (h *hearCmd) check(names []string) error {
	h.target.way.needsRoom = "hear"
	switch {
	case !h.target.isSet():
		return usagef("hear needs a room: name it with --to URL, or create one with --pal ID")
	case len(names) > 1:
		return usagef("hear writes one FILE, and %d are named", len(names))
	case h.call != "" && (h.exec != "" || len(names) > 0):
		return usagef("--record writes the whole call; leave out FILE and --exec")
	case len(names) == 1 && h.exec != "":
		return usagef("--exec and %s both take the sound; leave one of them out", names[0])
	case !slices.Contains(hear.Rates(), h.rate):
		return usagef("--rate %d: must be one of %s", h.rate, strings.Trim(fmt.Sprint(hear.Rates()), "[]"))
	case h.duration < 0:
		return usagef("--duration must not be negative")
	}
	if h.format != "" {
		if err := option.OneOf("--format", h.format, "s16le", "wav"); err != nil {
			return err
		}
	}
	files := map[string]string{"--trace": h.target.trace}
	if len(names) == 1 && names[0] != stdinName {
		files["FILE"] = names[0]
	}
	return cmp.Or(checkRecording(h.call), checkFrom("--from", h.from, &h.target),
		h.target.check(h.streams.Warn), checkOutputs(files, nil))
}

// checkFrom fails if from is not one of the known words, or if it is all in a Daily
// room.
func checkFrom(flag, from string, o *targetOptions) error {
	if err := option.OneOf(flag, from, room.User, room.Replica, room.All); err != nil || from != room.All || !o.isDaily() {
		return err
	}
	return usagef("%s all: in a Daily room one participant at a time is heard; run one hear for the user "+
		"and one for the replica", flag)
}

func (h *hearCmd) run(ctx context.Context, names []string) error {
	if err := h.check(names); err != nil {
		return err
	}
	name := "-"
	if len(names) == 1 {
		name = names[0]
	}
	out := h.settings.newReporter(h.streams)
	if h.call != "" {
		return h.recordCall(ctx, out)
	}
	target, err := h.target.connect(ctx, room.Options{Conversation: h.settings.conversation, Hear: true,
		ListenOnly: true, HearRate: h.rate}, "", out)
	if err != nil {
		return ended(shutdown.Cause(ctx, err))
	}
	written, err := h.open(ctx, name)
	if err != nil {
		return cmp.Or(err, target.close())
	}
	out.say("hearing %s", map[string]string{room.User: "the user", room.Replica: "the replica", room.All: "all"}[h.from])
	stats, err := h.record(ctx, target.Room(), written)
	closed := written.Close()
	if closed != nil && h.exec != "" {
		closed = fmt.Errorf("--exec: %w", closed)
	}
	err = cmp.Or(ended(err), closed, target.close())
	out.say("%.3f s heard; %s of sound came, %d were lost", float64(stats.Samples)/float64(h.rate),
		counted(stats.Packets, "packet"), stats.Lost)
	return err
}

// recordCall records the call until the room or ctx ends, or the duration is reached.
func (h *hearCmd) recordCall(ctx context.Context, out *reporter) error {
	target, err := h.target.connect(ctx, room.Options{Conversation: h.settings.conversation, ListenOnly: true,
		UserEvents: true}, "", out)
	if err != nil {
		return ended(shutdown.Cause(ctx, err))
	}
	record, err := target.Record(ctx, h.call)
	if err != nil {
		return cmp.Or(ended(shutdown.Cause(ctx, err)), target.close())
	}
	if h.duration > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, h.duration, call.ErrRecorded)
		defer cancel()
		ctx = limited
	}
	ctx, stop := context.WithCancelCause(ctx)
	var ending sync.WaitGroup
	ending.Go(func() { stop(record.Wait(ctx)) })
	for err == nil {
		var event echo.Event
		if event, err = target.Room().Stage().Next(ctx); err == nil {
			record.Add(event)
		}
	}
	err = cmp.Or(context.Cause(ctx), err)
	stop(err)
	ending.Wait()
	if errors.Is(err, call.ErrRecorded) {
		err = nil
	}
	return cmp.Or(ended(err), recordError(record.Close()), target.close())
}

// record writes what is heard until the room or ctx ends, the duration is reached,
// or writing fails.
func (h *hearCmd) record(ctx context.Context, from *room.Room, to io.Writer) (hear.Stats, error) {
	stream, err := hear.NewStream(h.rate, to)
	if err != nil {
		return hear.Stats{}, err
	}
	err = stream.Record(ctx, h.duration, func(ctx context.Context) error {
		ctx, cancel := context.WithCancelCause(ctx)
		var draining sync.WaitGroup
		draining.Go(func() { cancel(drainEvents(ctx, from.Stage())) })
		err := from.Hear(ctx, h.from, stream.Packet, stream.Left)
		cancel(err)
		draining.Wait()
		return context.Cause(ctx)
	})
	return stream.Stats(), err
}

// drainEvents discards events, so that they do not pile up.
func drainEvents(ctx context.Context, stage echo.Stage) error {
	for {
		if _, err := stage.Next(ctx); err != nil {
			return err
		}
	}
}

// open creates the file, or starts the command.
func (h *hearCmd) open(ctx context.Context, name string) (*hear.Output, error) {
	isWAV := h.format == "wav" || h.format == "" && strings.EqualFold(filepath.Ext(name), ".wav")
	switch {
	case h.exec != "":
		output, err := hear.ToCommand(ctx, h.exec, h.streams.Out, h.streams.Err, shutdown.Timeout/2, isWAV, h.rate)
		if err != nil {
			return nil, fmt.Errorf("--exec: %w", err)
		}
		return output, nil
	case name == "-":
		return hear.To(output.Writer(h.streams.Out), isWAV, h.rate)
	}
	return hear.ToFile(name, isWAV, h.rate)
}
