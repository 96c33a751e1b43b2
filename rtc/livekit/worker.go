package livekit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	wire "github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"echocast/internal/lifetime"
)

// WorkerTick is the playing time of a packet of sound.
const WorkerTick = 20 * time.Millisecond

// The length of a tick in timestamps of the two tracks.
const (
	soundTick = 48000 / 50
	videoTick = 90000 / 50
	// firstTick is added to every tick, so that no timestamp is 0. The SDK treats the
	// timestamp 0 as missing.
	firstTick = 100
)

// WorkerOptions configure a Worker. Speak, Clear and NeedKeyFrame are required.
type WorkerOptions struct {
	// Identity is the worker's identity if the token has none. The default is DefaultAvatar.
	Identity string

	// Sender is the identity that the worker obeys. The default is the identity that the
	// token names. If it names none, it is the first participant that opens a stream, until
	// that one leaves.
	Sender string

	// Insecure permits a Worker to send its token without TLS to another machine.
	Insecure bool

	// Speak is called with the id of each audio stream. It must read pcm to the end.
	// Streams may overlap.
	Speak func(id string, pcm io.Reader, rate, channels int)

	// Clear is called when all received audio must be dropped.
	Clear func()

	// NeedKeyFrame is called when a viewer needs a key frame to continue.
	NeedKeyFrame func()

	// Note is called with a line for each participant who joins or leaves. It may be nil.
	Note func(text string)
}

// Worker is the other side of a Room: an avatar worker that receives audio as data, and
// publishes sound and video. Its methods may be called at the same time.
type Worker struct {
	room    *lksdk.Room
	options WorkerOptions
	sound   *lksdk.LocalTrack
	video   *lksdk.LocalTrack

	lifetime *lifetime.Lifetime
	closed   chan struct{}
	streams  sync.WaitGroup

	mu     sync.Mutex
	sender string    // the identity that is obeyed; empty: none yet
	isGone bool      // the sender has left, and has not spoken since
	active time.Time // when the sender last spoke or called
}

// JoinWorker joins a room, and publishes first an audio track and then a video track. The
// errors are those of Join.
func JoinWorker(ctx context.Context, to Address, with Credentials, o *WorkerOptions) (*Worker, error) {
	w := &Worker{options: *o, lifetime: lifetime.New(), closed: make(chan struct{}), sender: o.Sender}
	if w.options.Note == nil {
		w.options.Note = func(string) {}
	}
	if err := w.join(ctx, to, with); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("livekit: join room %q at %s: %w", to.Room, to.URL, err)
	}
	return w, nil
}

func (w *Worker) join(ctx context.Context, to Address, with Credentials) error {
	if err := to.checkSafe(w.options.Insecure); err != nil {
		return err
	}
	if with.Token == "" {
		var attributes map[string]string
		if w.options.Sender != "" {
			attributes = map[string]string{attributeOnBehalf: w.options.Sender}
		}
		var err error
		if with.Token, err = token(with.Key, with.Secret, to.Room, cmp.Or(w.options.Identity, DefaultAvatar),
			tokenTTL, attributes); err != nil {
			return err
		}
	}
	w.room = lksdk.NewRoom(&lksdk.RoomCallback{
		OnDisconnected:            func() { w.lifetime.End(ErrLost) },
		OnParticipantConnected:    func(who *lksdk.RemoteParticipant) { w.options.Note(who.Identity() + " has joined") },
		OnParticipantDisconnected: func(who *lksdk.RemoteParticipant) { w.leave(who.Identity()) },
	})
	err := errors.Join(w.room.RegisterRpcMethod(methodClear, w.clear),
		w.room.RegisterByteStreamHandler(topicAudio, w.receive))
	if err != nil {
		return err
	}
	guarded, stop := keepToServer(ctx, to)
	defer stop()
	err = w.room.JoinWithContextAndToken(guarded, to.URL, with.Token, lksdk.WithAutoSubscribe(false),
		lksdk.WithConnectTimeout(connectTimeout), lksdk.WithLogger(logger.GetDiscardLogger()))
	if err != nil {
		return refusal(cmp.Or(redirected(guarded), err), with)
	}
	w.mu.Lock()
	w.sender = cmp.Or(w.sender, w.room.LocalParticipant.Attributes()[attributeOnBehalf])
	w.mu.Unlock()
	if err := w.publish(); err != nil {
		w.Close()
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// publish publishes both tracks.
func (w *Worker) publish() (err error) {
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	if w.sound, err = lksdk.NewLocalTrack(opus); err != nil {
		return err
	}
	_, err = w.room.LocalParticipant.PublishTrack(w.sound, &lksdk.TrackPublicationOptions{Name: "avatar_audio",
		Source: wire.TrackSource_MICROPHONE})
	if err != nil {
		return err
	}
	vp8 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	w.video, err = lksdk.NewLocalTrack(vp8, lksdk.WithRTCPHandler(func(p rtcp.Packet) {
		switch p.(type) {
		case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
			w.options.NeedKeyFrame()
		}
	}))
	if err != nil {
		return err
	}
	w.video.OnBind(w.options.NeedKeyFrame) // nobody got the frames before this
	_, err = w.room.LocalParticipant.PublishTrack(w.video, &lksdk.TrackPublicationOptions{Name: "avatar_video",
		Source: wire.TrackSource_CAMERA})
	return err
}

// Identity returns the worker's identity in the room.
func (w *Worker) Identity() string { return w.room.LocalParticipant.Identity() }

// Ended returns a channel that is closed when the connection is lost or closed.
func (w *Worker) Ended() <-chan struct{} { return w.lifetime.Ended() }

// Cause returns why the connection ended, or nil.
func (w *Worker) Cause() error {
	if err := w.lifetime.Cause(); err != nil {
		return fmt.Errorf("livekit: %w", err)
	}
	return nil
}

// Sound publishes an Opus packet of 20 ms. level is its loudness in decibels below full scale.
func (w *Worker) Sound(packet []byte, level uint8, tick int64) {
	sample := media.Sample{Data: packet, Duration: WorkerTick, PacketTimestamp: uint32((tick + firstTick) * soundTick)}
	// Ended reports the end of the connection, so the error needs no handling.
	_ = w.sound.WriteSample(sample, &lksdk.SampleWriteOptions{AudioLevel: &level})
}

// Picture publishes a frame of VP8 that belongs to the sound of a tick.
func (w *Worker) Picture(frame []byte, tick int64) {
	sample := media.Sample{Data: frame, Duration: WorkerTick, PacketTimestamp: uint32((tick + firstTick) * videoTick)}
	_ = w.video.WriteSample(sample, nil) // as in Sound
}

// Started tells the sender that a stream has started to play.
func (w *Worker) Started(string) { w.call(TypePlaybackStarted, "") }

// Finished tells the sender that a stream has ended, and how much of it was played.
func (w *Worker) Finished(_ string, played time.Duration, interrupted bool) {
	w.call(TypePlaybackFinished, fmt.Sprintf(`{"playback_position":%.6f,"interrupted":%v,"synchronized_transcript":null}`,
		played.Seconds(), interrupted))
}

// tellTimeout is how long the worker waits for an answer before it continues. The SDK can
// miss an answer that comes at once, so a missing answer does not mean that the call was
// lost: calls are lost only with the connection. The worker does not repeat the call,
// because a second lk.playback_finished would count for the next stream.
const tellTimeout = 300 * time.Millisecond

// call calls the sender.
func (w *Worker) call(method, payload string) {
	sender, limit := w.present(), tellTimeout
	if sender == "" {
		return
	}
	answer, err := w.room.LocalParticipant.PerformRpc(lksdk.PerformRpcParams{DestinationIdentity: sender,
		Method: method, Payload: payload, ResponseTimeout: &limit})
	if err == nil && *answer == answerReject {
		w.options.Note(fmt.Sprintf("%s rejects %s", sender, method))
	}
}

// present returns the sender, or "" if it has left. The sender may speak before the server
// reports that it has joined.
func (w *Worker) present() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isGone {
		return ""
	}
	return w.sender
}

// unseenTime is how long the server may take to report a sender that has joined. The server
// delays such reports for participants that publish no track. It never reports a sender
// that leaves earlier than that.
const unseenTime = 5 * time.Second

// obeys reports whether who is the sender. If there is no sender yet, or it has left, and
// speaks is true, who becomes the sender.
func (w *Worker) obeys(who string, speaks bool) bool {
	w.mu.Lock()
	sender := w.sender
	w.mu.Unlock()
	isUnseen := sender != "" && w.room.GetParticipantByIdentity(sender) == nil // which takes the SDK's lock
	w.mu.Lock()
	defer w.mu.Unlock()
	hasLeft := isUnseen && !w.isNamed() && time.Since(w.active) > unseenTime
	if speaks && (w.sender == "" || w.sender == sender && hasLeft) {
		w.sender = who
	}
	if w.sender != who {
		return false
	}
	w.active, w.isGone = time.Now(), false
	return true
}

// isNamed reports whether the token or the options name the sender.
func (w *Worker) isNamed() bool {
	return w.options.Sender != "" || w.room.LocalParticipant.Attributes()[attributeOnBehalf] != ""
}

// clear handles lk.clear_buffer.
func (w *Worker) clear(call lksdk.RpcInvocationData) (string, error) {
	if !w.obeys(call.CallerIdentity, false) {
		return answerReject, nil
	}
	w.options.Clear()
	return answerOK, nil
}

// receive reads a stream.
func (w *Worker) receive(r *lksdk.ByteStreamReader, from string) {
	if !w.obeys(from, true) {
		w.options.Note(fmt.Sprintf("ignored: speech of %s, since another is obeyed", from))
		return
	}
	if !w.begin() {
		return
	}
	defer w.streams.Done()
	rate, _ := strconv.Atoi(r.Info.Attributes["sample_rate"])
	channels, _ := strconv.Atoi(cmp.Or(r.Info.Attributes["num_channels"], "1"))
	w.options.Speak(r.Info.Id, r, rate, channels)
	w.obeys(from, false) // records that it was active
}

// begin reports whether another stream may be read. If it reports true, Close waits for
// that stream.
func (w *Worker) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.lifetime.Closing():
		return false
	default:
		w.streams.Add(1)
		return true
	}
}

// leave ends the streams of a participant who has left. A sender that the token names stays
// the sender.
func (w *Worker) leave(who string) {
	w.mu.Lock()
	isSender := w.sender == who
	w.isGone = w.isGone || isSender
	if isSender && !w.isNamed() {
		w.sender = ""
	}
	w.mu.Unlock()
	w.options.Note(who + " has left")
	if isSender {
		w.options.Clear()
	}
}

// Close leaves the room, and waits until no stream is being read. It may be called twice.
func (w *Worker) Close() {
	w.mu.Lock()
	isFirst := w.lifetime.Close()
	w.mu.Unlock()
	if isFirst {
		peers := []*webrtc.PeerConnection{w.room.LocalParticipant.GetPublisherPeerConnection(),
			w.room.LocalParticipant.GetSubscriberPeerConnection()}
		w.room.Disconnect()
		for _, peer := range peers {
			if peer != nil {
				_ = peer.GracefulClose()
			}
		}
		w.streams.Wait()
		close(w.closed)
	}
	<-w.closed
}
