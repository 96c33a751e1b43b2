package cli

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/hear"
	"echocast/internal/child"
	"echocast/rtc"
	"echocast/rtc/daily"
)

// Whom to hear.
const (
	hearUser    = "user"
	hearReplica = "replica"
	hearAll     = "all"
)

// ears hear a room.
type ears interface {
	// Hear passes on the packets of those that from names, each under the name
	// of its track, until ctx or the room ends; its error says which. left is
	// told when a track is over.
	Hear(ctx context.Context, from string, packet func(track string, p *rtp.Packet), left func(track string)) error
}

// hearing is the hear command.
type hearing struct {
	reaching
	settings settings // conversation, quiet
	from     string
	format   string
	rate     int
	exec     string
	duration time.Duration
}

func hearCommand(streams Streams) *cli.Command {
	h := &hearing{}
	h.streams = streams
	return &cli.Command{
		Name:  "hear",
		Usage: "write what is said in a room as samples, for a speech recogniser of your own",
		UsageText: `echocast hear --to URL [OPTIONS] [FILE]

   echocast hear --to http://127.0.0.1:8870 --from user -f s16le --rate 16000 - | my_asr
   echocast hear --to URL --from all call.wav
   echocast hear --to URL --exec 'my_asr --rate 16000'`,
		Description: `Mono samples of 16 bits go to FILE, or with - or without one to standard output.
What takes three seconds in the room takes three seconds in the stream: pauses and
what was lost are silence, and while nobody speaks silence goes on, 200 ms behind
the clock.

In a LiveKit room the replica is the avatar, and all others are users. In a Daily
room one participant at a time is heard: the user is the first who is not the
replica. A stand-in replica (echocast replica) says what any of its connections
lets it say, and its --user FILE is the microphone.

It ends with the room, and with Ctrl-C; neither is an error.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "from", Value: hearUser, Destination: &h.from, Usage: "hear the `WHOM`: user, replica or all"},
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Destination: &h.format, DefaultText: "wav for FILE.wav, else s16le", Usage: "write `ENCODING`: s16le or wav"},
			&cli.IntFlag{Name: "rate", Aliases: []string{"ar"}, Value: 16000, Destination: &h.rate, Usage: "sampling rate in `HZ`: 8000, 12000, 16000, 24000 or 48000"},
			&cli.StringFlag{Name: "exec", Destination: &h.exec, DefaultText: "none", Usage: "write to the standard input of this `COMMAND`; it ends when the command does"},
			&cli.DurationFlag{Name: "duration", Destination: &h.duration, DefaultText: "until the room ends", Usage: "end after this `TIME` of sound"},
			&cli.StringFlag{Name: "conversation", Value: "local", EnvVars: []string{"ECHOCAST_CONVERSATION"}, Destination: &h.settings.conversation, Usage: "`ID` of the conversation"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Destination: &h.settings.quiet, DisableDefaultText: true, Usage: "say nothing but errors"},
		}, h.reachFlags()...),
		Action: func(c *cli.Context) error { return h.run(c.Context, c.Args().Slice()) },
	}
}

func (h *hearing) check(names []string) error {
	switch {
	case h.to == "" && h.spec.PAL == "":
		return usagef("hear what? name a room with --to URL")
	case len(names) > 1:
		return usagef("one FILE is written, and there are %d", len(names))
	case len(names) == 1 && h.exec != "":
		return usagef("--exec takes the sound, and so does %s; leave one of them out", names[0])
	case !slices.Contains(hear.Rates(), h.rate):
		return usagef("--rate %d: it is one of %s", h.rate, strings.Trim(fmt.Sprint(hear.Rates()), "[]"))
	case h.duration < 0:
		return usagef("--duration %v: sound takes time", h.duration)
	}
	if err := oneOf("--from", h.from, hearUser, hearReplica, hearAll); err != nil {
		return err
	}
	if h.format != "" {
		if err := oneOf("--format", h.format, "s16le", "wav"); err != nil {
			return err
		}
	}
	return first(checkAll("--from", h.from, &h.reaching), h.checkReach())
}

// checkAll refuses to hear all where one at a time is heard.
func checkAll(flag, from string, r *reaching) error {
	_, isDaily := dailyAddress(r.to)
	if from != hearAll || !isDaily && (r.to != "" || r.spec.PAL == "") {
		return nil
	}
	return usagef("%s all: in a Daily room one participant at a time is heard; run one hear for the user and one for the replica", flag)
}

func (h *hearing) run(ctx context.Context, names []string) error {
	if err := h.check(names); err != nil {
		return err
	}
	name := "-"
	if len(names) == 1 {
		name = names[0]
	}
	out := h.settings.newReporter(h.streams.Out, h.streams.Err)
	target, err := h.connect(ctx, place{conversation: h.settings.conversation, limit: echo.DefaultMaxMessage, hear: true, apart: true, hearRate: h.rate}, out)
	if err != nil {
		return ended(cancelled(ctx, err))
	}
	written, err := h.open(ctx, name)
	if err != nil {
		return first(err, target.close())
	}
	out.say("hearing %s", map[string]string{hearUser: "the user", hearReplica: "the replica", hearAll: "all"}[h.from])
	stats, err := h.hear(ctx, target.room, written)
	err = first(ended(err), written.close(), target.close())
	out.say("%.3f s heard; %s of sound came, %d were lost", float64(stats.Samples)/float64(h.rate), counted(stats.Packets, "packet"), stats.Lost)
	return err
}

// hear writes what is said until the room, ctx, the duration or the reader
// ends.
func (h *hearing) hear(ctx context.Context, room *presence, to *soundFile) (hear.Stats, error) {
	r, err := startRecogniser(h.rate, h.duration, to)
	if err != nil {
		return hear.Stats{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var listening sync.WaitGroup
	listening.Go(func() {
		cancel(room.ears.Hear(ctx, h.from, r.packet, r.left))
	})
	listening.Go(func() { cancel(drainEvents(ctx, room.stage)) })
	err = r.write(ctx)
	cancel(err)
	listening.Wait()
	return r.mixer.Stats(), err
}

// drainEvents takes what nobody asks for, so that it does not pile up.
func drainEvents(ctx context.Context, stage echo.Stage) error {
	for {
		if _, err := stage.Next(ctx); err != nil {
			return roomEnd(err)
		}
	}
}

// roomEnd makes of the room's end in good order an ordinary end.
func roomEnd(err error) error {
	if errors.Is(err, rtc.ErrPeerGone) || errors.Is(err, daily.ErrPeerGone) || errors.Is(err, io.EOF) {
		return errRoomOver
	}
	return err
}

// recogniser is a mixer with its tracks and its reader. While the reader is
// behind, packets wait outside.
type recogniser struct {
	rate  int
	most  int64 // samples; 0: no bound
	to    io.Writer
	mixer *hear.Mixer

	mu     sync.Mutex // one at a time: a packet, or a write
	tracks map[string]*hear.Track
}

func startRecogniser(rate int, duration time.Duration, to io.Writer) (*recogniser, error) {
	mixer, err := hear.NewMixer(rate, time.Now())
	if err != nil {
		return nil, err
	}
	most := int64(math.Round(duration.Seconds() * float64(rate)))
	return &recogniser{rate: rate, most: most, to: to, mixer: mixer, tracks: map[string]*hear.Track{}}, nil
}

func (r *recogniser) packet(track string, p *rtp.Packet) {
	now := time.Now()
	coding := hear.Opus
	switch p.PayloadType {
	case daily.PayloadL16:
		coding = hear.Linear
	case rtc.PayloadMuLaw:
		coding = hear.MuLaw
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tracks[track] == nil {
		r.tracks[track] = r.mixer.Track(now)
	}
	r.tracks[track].Push(hear.Packet{SSRC: p.SSRC, Sequence: p.SequenceNumber, Timestamp: p.Timestamp, Payload: p.Payload, Coding: coding}, now)
}

func (r *recogniser) left(track string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tracks[track]; t != nil {
		t.Close()
		delete(r.tracks, track)
	}
}

// write passes on what is certain, until ctx ends or enough was written.
func (r *recogniser) write(ctx context.Context) error {
	ticker := time.NewTicker(spokenFrame)
	defer ticker.Stop()
	for left := r.most; ; {
		select {
		case now := <-ticker.C:
			n, err := r.pass(func() []int16 { return r.mixer.Take(now) }, left)
			if left -= n; err != nil || r.most > 0 && left == 0 {
				return err
			}
		case <-ctx.Done():
			if _, err := r.pass(r.mixer.Drain, left); err != nil {
				return err
			}
			return context.Cause(ctx)
		}
	}
}

func (r *recogniser) pass(take func() []int16, left int64) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pcm := take()
	if r.most > 0 {
		pcm = pcm[:min(left, int64(len(pcm)))]
	}
	if len(pcm) == 0 {
		return 0, nil
	}
	var bytes bytes.Buffer
	_ = binary.Write(&bytes, binary.LittleEndian, pcm) // to memory
	_, err := r.to.Write(bytes.Bytes())
	return int64(len(pcm)), err
}

// soundFile is where the samples go.
type soundFile struct {
	io.Writer
	closing []func() error
}

func (f *soundFile) close() error {
	var errs []error
	for _, c := range f.closing {
		errs = append(errs, c())
	}
	return first(errs...)
}

// open makes the file, or begins the command.
func (h *hearing) open(ctx context.Context, name string) (*soundFile, error) {
	isWAV := h.format == "wav" || h.format == "" && strings.EqualFold(filepath.Ext(name), ".wav")
	f := &soundFile{}
	switch {
	case h.exec != "":
		if err := f.start(ctx, h.exec, h.streams); err != nil {
			return nil, err
		}
	case name == "-":
		f.Writer = stdoutWriter{h.streams.Out}
	default:
		if err := checkWritten(name, name, nil); err != nil {
			return nil, err
		}
		file, err := os.Create(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, plain(err))
		}
		f.Writer = file
		f.closing = append(f.closing, file.Close)
		if isWAV {
			f.closing = slices.Insert(f.closing, 0, func() error { return completeWAV(file) })
		}
	}
	if isWAV {
		if _, err := f.Write(wavHeader(h.rate)); err != nil {
			return nil, first(err, f.close())
		}
	}
	return f, nil
}

// stdoutWriter says of an error that it is one of stdout.
type stdoutWriter struct{ io.Writer }

func (w stdoutWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		err = stdoutError{err}
	}
	return n, err
}

// errCommandEnded ends the hearing with the command.
var errCommandEnded = fmt.Errorf("the command has ended: %w", errRoomOver)

// start begins a command that takes the samples.
func (f *soundFile) start(ctx context.Context, line string, streams Streams) error {
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	cmd := child.Shell(life, line)
	cmd.Stdout, cmd.Stderr = streams.Out, streams.Err
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		kill()
		return fmt.Errorf("--exec: %w", err)
	}
	f.Writer = commandWriter{stdin}
	f.closing = append(f.closing, func() error {
		_ = stdin.Close()
		defer time.AfterFunc(lingering/2, kill).Stop()
		defer kill()
		err := cmd.Wait()
		if _, failed := errors.AsType[*exec.ExitError](err); failed {
			return fmt.Errorf("--exec: the command failed: %w", err)
		}
		return nil
	})
	return nil
}

// commandWriter makes of a command that reads no more an ordinary end.
type commandWriter struct{ io.Writer }

func (w commandWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		err = errCommandEnded
	}
	return n, err
}

// unknownSize stands in a header whose sizes are not known yet.
const unknownSize = math.MaxUint32

// wavHeader begins 16-bit mono WAV.
func wavHeader(rate int) []byte {
	h := []byte("RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00")
	h = binary.LittleEndian.AppendUint32(h, uint32(rate))
	h = binary.LittleEndian.AppendUint32(h, uint32(2*rate))
	h = append(h, 2, 0, 16, 0)
	return binary.LittleEndian.AppendUint32(append(h, "data"...), unknownSize)
}

// completeWAV writes the sizes, unless they are beyond what WAV can say.
func completeWAV(file *os.File) error {
	size, err := file.Seek(0, io.SeekCurrent)
	if err != nil || size >= unknownSize {
		return nil // readers go by the end of the file
	}
	for offset, value := range map[int64]int64{4: size - 8, 40: size - 44} {
		if _, err := file.WriteAt(binary.LittleEndian.AppendUint32(nil, uint32(value)), offset); err != nil {
			return plain(err)
		}
	}
	return nil
}

// peerEars hear a stand-in replica.
type peerEars struct{ conn *rtc.Conn }

func (e *peerEars) Hear(ctx context.Context, from string, packet func(string, *rtp.Packet), _ func(string)) error {
	for {
		sound, err := e.conn.Hear(ctx)
		if err != nil {
			return roomEnd(err)
		}
		if from == hearAll || sound.Track == from {
			packet(sound.Track, sound.Packet)
		}
	}
}

// dailyEars hear a Daily room.
type dailyEars struct{ conn *daily.Conn }

func (e *dailyEars) Hear(ctx context.Context, from string, packet func(string, *rtp.Packet), left func(string)) error {
	return roomEnd(e.conn.Hear(ctx, from == hearReplica, packet, left))
}
