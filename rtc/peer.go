package rtc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/ice/v4"
	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
	"github.com/pion/webrtc/v4"
)

// ICE timeouts. ICE calls a silent peer disconnected after the first, and failed after the
// second on top of it. It sends a keepalive after each third. A keepalive costs both ends
// more than a message does. RFC 7675 asks for one every 5 s.
const (
	iceDisconnected = 5 * time.Second
	iceFailed       = 5 * time.Second
	iceKeepalive    = 2500 * time.Millisecond
)

// iceRequests is how often ICE asks whether a path works, every 200 ms, before it drops the path:
// for 10 s. pion's default is 1.4 s, in which a busy machine may not answer.
const iceRequests = 50

// maxRetransmit bounds SCTP's wait between two attempts. It also bounds the time until a
// sender finds out that a slow reader has room again. pion does not announce a window that
// opens, and the wait would double each time up to SCTP's bound of 60 s.
const maxRetransmit = time.Second

// stunGather is how long one STUN server may take. All servers together may take twice as long,
// which is within the time to connect.
const stunGather = 2 * time.Second

func (o *Options) stunGather() time.Duration { return cmp.Or(o.gather, stunGather) }

func (o *Options) iceFailed() time.Duration { return max(iceFailed, o.PingTimeout) }

// channel is an open data channel.
type channel interface {
	ReadDataChannel(p []byte) (n int, isText bool, err error)
	WriteDataChannel(p []byte, isText bool) (n int, err error)
	SetReadDeadline(t time.Time) error
	BufferedAmount() uint64 // bytes that the peer has not acknowledged
	SetBufferedAmountLowThreshold(bytes uint64)
	OnBufferedAmountLow(notify func())
	Close() error
}

// link is a connection to the peer, with its session descriptions.
type link interface {
	// open makes a data channel, and passes it on once it is open. It must be called before
	// offer or answer.
	open(label string, to chan<- channel) error
	// offer and answer describe this end, with all of its ICE candidates.
	offer(ctx context.Context) (string, error)
	answer(ctx context.Context) (string, error)
	// take sets the description of the other end.
	take(kind webrtc.SDPType, text string) error
	// hasPath reports whether packets have arrived from an address of the other side.
	hasPath() bool
	// isClosedByPeer reports whether the other side has closed the link.
	isClosedByPeer() bool
	// received returns the number of received bytes, once there is a channel. maxMessage
	// returns the largest message in bytes that the other side accepts.
	received() uint64
	maxMessage() int
	// close ends the link at once, and waits for its goroutines.
	close()
}

// peer is one end of a connection. It passes on data channels as they open.
type peer struct {
	link
	messages chan channel  // gets the message channel, once
	pings    chan channel  // gets the ping channel, once, if there is one
	broken   chan struct{} // closed when the link has failed, or is closed by the peer

	breaking    sync.Once
	isRelayOnly bool // TURN is the only path to the peer
	log         *slog.Logger
}

// newPeer makes a peer. The peer connects only on this machine unless the options allow
// remote peers. It can carry sound only if media is true.
func newPeer(o *Options, media bool) (*peer, error) {
	if media {
		return newMediaPeer(o, true)
	}
	return newDataPeer(o)
}

func (o *Options) newPeer(l link) *peer {
	return &peer{
		link:        l,
		messages:    make(chan channel, 1),
		pings:       make(chan channel, 1),
		broken:      make(chan struct{}),
		isRelayOnly: o.RelayOnly,
		log:         o.Log,
	}
}

// markBroken records that no path to the peer is left.
func (p *peer) markBroken() { p.breaking.Do(func() { close(p.broken) }) }

// loopbackNetwork returns IPv4, or IPv6 if the loopback interface has only IPv6.
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

// openIPv6Mux opens the socket of a peer connection on a machine whose only loopback
// address is ::1. pion uses that address only through a given socket. On other machines it
// returns nil.
func openIPv6Mux(o *Options) (ice.UDPMux, error) {
	if o.allowRemote || loopbackNetwork() != webrtc.NetworkTypeUDP6 {
		return nil, nil
	}
	socket, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		return nil, err
	}
	params := ice.UDPMuxParams{UDPConn: socket, Logger: pionLog{o.Log}}
	if o.MaySend != nil {
		params.UDPConn = &fencedPacketConn{socket, o.MaySend}
	}
	return ice.NewUDPMuxDefault(params), nil
}

func closeMux(mux ice.UDPMux) {
	if mux != nil {
		_ = mux.Close() // it closes the socket
	}
}

// packetNet returns the network of a peer connection, or nil for pion's default. It fails
// for a network that MaySend cannot guard.
func (o *Options) packetNet() (network transport.Net, err error) {
	switch {
	case !o.allowRemote:
		network, err = interfacesHere()
	case o.MaySend != nil:
		network, err = stdnet.NewNet()
	}
	switch {
	case o.MaySend == nil && err != nil:
		return nil, nil
	case o.MaySend == nil || err != nil:
		return network, err
	}
	return &fencedNet{network, o.MaySend}, nil
}

// interfacesHere lists the network interfaces of this machine once. pion would list them
// for each connection, but the loopback interface does not change.
var interfacesHere = sync.OnceValues(stdnet.NewNet)

// slot returns where to pass a data channel that the other side has opened, or nil for an
// unknown one.
func (p *peer) slot(label string, isReliable bool) chan<- channel {
	switch {
	case label == messageLabel && isReliable:
		return p.messages
	case label == pingLabel:
		return p.pings
	}
	p.log.Info("data channel refused", "label", label, "reliable", isReliable)
	return nil
}

// handOver passes an open data channel on. It closes the channel if there already is one of
// its kind.
func (p *peer) handOver(opened *datachannel.DataChannel, to chan<- channel) {
	p.log.Info("data channel open", "label", opened.Label)
	select {
	case to <- opened:
	default:
		_ = opened.Close()
	}
}

// offer describes this end, with all of its ICE candidates.
func (p *peer) offer(ctx context.Context) (string, error) {
	return p.withRelay(p.link.offer(ctx))
}

// answer takes the other end's offer and describes this end.
func (p *peer) answer(ctx context.Context, offer string) (string, error) {
	if err := p.take(webrtc.SDPTypeOffer, offer); err != nil {
		return "", err
	}
	return p.withRelay(p.link.answer(ctx))
}

// withRelay refuses a description without candidates if only a relay may provide them.
func (p *peer) withRelay(text string, err error) (string, error) {
	if err == nil && p.isRelayOnly && !strings.Contains(text, "\na=candidate:") {
		err = errors.New("no TURN server gives this machine an address: check its URL, the user name and the credential")
	}
	return text, err
}

// waitGathered waits for the candidates of this side, so that one exchange is enough. It
// does not wait long for a server that does not answer.
func (o *Options) waitGathered(ctx context.Context, gathered <-chan struct{}) error {
	enough := time.NewTimer(2 * o.stunGather())
	defer enough.Stop()
	select {
	case <-gathered:
	case <-enough.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// take sets the remote description, which must contain a data channel.
func (p *peer) take(kind webrtc.SDPType, text string) error {
	description := webrtc.SessionDescription{Type: kind, SDP: text}
	parsed, err := description.Unmarshal()
	if err != nil {
		return fmt.Errorf("not a session description: %v", err)
	}
	if dataMedia(parsed) == nil {
		return errors.New("session description has no data channel")
	}
	if err := p.link.take(kind, text); err != nil {
		return fmt.Errorf("session description not usable: %v", err)
	}
	return nil
}

// connected waits until the message channel is open.
func (p *peer) connected(ctx context.Context) (channel, error) {
	select {
	case opened := <-p.messages:
		return opened, nil
	case <-p.broken:
		return nil, ErrLost
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
