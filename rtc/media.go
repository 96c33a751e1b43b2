package rtc

import (
	"context"
	"fmt"
	"net"

	"github.com/pion/datachannel"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/transport/v5"
	"github.com/pion/webrtc/v4"
)

// mediaLink is a full pion peer connection, for sound in addition to data.
type mediaLink struct {
	*webrtc.PeerConnection
	peer    *peer
	options *Options
	mux     ice.UDPMux // nil unless the machine has only ::1
	sounds  *sounds    // nil without sound
}

// newMediaPeer makes a peer with a full pion peer connection. If sound is false, it carries
// no media.
func newMediaPeer(o *Options, sound bool) (*peer, error) {
	mux, err := openIPv6Mux(o)
	if err != nil {
		return nil, fmt.Errorf("no socket: %v", err)
	}
	var connection *webrtc.PeerConnection
	network, err := o.packetNet()
	if err == nil {
		connection, err = newAPI(o, sound, mux, network).NewPeerConnection(o.configuration())
	}
	if err != nil {
		closeMux(mux)
		return nil, fmt.Errorf("no peer connection: %v", err)
	}
	l := &mediaLink{PeerConnection: connection, options: o, mux: mux}
	l.peer = o.newPeer(l)
	logStates(connection, o.Log)
	connection.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		o.Log.Info("connection", "state", state.String())
		if state == webrtc.PeerConnectionStateFailed || state == webrtc.PeerConnectionStateClosed {
			l.peer.markBroken()
		}
	})
	connection.OnDataChannel(l.accept)
	return l.peer, nil
}

// newAPI returns the settings that a peer connection shares with a data link: no
// multicast DNS, nothing written to standard error, and no connection beyond this
// machine unless allowed.
func newAPI(o *Options, sound bool, mux ice.UDPMux, network transport.Net) *webrtc.API {
	var engine webrtc.SettingEngine
	engine.LoggerFactory = pionLog{o.Log}
	engine.SetIncludeLoopbackCandidate(true)
	engine.SetNetworkTypes([]webrtc.NetworkType{loopbackNetwork()})
	if o.allowRemote {
		engine.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
		engine.SetSTUNGatherTimeout(o.stunGather())
	} else {
		engine.SetIPFilter(net.IP.IsLoopback)
		engine.SetRemoteIPFilter(net.IP.IsLoopback)
	}
	if network != nil {
		engine.SetNet(network)
	}
	if mux != nil {
		engine.SetICEUDPMux(mux)
	}
	engine.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	engine.SetICETimeouts(iceDisconnected, o.iceFailed(), iceKeepalive)
	engine.SetICEMaxBindingRequests(iceRequests)
	engine.SetSCTPMaxMessageSize(uint32(o.MaxMessage))
	engine.SetSCTPRTOMax(maxRetransmit)
	engine.DetachDataChannels()
	return webrtc.NewAPI(
		webrtc.WithSettingEngine(engine),
		webrtc.WithMediaEngine(mediaEngine(sound)),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}),
	)
}

// configuration returns the ICE servers in the form that pion takes.
func (o *Options) configuration() webrtc.Configuration {
	var configuration webrtc.Configuration
	for _, server := range o.ICEServers {
		configuration.ICEServers = append(configuration.ICEServers, webrtc.ICEServer{
			URLs: []string{server.URL}, Username: server.Username, Credential: server.Credential,
		})
	}
	if o.RelayOnly {
		configuration.ICETransportPolicy = webrtc.ICETransportPolicyRelay
	}
	return configuration
}

func (l *mediaLink) open(label string, to chan<- channel) error {
	created, err := l.CreateDataChannel(label, nil)
	if err != nil {
		return fmt.Errorf("no data channel: %v", err)
	}
	l.handOver(created, to)
	return nil
}

// accept accepts a data channel that the other side has opened.
func (l *mediaLink) accept(opened *webrtc.DataChannel) {
	reliable := opened.Ordered() && opened.MaxRetransmits() == nil && opened.MaxPacketLifeTime() == nil
	if to := l.peer.slot(opened.Label(), reliable); to != nil {
		l.handOver(opened, to)
		return
	}
	_ = opened.Close()
}

// handOver passes a data channel on as soon as it is open.
func (l *mediaLink) handOver(opened *webrtc.DataChannel, to chan<- channel) {
	opened.OnOpen(func() {
		detached, err := opened.Detach()
		if err != nil {
			return
		}
		if data, ok := detached.(*datachannel.DataChannel); ok {
			l.peer.handOver(data, to)
		}
	})
}

func (l *mediaLink) offer(ctx context.Context) (string, error) {
	if l.options.Sound {
		if err := l.receiveSound(); err != nil {
			return "", err
		}
	}
	description, err := l.CreateOffer(nil)
	if err != nil {
		return "", fmt.Errorf("no offer: %v", err)
	}
	return l.describe(ctx, description)
}

func (l *mediaLink) answer(ctx context.Context) (string, error) {
	if offersSound(l.RemoteDescription().SDP) {
		if err := l.sendSound(); err != nil {
			return "", err
		}
	}
	description, err := l.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("no answer to this offer: %v", err)
	}
	return l.describe(ctx, description)
}

// describe sets the local description and waits for its candidates.
func (l *mediaLink) describe(ctx context.Context, description webrtc.SessionDescription) (string, error) {
	gathered := webrtc.GatheringCompletePromise(l.PeerConnection)
	if err := l.SetLocalDescription(description); err != nil {
		return "", fmt.Errorf("no local description: %v", err)
	}
	if err := l.options.waitGathered(ctx, gathered); err != nil {
		return "", err
	}
	return l.LocalDescription().SDP, nil
}

func (l *mediaLink) take(kind webrtc.SDPType, text string) error {
	return l.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: text})
}

func (l *mediaLink) hasPath() bool {
	state := l.ICEConnectionState()
	return state == webrtc.ICEConnectionStateConnected || state == webrtc.ICEConnectionStateCompleted
}

func (l *mediaLink) isClosedByPeer() bool {
	return l.ConnectionState() == webrtc.PeerConnectionStateClosed
}

func (l *mediaLink) received() uint64 { return l.SCTP().Stats().BytesReceived }

func (l *mediaLink) maxMessage() int { return int(l.SCTP().GetCapabilities().MaxMessageSize) }

func (l *mediaLink) close() {
	_ = l.GracefulClose()
	closeMux(l.mux)
}
