package rtc

import (
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// The tracks that a Listener may send.
const (
	SoundReplica = "replica" // the replica's speech
	SoundUser    = "user"    // the user's microphone
	SoundAll     = "all"     // for Hear: both
)

// soundBacklog is how many packets wait for Hear, one second of both tracks.
const soundBacklog = 100

// The payload types. Opus has the number that Chromium uses, and mu-law has its fixed
// number.
const (
	opusPayload = 111

	// PayloadMuLaw is the payload type of a Sound in mu-law.
	PayloadMuLaw = 0
)

// muLawTicks is the number of Opus clock ticks in one tick of mu-law.
const muLawTicks = 48000 / 8000

var opusCapability = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
	SDPFmtpLine: "minptime=10;useinbandfec=1"}

var muLawCapability = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000, Channels: 1}

// mediaEngine returns an engine that supports Opus and mu-law, or nothing if sound is
// false.
func mediaEngine(sound bool) *webrtc.MediaEngine {
	media := &webrtc.MediaEngine{}
	if !sound {
		return media
	}
	for _, codec := range []webrtc.RTPCodecParameters{
		{RTPCodecCapability: opusCapability, PayloadType: opusPayload},
		{RTPCodecCapability: muLawCapability, PayloadType: PayloadMuLaw},
	} {
		if err := media.RegisterCodec(codec, webrtc.RTPCodecTypeAudio); err != nil {
			panic("internal error: " + err.Error()) // a constant
		}
	}
	return media
}

// offersSound reports whether a session description asks for sound.
func offersSound(description string) bool {
	return strings.HasPrefix(description, "m=audio ") || strings.Contains(description, "\nm=audio ")
}

// offersMedia reports whether a session description has sections other than that of the
// data channel. Its answer needs a section for each, which dataLink does not write.
func offersMedia(description string) bool { return strings.Count("\n"+description, "\nm=") > 1 }

// sounds are the tracks of a connection.
type sounds struct {
	out       map[string]*outTrack
	usesMuLaw bool // of out
	heard     chan Sound
}

// outTrack is a track that is sent.
type outTrack struct {
	*webrtc.TrackLocalStaticRTP

	mu    sync.Mutex
	clock muLawClock
}

// muLawClock converts timestamps at 48 kHz to the clock of mu-law. It adds up the differences,
// because a timestamp at 48 kHz begins again at 0 once a day, and a sixth of it would jump.
type muLawClock struct{ from, to uint32 }

func (c *muLawClock) convert(timestamp uint32) uint32 {
	ticks := int32(math.Floor(float64(int32(timestamp-c.from)) / muLawTicks))
	c.from += uint32(ticks * muLawTicks)
	c.to += uint32(ticks)
	return c.to
}

// Sound is a packet of a track: Opus, or mu-law if its payload type is PayloadMuLaw.
// The timestamp is at 48 kHz in both.
type Sound struct {
	Track  string // SoundReplica or SoundUser, or a name chosen by a peer
	Packet *rtp.Packet
}

// receiveSound asks the other end for both tracks.
func (l *mediaLink) receiveSound() error {
	l.sounds = &sounds{heard: make(chan Sound, soundBacklog)}
	l.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { l.sounds.read(track) })
	for range 2 {
		_, err := l.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio,
			webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		if err != nil {
			return fmt.Errorf("no audio: %v", err)
		}
	}
	return nil
}

// sendSound adds both tracks to the answer, and accepts the tracks that the peer sends.
func (l *mediaLink) sendSound() error {
	l.sounds = &sounds{out: make(map[string]*outTrack), usesMuLaw: l.options.MuLaw,
		heard: make(chan Sound, soundBacklog)}
	l.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { l.sounds.read(track) })
	capability := opusCapability
	if l.options.MuLaw {
		capability = muLawCapability
	}
	for _, name := range []string{SoundReplica, SoundUser} {
		track, err := webrtc.NewTrackLocalStaticRTP(capability, name, "echocast")
		if err == nil {
			_, err = l.AddTrack(track)
		}
		if err != nil {
			return fmt.Errorf("no audio: %v", err)
		}
		l.sounds.out[name] = &outTrack{TrackLocalStaticRTP: track}
	}
	return nil
}

// read queues the packets of a track. If nobody reads them, it drops the oldest: late
// sound is of no use.
func (s *sounds) read(track *webrtc.TrackRemote) {
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		if packet.PayloadType == PayloadMuLaw {
			packet.Timestamp *= muLawTicks
		}
		s.pass(Sound{track.ID(), packet})
	}
}

// pass queues a packet for Hear. If the queue is full, it drops the oldest packet.
func (s *sounds) pass(sound Sound) {
	for {
		select {
		case s.heard <- sound:
			return
		default:
		}
		select {
		case <-s.heard:
		default:
		}
	}
}

// HasSound reports whether the peer asked for sound.
func (c *Conn) HasSound() bool {
	sounds := c.peer.sound()
	return sounds != nil && sounds.out != nil
}

// sound returns the tracks of the connection, or nil without sound.
func (p *peer) sound() *sounds {
	if media, ok := p.link.(*mediaLink); ok {
		return media.sounds
	}
	return nil
}

// Play sends a packet to a peer that asked for sound: Opus, or mu-law with Options.MuLaw.
// It sends the packet's sequence number, timestamp (48 kHz in both cases), marker and
// payload. It does not block. If the peer did not ask for sound, it does nothing.
func (c *Conn) Play(track string, packet *rtp.Packet) error {
	if !c.HasSound() {
		return nil
	}
	out, ok := c.peer.sound().out[track]
	if !ok {
		return fmt.Errorf("rtc: play: no track is called %q", track)
	}
	if c.peer.sound().usesMuLaw {
		own := *packet // other connections send the same packet
		out.mu.Lock()
		own.Timestamp = out.clock.convert(packet.Timestamp)
		out.mu.Unlock()
		packet = &own
	}
	if err := out.WriteRTP(packet); err != nil {
		return fmt.Errorf("rtc: play: %w", err)
	}
	return nil
}

// Hear calls packet for each packet of the track that from names: SoundReplica, SoundUser,
// or SoundAll for all tracks. The Conn must have been dialled with Options.Sound. On a Conn
// that a Listener accepted, Hear receives what the peer sends, such as the sound of a
// page's microphone: use SoundAll. No track ends before the connection, so left is never
// called. The error is the cause of ctx, net.ErrClosed, ErrPeerGone or ErrLost.
func (c *Conn) Hear(ctx context.Context, from string, packet func(track string, p *rtp.Packet),
	_ func(track string)) error {
	for {
		sound, err := c.nextSound(ctx)
		if err != nil {
			return err
		}
		if from == SoundAll || from == sound.Track {
			packet(sound.Track, sound.Packet)
		}
	}
}

// nextSound returns the next packet of any track.
func (c *Conn) nextSound(ctx context.Context) (Sound, error) {
	sounds := c.peer.sound()
	if sounds == nil || sounds.heard == nil {
		return Sound{}, fmt.Errorf("rtc: hear: %w: Options.Sound was not set", net.ErrClosed)
	}
	select {
	case sound := <-sounds.heard:
		return sound, nil
	case <-c.lifetime.Ended():
		return Sound{}, fmt.Errorf("rtc: hear: %w", c.lifetime.Cause())
	case <-c.lifetime.Closing():
		return Sound{}, fmt.Errorf("rtc: hear: %w", net.ErrClosed)
	case <-ctx.Done():
		return Sound{}, fmt.Errorf("rtc: hear: %w", context.Cause(ctx))
	}
}
