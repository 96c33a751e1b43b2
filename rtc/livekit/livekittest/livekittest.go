// Package livekittest is a stand-in for an avatar worker in a LiveKit room. It receives audio
// as LiveKit's own agents send it, plays it by the clock, reports that to the sender, and
// stores what it played. It shares no code with the sender.
//
// It prints what happens, one JSON object per line: see Report. A mistake of the sender is a
// line with a complaint, and not an error.
package livekittest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"echocast/internal/sleep"
)

// The values of Report.What.
const (
	Joined    = "joined"    // in the room, with the tracks that are published at once
	Audio     = "audio"     // the audio track is published
	Video     = "video"     // the video track is published, after the audio
	Stream    = "stream"    // a byte stream was opened
	Started   = "started"   // its first frame plays
	Underrun  = "underrun"  // it ran out of audio; one report for each underrun
	Cleared   = "cleared"   // the sender said lk.clear_buffer
	Finished  = "finished"  // a stream is over; the sender has answered playback_finished
	Complaint = "complaint" // the sender did something wrong
)

// Report is one line of output.
type Report struct {
	Event       string            `json:"event"`
	ID          string            `json:"id,omitempty"`         // of the stream
	Attributes  map[string]string `json:"attributes,omitempty"` // stream
	Position    float64           `json:"position,omitempty"`   // finished: seconds played
	Interrupted bool              `json:"interrupted,omitempty"`
	Received    int               `json:"received,omitempty"`    // finished, underrun: bytes that arrived
	Played      int               `json:"played,omitempty"`      // finished: bytes that were played
	File        string            `json:"file,omitempty"`        // finished: what was played, s16le
	Reply       string            `json:"reply,omitempty"`       // finished: the sender's answer
	Lateness    []float64         `json:"lateness_ms,omitempty"` // finished: of the stamped frames, in order of arrival
	Text        string            `json:"text,omitempty"`        // complaint
}

// Options say which room to join and how to behave. URL, Key, Secret, Room, Identity and
// Sender are required.
type Options struct {
	URL, Key, Secret, Room string
	Identity               string  // its own identity
	Sender                 string  // the identity that it obeys
	Speed                  float64 // of its clock; 0: 1
	Folder                 string  // where it stores what it played, by stream; empty: nowhere
	NoStarted              bool    // do not send lk.playback_started
	LoseFinished           int     // the number, from 1, of the lk.playback_finished that is not sent; 0: all are sent
	Stamped                bool    // every frame begins with the time at which it was sent: measure lateness
	Publish                string  // what it publishes and when: see below
	OnBehalfOf             string  // the identity that its token says it obeys; empty: Sender
	Rooms                  int     // join this many rooms, named Room-0, Room-1 and so on; 0: only Room

	ReportAfter time.Duration // sends lk.playback_finished this long after the end of a stream

	UserAt  time.Duration // a user speaks this long after playback began; 0: never
	UserFor time.Duration // how long the user speaks

	LeaveAfter int // leave the room after this many bytes; 0: never
}

// The values of Options.Publish.
const (
	PublishVideo      = "video"       // publishes video at once; the default
	PublishNothing    = "nothing"     // publishes nothing
	PublishAudioFirst = "audio-first" // publishes audio, waits for a subscriber, then video: LiveKit's worker
	PublishWhenSpoken = "when-spoken" // the same, once audio has arrived: the same worker's default
)

// Main runs an avatar until ctx ends. Its arguments are the fields of Options as flags. It
// returns the exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c Options
	flags := flag.NewFlagSet("avatar", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&c.URL, "url", "ws://127.0.0.1:7880", "of the server")
	flags.StringVar(&c.Key, "key", "devkey", "API key")
	flags.StringVar(&c.Secret, "secret", "", "API secret")
	flags.StringVar(&c.Room, "room", "", "to join")
	flags.StringVar(&c.Identity, "identity", "tavus-avatar-agent", "its own")
	flags.StringVar(&c.Sender, "sender", "echocast", "identity to obey")
	flags.Float64Var(&c.Speed, "speed", 1, "of its clock")
	flags.StringVar(&c.Folder, "folder", "", "where to keep what was played")
	flags.BoolVar(&c.NoStarted, "no-started", false, "never say lk.playback_started")
	flags.IntVar(&c.LoseFinished, "lose-finished", 0, "do not say lk.playback_finished number `N`")
	flags.DurationVar(&c.ReportAfter, "report-after", 0, "say lk.playback_finished this `TIME` after the end")
	flags.BoolVar(&c.Stamped, "stamped", false, "frames carry the time they were sent")
	flags.IntVar(&c.Rooms, "rooms", 0, "be in `N` rooms, named ROOM-0 and so on")
	flags.StringVar(&c.Publish, "publish", PublishVideo, "publish `WHAT`: video, nothing, audio-first or when-spoken")
	flags.StringVar(&c.OnBehalfOf, "on-behalf-of", "", "`IDENTITY` in its token, where it is not the sender's")
	flags.DurationVar(&c.UserAt, "user-at", 0, "let a user speak this `TIME` after it began to play")
	flags.DurationVar(&c.UserFor, "user-for", time.Second, "for this `TIME`")
	flags.IntVar(&c.LeaveAfter, "leave-after", 0, "leave the room after `N` bytes")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := Run(ctx, c, stdout); err != nil {
		fmt.Fprintln(stderr, "avatar:", err)
		return 1
	}
	return 0
}

// The SDK reads its logger without a lock, so it is set before anything can run.
func init() { lksdk.SetLogger(logger.GetDiscardLogger()) }

// Run runs an avatar until ctx ends.
func Run(ctx context.Context, c Options, out io.Writer) error {
	if c.URL == "" || c.Key == "" || c.Secret == "" || c.Room == "" || c.Identity == "" || c.Sender == "" {
		return errors.New("the avatar needs url, key, secret, room, identity and sender")
	}
	c.Speed, c.Publish = cmp.Or(c.Speed, 1), cmp.Or(c.Publish, PublishVideo)
	lines := &reporter{out: json.NewEncoder(out)}
	if c.Rooms == 0 {
		return c.run(ctx, lines)
	}
	errs := make([]error, c.Rooms)
	var avatars sync.WaitGroup
	for i := range errs {
		one := c
		one.Room = fmt.Sprintf("%s-%d", c.Room, i)
		avatars.Go(func() { errs[i] = one.run(ctx, lines) })
	}
	avatars.Wait()
	return errors.Join(errs...)
}

func (c Options) run(ctx context.Context, lines *reporter) error {
	a := &avatar{Options: c, reporter: lines, streams: make(chan *playback, 64), heard: make(chan struct{}, 1),
		spoken: make(chan struct{}, 1)}
	return a.run(ctx)
}

// reporter prints reports. It may be called from any goroutine.
type reporter struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (r *reporter) report(line Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.out.Encode(line) // the avatar continues without a reader
}

type avatar struct {
	Options
	*reporter
	room    *lksdk.Room
	streams chan *playback

	work       sync.WaitGroup // all goroutines of a run
	user       sync.Once      // has spoken
	userFrames atomic.Int64   // how many packets the user still speaks for
	leaveUser  func()         // the user leaves
	heard      chan struct{}  // one slot, filled when somebody subscribes to the audio
	spoken     chan struct{}  // one slot, filled when a stream has begun

	mu       sync.Mutex
	received int // bytes
	hasLeft  bool
	current  []*playback // streams that have begun and are not over
	finished int
}

func (a *avatar) run(ctx context.Context) error {
	a.room = lksdk.NewRoom(&lksdk.RoomCallback{OnLocalTrackSubscribed: func(*lksdk.LocalTrackPublication,
		*lksdk.LocalParticipant) {
		fill(a.heard)
	}})
	err := errors.Join(
		a.room.RegisterRpcMethod("lk.clear_buffer", a.clear),
		a.room.RegisterByteStreamHandler("lk.audio_stream",
			func(r *lksdk.ByteStreamReader, from string) { a.receive(r, from) }),
	)
	if err != nil {
		return err
	}
	err = a.room.JoinWithContext(ctx, a.URL, lksdk.ConnectInfo{
		APIKey: a.Key, APISecret: a.Secret, RoomName: a.Room, ParticipantIdentity: a.Identity, ParticipantName: a.Identity,
		ParticipantKind:       lksdk.ParticipantAgent,
		ParticipantAttributes: map[string]string{"lk.publish_on_behalf": cmp.Or(a.OnBehalfOf, a.Sender)},
	}, lksdk.WithAutoSubscribe(false), lksdk.WithConnectTimeout(time.Minute))
	if err != nil {
		return err
	}
	defer a.room.Disconnect()
	defer a.work.Wait()
	if a.Publish == PublishVideo {
		if err := a.video(ctx); err != nil {
			return err
		}
	}
	if a.UserAt > 0 {
		if a.leaveUser, err = a.joinUser(ctx); err != nil {
			return err
		}
		defer a.leaveUser()
	}
	a.report(Report{Event: Joined})
	if a.Publish == PublishAudioFirst || a.Publish == PublishWhenSpoken {
		a.work.Go(func() { a.audioThenVideo(ctx) })
	}
	a.work.Go(func() { a.play(ctx) })
	<-ctx.Done()
	return nil
}

func (a *avatar) complain(id, format string, args ...any) {
	a.report(Report{Event: Complaint, ID: id, Text: fmt.Sprintf(format, args...)})
}

// keyFrame looks like a VP8 key frame of 320 by 240 to the server. The server announces a
// track only when its packets arrive.
var keyFrame = []byte{0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00, 0, 0, 0, 0, 0, 0}

// audioThenVideo publishes in the order of LiveKit's worker.
func (a *avatar) audioThenVideo(ctx context.Context) {
	if a.Publish == PublishWhenSpoken && !take(ctx, a.spoken) {
		return
	}
	track, err := lksdk.NewLocalTrack(opusTrack)
	if err == nil {
		_, err = a.room.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: "avatar_audio",
			Source: livekit.TrackSource_MICROPHONE})
	}
	if err != nil {
		a.complain("", "no audio track: %v", err)
		return
	}
	a.work.Go(func() {
		for sleep.For(ctx, frame) == nil {
			_ = track.WriteSample(media.Sample{Data: opusSilence, Duration: frame}, nil) // fails before it is bound
		}
	})
	a.report(Report{Event: Audio})
	if !take(ctx, a.heard) {
		return
	}
	if err := a.video(ctx); err != nil {
		a.complain("", "no video track: %v", err)
		return
	}
	a.report(Report{Event: Video})
}

// fill fills a channel of one slot.
func fill(slot chan<- struct{}) {
	select {
	case slot <- struct{}{}:
	default:
	}
}

// take waits until a slot is filled, and reports whether it was.
func take(ctx context.Context, slot <-chan struct{}) bool {
	select {
	case <-slot:
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *avatar) video(ctx context.Context) error {
	track, err := lksdk.NewLocalSampleTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000})
	if err != nil {
		return err
	}
	_, err = a.room.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: "avatar",
		Source: livekit.TrackSource_CAMERA, VideoWidth: 320, VideoHeight: 240})
	if err != nil {
		return err
	}
	a.work.Go(func() {
		const every = 100 * time.Millisecond
		tick := time.NewTicker(every)
		defer tick.Stop()
		for ctx.Err() == nil {
			_ = track.WriteSample(media.Sample{Data: keyFrame, Duration: every}, nil) // fails before it is bound
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	return nil
}

// clear handles lk.clear_buffer: it drops everything that has arrived so far.
func (a *avatar) clear(call lksdk.RpcInvocationData) (string, error) {
	if call.CallerIdentity != a.Sender {
		return "reject", nil
	}
	if call.Payload != "" {
		a.complain("", "lk.clear_buffer has the payload %q", call.Payload)
	}
	a.mu.Lock()
	for _, p := range a.current {
		p.clear()
	}
	a.mu.Unlock()
	a.report(Report{Event: Cleared})
	return "ok", nil
}

// answerTimeout is how long the avatar waits for the answer to a call. On a busy machine
// the SDK misses one that comes at once.
const answerTimeout = 500 * time.Millisecond

// call calls the sender as LiveKit's worker does: at most three times. It returns the answer,
// empty where none came. Then the call is not made again: it has arrived, and a second
// lk.playback_finished would count for the next stream.
func (a *avatar) call(ctx context.Context, method, payload string) string {
	limit := answerTimeout
	for try := 0; ; try++ {
		reply, err := a.room.LocalParticipant.PerformRpc(lksdk.PerformRpcParams{DestinationIdentity: a.Sender,
			Method: method, Payload: payload, ResponseTimeout: &limit})
		if err == nil {
			return *reply
		}
		if failed, ok := errors.AsType[*lksdk.RpcError](err); ok && failed.Code == lksdk.RpcResponseTimeout {
			return ""
		}
		if try == 2 || sleep.For(ctx, 100*time.Millisecond) != nil {
			return err.Error()
		}
	}
}
