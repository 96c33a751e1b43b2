package rtc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/transport/v5/stdnet"
	"github.com/pion/webrtc/v4"
)

// ICE calls a silent peer disconnected after the first of these, failed after
// the second on top of it, and sends a keepalive every third. A keepalive costs
// both ends more than a message does.
const (
	iceDisconnected = 2 * time.Second
	iceFailed       = 8 * time.Second
	iceKeepalive    = time.Second
)

// maxRetransmit bounds SCTP's wait between two attempts. It is also the
// wait before a sender finds out that a slow reader has room again: pion does
// not announce a window that opens, and up to SCTP's own bound of 60 s the wait
// doubles each time.
const maxRetransmit = time.Second

// How long a STUN server may take to answer, and all servers together, of the
// time to connect.
const (
	stunGather = 2 * time.Second
	maxGather  = 4 * time.Second
)

// stream is what is used of a detached data channel.
type stream interface {
	ReadDataChannel(p []byte) (n int, isText bool, err error)
	WriteDataChannel(p []byte, isText bool) (n int, err error)
	SetReadDeadline(t time.Time) error
}

// channel is an open data channel.
type channel struct {
	stream
	*webrtc.DataChannel
}

// peer is one end of a peer connection. Its data channels are handed over as
// they open.
type peer struct {
	*webrtc.PeerConnection
	messages chan channel  // the message channel, once
	pings    chan channel  // the ping channel, once, if there is one
	broken   chan struct{} // closed when pion reports the connection as failed

	mux         ice.UDPMux // nil but where only ::1 is
	isRelayOnly bool       // there is no other way to the peer
	usesMuLaw   bool       // what it sends is mu-law
	sounds      *sounds    // nil without sound
	log         *slog.Logger
}

// newPeer makes a peer connection that stays on this machine, unless the options
// allow remote peers. Only with sound it has media.
func newPeer(o *Options, sound bool) (*peer, error) {
	mux, err := openIPv6Mux(o)
	if err != nil {
		return nil, fmt.Errorf("no socket: %v", err)
	}
	connection, err := newAPI(o, sound, mux).NewPeerConnection(o.configuration())
	if err != nil {
		closeMux(mux)
		return nil, fmt.Errorf("no peer connection: %v", err)
	}
	p := &peer{
		mux:            mux,
		PeerConnection: connection,
		messages:       make(chan channel, 1),
		pings:          make(chan channel, 1),
		broken:         make(chan struct{}),
		isRelayOnly:    o.RelayOnly,
		usesMuLaw:      o.MuLaw,
		log:            o.Log,
	}
	var once sync.Once
	logStates(connection, o.Log)
	connection.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		o.Log.Info("connection", "state", state.String())
		if state == webrtc.PeerConnectionStateFailed || state == webrtc.PeerConnectionStateClosed {
			once.Do(func() { close(p.broken) })
		}
	})
	connection.OnDataChannel(p.accept)
	return p, nil
}

// newAPI holds what every peer connection of this package has in common: no
// host names looked up by multicast, no media unless asked for and nothing written
// to standard error. On this machine it uses the loopback interface only.
func newAPI(o *Options, sound bool, mux ice.UDPMux) *webrtc.API {
	var engine webrtc.SettingEngine
	engine.LoggerFactory = pionLog{o.Log}
	engine.SetIncludeLoopbackCandidate(true)
	engine.SetNetworkTypes([]webrtc.NetworkType{loopbackNetwork()})
	if o.allowRemote {
		engine.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
		engine.SetSTUNGatherTimeout(stunGather)
	} else {
		if here, err := interfacesHere(); err == nil {
			engine.SetNet(here)
		}
		engine.SetIPFilter(net.IP.IsLoopback)
		engine.SetRemoteIPFilter(net.IP.IsLoopback)
	}
	if mux != nil {
		engine.SetICEUDPMux(mux)
	}
	engine.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	engine.SetICETimeouts(iceDisconnected, max(iceFailed, o.PingTimeout), iceKeepalive)
	engine.SetSCTPMaxMessageSize(uint32(o.MaxMessage))
	engine.SetSCTPRTOMax(maxRetransmit)
	engine.DetachDataChannels()
	return webrtc.NewAPI(
		webrtc.WithSettingEngine(engine),
		webrtc.WithMediaEngine(mediaEngine(sound)),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}),
	)
}

// loopbackNetwork is IPv4, or IPv6 on a machine whose loopback interface has
// nothing else.
var loopbackNetwork = sync.OnceValue(func() webrtc.NetworkType {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return webrtc.NetworkTypeUDP4
	}
	return networkOf(addresses)
})

func networkOf(addresses []net.Addr) webrtc.NetworkType {
	network := webrtc.NetworkTypeUDP4
	for _, address := range addresses {
		ip, _, err := net.ParseCIDR(address.String())
		switch {
		case err != nil || !ip.IsLoopback():
		case ip.To4() != nil:
			return webrtc.NetworkTypeUDP4
		default:
			network = webrtc.NetworkTypeUDP6
		}
	}
	return network
}

// openIPv6Mux opens the one socket of a peer connection on a machine that has
// nothing but ::1: pion takes that for an address that it cannot use, unless the
// socket is given. Elsewhere it is nil.
func openIPv6Mux(o *Options) (ice.UDPMux, error) {
	if o.allowRemote || loopbackNetwork() != webrtc.NetworkTypeUDP6 {
		return nil, nil
	}
	socket, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		return nil, err
	}
	return ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: socket, Logger: pionLog{o.Log}}), nil
}

func closeMux(mux ice.UDPMux) {
	if mux != nil {
		_ = mux.Close() // it closes the socket
	}
}

// GracefulClose closes the connection, and waits for its goroutines.
func (p *peer) GracefulClose() error {
	defer closeMux(p.mux)
	return p.PeerConnection.GracefulClose()
}

// interfacesHere are the network interfaces of this machine, listed once: the
// loopback one does not come and go, and pion lists them for each connection.
var interfacesHere = sync.OnceValues(stdnet.NewNet)

// open creates a data channel and hands it over once it is open.
func (p *peer) open(label string, to chan<- channel) error {
	created, err := p.CreateDataChannel(label, nil)
	if err != nil {
		return fmt.Errorf("no data channel: %v", err)
	}
	p.handOver(created, to)
	return nil
}

// accept takes a data channel that the peer has opened.
func (p *peer) accept(opened *webrtc.DataChannel) {
	reliable := opened.Ordered() && opened.MaxRetransmits() == nil && opened.MaxPacketLifeTime() == nil
	switch {
	case opened.Label() == messageLabel && reliable:
		p.handOver(opened, p.messages)
	case opened.Label() == pingLabel:
		p.handOver(opened, p.pings)
	default:
		p.log.Info("data channel refused", "label", opened.Label(), "reliable", reliable)
		_ = opened.Close()
	}
}

// handOver passes a data channel on as soon as it is open, or closes it if
// there is one of its kind already.
func (p *peer) handOver(opened *webrtc.DataChannel, to chan<- channel) {
	opened.OnOpen(func() {
		p.log.Info("data channel open", "label", opened.Label())
		detached, err := opened.DetachWithDeadline()
		if err != nil {
			return
		}
		select {
		case to <- channel{detached, opened}:
		default:
			_ = opened.Close()
		}
	})
}

// offer describes this end, with all of its ICE candidates.
func (p *peer) offer(ctx context.Context) (string, error) {
	description, err := p.CreateOffer(nil)
	if err != nil {
		return "", fmt.Errorf("no offer: %v", err)
	}
	return p.describe(ctx, description)
}

// answer takes the other end's offer and describes this end.
func (p *peer) answer(ctx context.Context, offer string) (string, error) {
	if err := p.take(webrtc.SDPTypeOffer, offer); err != nil {
		return "", err
	}
	if offersSound(offer) {
		if err := p.sendSound(); err != nil {
			return "", err
		}
	}
	description, err := p.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("no answer to this offer: %v", err)
	}
	return p.describe(ctx, description)
}

// describe sets the local description and waits for its candidates, so that
// one exchange is enough. A server that does not answer is not waited for.
func (p *peer) describe(ctx context.Context, description webrtc.SessionDescription) (string, error) {
	gathered := webrtc.GatheringCompletePromise(p.PeerConnection)
	if err := p.SetLocalDescription(description); err != nil {
		return "", fmt.Errorf("no local description: %v", err)
	}
	enough := time.NewTimer(maxGather)
	defer enough.Stop()
	select {
	case <-gathered:
	case <-enough.C:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	text := p.LocalDescription().SDP
	if p.isRelayOnly && !strings.Contains(text, "\na=candidate:") {
		return "", errors.New("no TURN server gives this machine an address: check its URL, the user name and the credential")
	}
	return text, nil
}

// take sets the remote description, which has to have a data channel in it.
func (p *peer) take(kind webrtc.SDPType, text string) error {
	description := webrtc.SessionDescription{Type: kind, SDP: text}
	parsed, err := description.Unmarshal()
	if err != nil {
		return fmt.Errorf("not a session description: %v", err)
	}
	for _, media := range parsed.MediaDescriptions {
		if media.MediaName.Media != "application" || media.MediaName.Port.Value == 0 {
			continue
		}
		if err := p.SetRemoteDescription(description); err != nil {
			return fmt.Errorf("session description not usable: %v", err)
		}
		return nil
	}
	return errors.New("session description has no data channel")
}

// hasPath reports whether packets have come from an address of the other side.
func (p *peer) hasPath() bool {
	state := p.ICEConnectionState()
	return state == webrtc.ICEConnectionStateConnected || state == webrtc.ICEConnectionStateCompleted
}

// connected waits until the message channel is open.
func (p *peer) connected(ctx context.Context) (channel, error) {
	select {
	case opened := <-p.messages:
		return opened, nil
	case <-p.broken:
		return channel{}, ErrLost
	case <-ctx.Done():
		return channel{}, context.Cause(ctx)
	}
}
