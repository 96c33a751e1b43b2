package livekit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"

	"echocast/echo"
	"echocast/internal/lifetime"
	"echocast/internal/pcm"
	"echocast/internal/redact"
	"echocast/logs"
)

// tokenTTL is how long a token that we make allows joining. The server renews it for
// participants.
const tokenTTL = 10 * time.Minute

// Room is a joined room, and an echo.Stage. Begin, Speak and Interrupt must not be called
// at the same time. The other methods may be called at any time from any goroutine.
type Room struct {
	room    *lksdk.Room
	sender  participant // of speech: the room's own participant
	options Options
	log     *slog.Logger

	speakLock chan struct{} // one slot, held by Speak and Interrupt
	next      echo.Utterance
	stream    *stream // the open one, or nil
	audio     pcm.Quantiser
	calls     sync.WaitGroup // calls to the avatar, and tracks that are heard

	lifetime *lifetime.Lifetime // ends when the avatar or the connection is gone
	closed   chan struct{}      // closed when Close has done its work
	closeErr error              // read it after closed is closed

	usersMu sync.Mutex // held by noteUsers; taken before mu

	mu        sync.Mutex // the SDK waits for it while it holds its room's lock
	ledger    ledger
	last      *entry          // the entry of the last opened stream
	fallback  *time.Timer     // of ReadyAuto; nil before the avatar was seen
	hasWaited bool            // the fallback's time has passed
	isReady   bool            // the avatar is ready
	hasUser   bool            // a user speaks
	hearing   *trackListener  // nil while nobody hears
	avatars   map[string]bool // the avatar's audio tracks, by id
	events    []echo.Event    // not yet taken by Next
	came      chan struct{}   // one slot, filled when there are events
}

var _ echo.Stage = (*Room)(nil)

// The SDK reads its logger without a lock, so it is set before anything can run.
func init() { lksdk.SetLogger(logger.GetDiscardLogger()) }

// Join enters the room. It returns when audio can be sent to the server. It does not wait
// for the avatar, whose arrival is an event. If the room does not exist, the server creates
// it if it permits that.
//
// The error is the cause of ctx, ErrRefused, or an error of the SDK. It never contains the
// credentials. The SDK obeys ctx while it calls the server, and after that only
// Options.ConnectTimeout. Join turns off the SDK's log in the whole program.
func Join(ctx context.Context, to Address, with Credentials, options *Options) (*Room, error) {
	log := logs.From(ctx).With("room", to.Room)
	log.Info("joining a LiveKit room", "server", to.URL)
	r := &Room{log: log,
		options: options.withDefaults(), speakLock: make(chan struct{}, 1), lifetime: lifetime.New(),
		closed: make(chan struct{}), came: make(chan struct{}, 1), avatars: map[string]bool{},
	}
	if err := r.join(ctx, to, with); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		log.Info("not joined", "error", err)
		return nil, fmt.Errorf("livekit: join room %q at %s: %w", to.Room, to.URL, err)
	}
	return r, nil
}

func (r *Room) join(ctx context.Context, to Address, with Credentials) error {
	if p := r.options.ReadyWhen; p != ReadyAuto && !slices.Contains(ReadyPolicies(), p) {
		return fmt.Errorf("ready when %q: use joined, audio or video", p)
	}
	if err := to.checkSafe(r.options.Insecure); err != nil {
		return err
	}
	if with.Token == "" {
		var err error
		if with.Token, err = token(with.Key, with.Secret, to.Room, r.options.Identity, tokenTTL, nil); err != nil {
			return err
		}
	}
	r.room = lksdk.NewRoom(r.callbacks())
	r.sender = r.room.LocalParticipant
	if err := r.serve(); err != nil {
		return err
	}
	guarded, stop := keepToServer(ctx, to)
	defer stop()
	err := r.room.JoinWithContextAndToken(guarded, to.URL, with.Token,
		lksdk.WithAutoSubscribe(false), lksdk.WithConnectTimeout(r.options.ConnectTimeout),
		lksdk.WithLogger(logger.GetDiscardLogger()))
	if err != nil {
		return refusal(cmp.Or(redirected(guarded), err), with)
	}
	if err := r.openPublisher(); err != nil {
		_ = r.Close()
		return fmt.Errorf("no way for data to the server: %w", err)
	}
	r.log.Info("joined", "as", r.Identity(), "participants", len(r.room.GetRemoteParticipants()))
	r.checkAvatar(r.avatar())
	r.subscribeAll()
	return nil
}

// refusal distinguishes refused credentials from other errors. It keeps the credentials out
// of the text.
func refusal(err error, with Credentials) error {
	text := redact.New(with.Token, with.Secret).Text(err.Error())
	if strings.Contains(text, "unauthorized") {
		return fmt.Errorf("%w (%s)", ErrRefused, strings.TrimPrefix(text, "unauthorized: "))
	}
	return errors.New(text)
}

// openPublisher makes the SDK open its publishing connection, by sending an empty packet to
// ourselves. Otherwise the SDK would open it at the first packet, and the first utterance
// would have to wait.
func (r *Room) openPublisher() error {
	return r.room.LocalParticipant.PublishDataPacket(lksdk.UserData(nil),
		lksdk.WithDataPublishDestination([]string{r.Identity()}))
}

// Identity returns the sender's identity in the room, which the avatar obeys.
func (r *Room) Identity() string { return r.room.LocalParticipant.Identity() }

func (r *Room) callbacks() *lksdk.RoomCallback {
	return &lksdk.RoomCallback{
		OnDisconnectedWithReason: func(lksdk.DisconnectionReason) {
			reason := strings.ReplaceAll(strings.ToLower(r.room.DisconnectReason().String()), "_", " ")
			r.log.Info("disconnected", "reason", reason)
			r.lifetime.End(fmt.Errorf("%w (%s)", ErrLost, reason))
		},
		OnParticipantConnected: func(who *lksdk.RemoteParticipant) {
			r.log.Info("participant joined", "identity", who.Identity())
			r.checkAvatar(who)
		},
		OnParticipantDisconnected: func(who *lksdk.RemoteParticipant) {
			r.log.Info("participant left", "identity", who.Identity())
			r.endIfAvatarLeft()
			r.noteUsers()
		},
		OnReconnecting: func() {
			r.log.Info("reconnecting")
			r.add(event(TypeReconnecting, nil))
		},
		OnReconnected: func() {
			r.log.Info("reconnected")
			r.add(event(TypeReconnected, nil))
			r.endIfAvatarLeft()
		},
		OnActiveSpeakersChanged: func([]lksdk.Participant) { r.noteUsers() },
		ParticipantCallback: lksdk.ParticipantCallback{
			OnTrackPublished: func(track *lksdk.RemoteTrackPublication, who *lksdk.RemoteParticipant) {
				r.log.Info("track published", "kind", string(track.Kind()), "by", who.Identity())
				r.checkAvatar(who)
				r.subscribe(who)
			},
			OnTrackSubscribed: func(track *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, who *lksdk.RemoteParticipant) {
				r.read(track, who)
			},
		},
	}
}

func (r *Room) avatar() *lksdk.RemoteParticipant {
	return r.room.GetParticipantByIdentity(r.options.Avatar)
}

// endIfAvatarLeft ends the room if the avatar was ready and has left. While the SDK
// reconnects, its list of participants is empty.
func (r *Room) endIfAvatarLeft() {
	r.mu.Lock()
	ready := r.isReady
	r.mu.Unlock()
	if ready && r.room.ConnectionState() == lksdk.ConnectionStateConnected && r.avatar() == nil {
		r.lifetime.End(ErrAvatarGone)
	}
}

func (r *Room) add(e echo.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.push(e)
}

// push queues an event. The caller holds r.mu.
func (r *Room) push(e echo.Event) {
	r.events = append(r.events, e)
	select {
	case r.came <- struct{}{}:
	default:
	}
}

// Next returns the next event. After the last event it fails with ErrAvatarGone or ErrLost.
func (r *Room) Next(ctx context.Context) (echo.Event, error) {
	for {
		if e, ok := r.take(); ok {
			return e, nil
		}
		select {
		case <-r.came:
			continue
		case <-r.lifetime.Closing():
		case <-r.lifetime.Ended():
		case <-ctx.Done():
		}
		if e, ok := r.take(); ok {
			return e, nil
		}
		return echo.Event{}, fmt.Errorf("livekit: %w", r.lifetime.Err(ctx))
	}
}

func (r *Room) take() (echo.Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) == 0 {
		return echo.Event{}, false
	}
	e := r.events[0]
	r.events = slices.Delete(r.events, 0, 1)
	return e, true
}

// Close leaves the room. It waits at most Options.CloseTimeout for the server to
// acknowledge what was sent, for calls to the avatar, and for the peer connections. The
// error says that not everything was acknowledged. Further calls wait for the first and
// return the same.
func (r *Room) Close() error {
	if r.lifetime.Close() {
		r.closeErr = r.close()
		close(r.closed)
	}
	<-r.closed
	return r.closeErr
}

func (r *Room) close() error {
	r.stopFallback()
	r.speakLock <- struct{}{} // no packet is being sent, and none will be
	err := r.flush()
	peers := r.peers()
	r.room.Disconnect()
	for _, peer := range peers {
		_ = peer.GracefulClose()
	}
	r.calls.Wait()
	return err
}

func (r *Room) peers() []*webrtc.PeerConnection {
	both := []*webrtc.PeerConnection{r.room.LocalParticipant.GetPublisherPeerConnection(),
		r.room.LocalParticipant.GetSubscriberPeerConnection()}
	return slices.DeleteFunc(both, func(p *webrtc.PeerConnection) bool { return p == nil })
}

// flush waits until the server has acknowledged everything.
func (r *Room) flush() error {
	timeout, cancel := context.WithTimeout(context.Background(), r.options.CloseTimeout)
	defer cancel()
	publisher := r.room.LocalParticipant.GetPublisherPeerConnection()
	for {
		waiting := buffered(publisher)
		switch {
		case waiting == 0:
			return nil
		case !connected(publisher), !pause(timeout, r.lifetime.Ended()):
			return fmt.Errorf("livekit: close: %d bytes not acknowledged", waiting)
		}
	}
}
