package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/call"
	"echocast/hear"
	"echocast/internal/option"
	"echocast/internal/outfile"
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
		Usage: "write the voices of a room as samples, such as for a speech recogniser",
		UsageText: `echocast hear --to URL [OPTIONS] [FILE]

   echocast hear --to http://127.0.0.1:8870 --from user -f s16le --rate 16000 - | my_asr
   echocast hear --to URL --from all call.wav
   echocast hear --to URL --exec 'my_asr --rate 16000'
   echocast hear --to URL --record call.webm`,
		Description: `It writes mono samples of 16 bits to FILE, or to standard output with - or without a
FILE. The stream is as long as the call: pauses and lost packets become silence, and
silence is written while nobody speaks, 200 ms behind the clock.

In a LiveKit room the replica is the avatar, and all others are users. In a Daily
room one participant at a time is heard: the user is the first who is not the
replica. With echocast replica, the user is the file of its --user.

With --record and without FILE, - or --exec it writes nothing but the recording.

It ends with the room, and with Ctrl-C; neither is an error.`,
		Flags: append([]cli.Flag{
			option.New(&h.from, "from", room.User, "hear `WHOM`: user, replica or all"),
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
	h.target.via.needsRoom = "hear"
	switch {
	case !h.target.isSet():
		return usagef("hear needs a room: name it with --to URL, or create one with --pal ID")
	case len(names) > 1:
		return usagef("hear writes one FILE, and %d are named", len(names))
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
	files := map[string]string{"--trace": h.target.trace, "--record": h.call}
	if len(names) == 1 && names[0] != stdinName {
		files["FILE"] = names[0]
	}
	if h.format == "" {
		if err := outfile.CheckEnding("FILE", files["FILE"], heardEndings...); err != nil {
			return fmt.Errorf("%w; -f sets the format for any name", err)
		}
	}
	return cmp.Or(checkRecording(h.call), checkFrom("--from", h.from, &h.target),
		h.target.check(h.streams.Warn), outfile.CheckAll(files, nil))
}

// heardEndings are the endings of names of files with what was heard: WAV, or only samples.
var heardEndings = []string{".wav", ".pcm", ".raw", ".s16le"}

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
	onlyRecords := h.call != "" && h.exec == "" && len(names) == 0
	out := h.settings.newReporter(h.streams)
	target, err := h.target.connect(ctx, room.Options{Conversation: h.settings.conversation, Hear: !onlyRecords,
		ListenOnly: true, HearRate: h.rate, UserEvents: h.call != ""}, "", out)
	if err != nil {
		return ended(err)
	}
	record, err := target.Record(ctx, h.call)
	switch {
	case err != nil:
		err = shutdown.Cause(ctx, err)
	case onlyRecords:
		err = target.FollowRoom(ctx, record, h.duration)
	default:
		err = h.write(ctx, target, record, cmp.Or(strings.Join(names, ""), stdinName), out)
	}
	return cmp.Or(ended(err), recordError(record.Close()), target.close())
}

// write writes what is heard until the room or ctx ends, the duration is reached, or
// writing fails.
func (h *hearCmd) write(ctx context.Context, target *target, record *call.Recording, name string, out *reporter) error {
	written, err := h.open(ctx, name)
	if err != nil {
		return err
	}
	out.say("hearing %s", map[string]string{room.User: "the user", room.Replica: "the replica", room.All: "all"}[h.from])
	stats, err := target.Hear(ctx, record, h.from, h.rate, h.duration, written)
	closed := written.Close()
	if closed != nil && h.exec != "" {
		closed = fmt.Errorf("--exec: %w", closed)
	}
	out.say("%.3f s heard; %s of sound arrived, %d were lost", float64(stats.Samples)/float64(h.rate),
		counted(stats.Packets, "packet"), stats.Lost)
	return cmp.Or(ended(err), closed)
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

// asrRate is the sampling rate in Hz that speech recognisers get.
const asrRate = 16000

// hearAlongside writes what is heard in a room while the same connection speaks, until
// stop is called. After a lost connection it writes silence until the room is joined
// again. stop waits, and returns an error if writing failed.
func hearAlongside(ctx context.Context, from *room.Room, who string, rate int, to io.Writer,
	out *reporter) (stop func() error, err error) {
	wait, err := hear.RecordAlongside(ctx, from, who, rate, to, func(err error) {
		if !hasEnded(err) {
			out.warn("hearing the room has ended: %v", err)
		}
	})
	if err != nil {
		return nil, err
	}
	return func() error {
		if err := wait(); !hasEnded(err) {
			return err
		}
		return nil
	}, nil
}

// recordHeard writes what is heard in the room to the file of --hear, until the room is left.
func (s *sendCmd) recordHeard(ctx context.Context, to *target, out *reporter) error {
	if s.hear == "" {
		return nil
	}
	h := &hearCmd{streams: s.streams, rate: asrRate}
	written, err := h.open(ctx, s.hear)
	if err != nil {
		return fmt.Errorf("--hear %w", err)
	}
	end, err := hearAlongside(ctx, to.Room(), s.hearFrom, asrRate, written, out)
	if err != nil {
		return cmp.Or(err, written.Close())
	}
	to.onLeave = append(to.onLeave, end, written.Close)
	return nil
}
