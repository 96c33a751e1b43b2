package daily

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	// audioBacklog is how many packets may wait for a reader, one second of Opus.
	audioBacklog = 50

	// largestOffer is the maximum size of an offer of one audio track, in bytes.
	largestOffer = 64 << 10

	opusPayload = 111 // as Chromium numbers it
)

// Audio is the sound of one participant: RTP packets of Opus at 48 kHz, usually 20 ms each.
// Daily's media server sends them to the page, and the page forwards them. Daily's library
// decodes the sound itself. Its packets have the payload type PayloadL16, and each holds 10
// ms of mono samples: 16 bits, big-endian, at Options.SoundRate. The timestamps are at 48
// kHz in both cases.
type Audio struct {
	packets chan *rtp.Packet
	broken  <-chan struct{} // closed when the transport has ended

	once   sync.Once
	closed chan struct{}

	mu         sync.Mutex
	connection *webrtc.PeerConnection // to a page that listens
}

// Audio subscribes to the audio track of the participant with this session id, or of the
// replica if the id is empty. A Conn listens to one participant at a time: the next call
// ends this Audio, and so does a page that breaks.
//
// The packets begin when the participant's microphone is on. Closing the Conn
// closes the Audio.
func (c *Conn) Audio(ctx context.Context, session string) (*Audio, error) {
	a, err := c.audio(ctx, session)
	if err != nil {
		return nil, fmt.Errorf("daily: audio: %w", err)
	}
	return a, nil
}

func (c *Conn) audio(ctx context.Context, session string) (*Audio, error) {
	p, replica, err := c.current(ctx)
	if err != nil {
		return nil, err
	}
	if session == "" {
		session = replica
	}
	if session == everyone {
		return nil, errors.New("the replica is not in the room, or not known yet")
	}
	a := newAudio(p.Ended())
	if err := p.listen(ctx, session, a); err != nil {
		_ = a.Close()
		return nil, err
	}
	return a, nil
}

func newAudio(broken <-chan struct{}) *Audio {
	return &Audio{packets: make(chan *rtp.Packet, audioBacklog), broken: broken, closed: make(chan struct{})}
}

// newAudioAPI accepts only Opus over 127.0.0.1.
func newAudioAPI() *webrtc.API {
	var engine webrtc.SettingEngine
	engine.LoggerFactory = &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
	engine.SetIncludeLoopbackCandidate(true)
	engine.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	engine.SetIPFilter(net.IP.IsLoopback)
	engine.SetRemoteIPFilter(net.IP.IsLoopback)
	engine.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	var media webrtc.MediaEngine
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
		SDPFmtpLine: "minptime=10;useinbandfec=1"}
	if err := media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: opusPayload},
		webrtc.RTPCodecTypeAudio); err != nil {
		panic("internal error: " + err.Error()) // a constant
	}
	return webrtc.NewAPI(
		webrtc.WithSettingEngine(engine),
		webrtc.WithMediaEngine(&media),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}),
	)
}

// read takes the packets of the track.
func (a *Audio) read(track *webrtc.TrackRemote) {
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		a.put(packet)
	}
}

// put queues a packet. If nobody reads, it drops the oldest: late audio is of no use.
func (a *Audio) put(packet *rtp.Packet) {
	select {
	case a.packets <- packet:
		return
	default:
	}
	select {
	case <-a.packets:
	default:
	}
	select {
	case a.packets <- packet:
	default:
	}
}

// ReadRTP returns the next packet. The error is the cause of ctx, net.ErrClosed
// after Close, or ErrLost after the page has broken, even if packets still wait.
func (a *Audio) ReadRTP(ctx context.Context) (*rtp.Packet, error) {
	if err := a.stopped(ctx); err != nil { // the select below could take a waiting packet
		return nil, fmt.Errorf("daily: audio: %w", err)
	}
	select {
	case packet := <-a.packets:
		return packet, nil
	case <-a.closed:
	case <-a.broken:
	case <-ctx.Done():
	}
	return nil, fmt.Errorf("daily: audio: %w", a.stopped(ctx))
}

// stopped returns why nothing more is to be read, or nil.
func (a *Audio) stopped(ctx context.Context) error {
	select {
	case <-a.closed:
		return net.ErrClosed
	default:
	}
	select {
	case <-a.broken:
		return ErrLost
	default:
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// Close stops listening, and returns when every goroutine of the Audio has
// ended. Further calls do nothing.
func (a *Audio) Close() error {
	a.once.Do(func() {
		close(a.closed)
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.connection != nil {
			_ = a.connection.GracefulClose()
		}
	})
	return nil
}

// connect makes the connection for the page's offer, unless a is closed.
func (a *Audio) connect() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.closed:
		return net.ErrClosed
	default:
	}
	if a.connection != nil {
		return errors.New("there is a connection")
	}
	connection, err := newAudioAPI().NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return fmt.Errorf("no peer connection: %v", err)
	}
	connection.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { a.read(track) })
	a.connection = connection
	return nil
}

// answer takes the page's offer.
func (a *Audio) answer(ctx context.Context, offer string) (string, error) {
	if err := a.connect(); err != nil {
		return "", err
	}
	description := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}
	if err := a.connection.SetRemoteDescription(description); err != nil {
		return "", err
	}
	answer, err := a.connection.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(a.connection)
	if err := a.connection.SetLocalDescription(answer); err != nil {
		return "", err
	}
	select {
	case <-gathered:
		return a.connection.LocalDescription().SDP, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// soundServer answers the offer that a page makes when it is to send sound.
type soundServer struct {
	mu    sync.Mutex
	audio *Audio // nil while nobody listens
}

// use directs the next offer to an Audio, and ends the last Audio.
func (e *soundServer) use(a *Audio) {
	e.mu.Lock()
	last := e.audio
	e.audio = a
	e.mu.Unlock()
	if last != nil {
		_ = last.Close()
	}
}

func (e *soundServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	a := e.audio
	e.mu.Unlock()
	if a == nil {
		http.Error(w, "nobody listens", http.StatusConflict)
		return
	}
	offer, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestOffer))
	if err != nil {
		http.Error(w, "the offer did not arrive", http.StatusBadRequest)
		return
	}
	answer, err := a.answer(r.Context(), string(offer))
	if err != nil {
		http.Error(w, "no answer to this offer", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/sdp")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer)
}
