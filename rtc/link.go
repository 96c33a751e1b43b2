package rtc

import (
	"cmp"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/fingerprint"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/ice/v4"
	"github.com/pion/sctp"
	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"
)

// The size of SCTP packets in bytes. The smaller one passes on every path, and browsers use
// it. On one machine, if both ends announce the larger one, a message travels in one
// datagram. Three datagrams would cost nearly twice as much. pion reads datagrams of at
// most 8192 bytes, and DTLS adds less than a hundred.
const (
	usualDatagram = 1191
	largeDatagram = 8000
)

// dataLink is a connection for data only: ICE, DTLS and SCTP. It omits the media parts of
// pion's peer connection, which has twice the goroutines, keys for media, and one fixed
// datagram size.
type dataLink struct {
	peer        *peer
	options     *Options
	mux         ice.UDPMux // nil unless the machine has only ::1
	agent       *ice.Agent
	certificate tls.Certificate
	own         description
	gathered    chan struct{} // closed when own has all candidates
	theirs      *description  // nil until take is called
	isOfferer   bool
	toOpen      []channelRequest

	running sync.WaitGroup     // run
	ctx     context.Context    //nolint:containedctx // of run, which outlives the call that starts it
	stop    context.CancelFunc // ends run

	mu            sync.Mutex // guards what follows
	isClosing     bool
	closedByPeer  bool
	secured       *dtls.Conn        // nil until the handshake is done
	association   *sctp.Association // nil until it is established
	isEnded       bool              // the association
	pathConnected bool
}

// channelRequest is a data channel to open once the connection is established.
type channelRequest struct {
	label string
	to    chan<- channel
}

// newDataPeer makes a peer with a dataLink.
func newDataPeer(o *Options) (*peer, error) {
	certificate, digest, err := newCertificate()
	if err != nil {
		return nil, fmt.Errorf("no certificate: %v", err)
	}
	mux, err := openIPv6Mux(o)
	if err != nil {
		return nil, fmt.Errorf("no socket: %v", err)
	}
	agent, err := newAgent(o, mux)
	if err != nil {
		closeMux(mux)
		return nil, fmt.Errorf("no ICE agent: %v", err)
	}
	l := &dataLink{options: o, mux: mux, agent: agent, certificate: certificate, gathered: make(chan struct{})}
	l.own = description{mid: "0", fingerprints: []string{digest}, setup: setupEither, maxMessage: o.MaxMessage}
	if !o.allowRemote {
		l.own.datagram = largeDatagram
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.peer = o.newPeer(l)
	return l.peer, nil
}

// newCertificate makes a certificate for one connection, so that it does not identify
// this machine in others.
func newCertificate() (certificate tls.Certificate, digest string, err error) {
	if certificate, err = selfsign.GenerateSelfSigned(); err != nil {
		return certificate, "", err
	}
	parsed, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		return certificate, "", err
	}
	digest, err = fingerprint.Fingerprint(parsed, crypto.SHA256)
	return certificate, "sha-256 " + digest, err
}

// newAgent returns an ICE agent with the same network settings as newAPI.
func newAgent(o *Options, mux ice.UDPMux) (*ice.Agent, error) {
	options := []ice.AgentOption{
		ice.WithLoggerFactory(pionLog{o.Log}),
		ice.WithIncludeLoopback(),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithDisconnectedTimeout(iceDisconnected),
		ice.WithFailedTimeout(o.iceFailed()),
		ice.WithKeepaliveInterval(iceKeepalive),
		ice.WithMaxBindingRequests(iceRequests),
	}
	if mux != nil {
		options = append(options, ice.WithUDPMux(mux))
	}
	if o.RelayOnly {
		options = append(options, ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeRelay}))
	}
	network, err := o.packetNet()
	if err != nil {
		return nil, err
	}
	if network != nil {
		options = append(options, ice.WithNet(network))
	}
	if !o.allowRemote {
		return ice.NewAgentWithOptions(append(options,
			ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkType(loopbackNetwork())}),
			ice.WithIPFilter(net.IP.IsLoopback), ice.WithRemoteIPFilter(net.IP.IsLoopback))...)
	}
	servers, err := o.iceURLs()
	if err != nil {
		return nil, err
	}
	return ice.NewAgentWithOptions(append(options, ice.WithUrls(servers), ice.WithSTUNGatherTimeout(o.stunGather()),
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}))...)
}

// iceURLs returns the STUN and TURN servers.
func (o *Options) iceURLs() (servers []*stun.URI, err error) {
	for _, server := range o.ICEServers {
		uri, err := stun.ParseURI(server.URL)
		if err != nil {
			return nil, err
		}
		uri.Username, uri.Password = server.Username, server.Credential
		servers = append(servers, uri)
	}
	return servers, nil
}

func (l *dataLink) open(label string, to chan<- channel) error {
	l.toOpen = append(l.toOpen, channelRequest{label, to})
	return nil
}

func (l *dataLink) offer(ctx context.Context) (string, error) {
	l.isOfferer = true
	return l.describe(ctx)
}

// answer describes this end and starts to connect.
func (l *dataLink) answer(ctx context.Context) (string, error) {
	l.own.mid = cmp.Or(l.theirs.mid, l.own.mid)
	l.own.setup = setupActive
	if l.theirs.setup == setupActive {
		l.own.setup = setupPassive
	}
	text, err := l.describe(ctx)
	if err == nil {
		l.running.Go(l.run)
	}
	return text, err
}

// describe waits for this side's candidates and returns its description.
func (l *dataLink) describe(ctx context.Context) (string, error) {
	var candidates []ice.Candidate
	var mu sync.Mutex
	if err := l.watchICE(func(c ice.Candidate) {
		mu.Lock()
		defer mu.Unlock()
		candidates = append(candidates, c)
	}); err != nil {
		return "", fmt.Errorf("no ICE: %v", err)
	}
	if err := l.options.waitGathered(ctx, l.gathered); err != nil {
		return "", err
	}
	mu.Lock()
	defer mu.Unlock()
	l.own.candidates = candidates
	return l.own.String(), nil
}

// watchICE gathers candidates and watches the state of ICE.
func (l *dataLink) watchICE(found func(ice.Candidate)) error {
	err := l.agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(l.gathered)
			return
		}
		l.options.Log.Info("ICE candidate of this side", "candidate", address(c))
		found(c)
	})
	if err != nil {
		return err
	}
	if err := l.agent.OnConnectionStateChange(l.onICE); err != nil {
		return err
	}
	if l.own.ufrag, l.own.password, err = l.agent.GetLocalUserCredentials(); err != nil {
		return err
	}
	return l.agent.GatherCandidates()
}

func (l *dataLink) onICE(state ice.ConnectionState) {
	l.options.Log.Info("ICE", "state", strings.ToLower(state.String()))
	l.mu.Lock()
	l.pathConnected = state == ice.ConnectionStateConnected || state == ice.ConnectionStateCompleted
	l.mu.Unlock()
	switch state {
	case ice.ConnectionStateConnected:
		if pair, err := l.agent.GetSelectedCandidatePair(); err == nil && pair != nil {
			l.options.Log.Info("ICE path", "here", address(pair.Local), "there", address(pair.Remote))
		}
	case ice.ConnectionStateFailed:
		l.peer.markBroken()
	}
}

// take sets the description of the other side. An answer starts connecting.
func (l *dataLink) take(_ webrtc.SDPType, text string) error {
	theirs, err := parseDescription(text)
	if err != nil {
		return err
	}
	l.theirs = theirs
	if l.isOfferer {
		l.running.Go(l.run)
	}
	return nil
}

// run connects, and accepts the other side's data channels until the link ends.
func (l *dataLink) run() {
	secured, association, err := l.connect()
	if err != nil {
		l.options.Log.Info("connection", "state", "failed", "error", withoutPointers(err.Error()))
		l.peer.markBroken()
		return
	}
	l.options.Log.Info("connection", "state", "connected")
	l.openChannels(association)
	l.acceptChannels(association)
	l.readAfterEnd(secured)
}

// connect finds a path, performs the DTLS handshake, and establishes the SCTP
// association.
func (l *dataLink) connect() (*dtls.Conn, *sctp.Association, error) {
	path, err := l.findPath()
	if err != nil {
		return nil, nil, err
	}
	secured, err := l.secure(path)
	if err != nil {
		l.options.Log.Info("DTLS", "state", "failed")
		return nil, nil, err
	}
	if !l.hold(func() { l.secured = secured }) {
		_ = secured.Close()
		return nil, nil, net.ErrClosed
	}
	association, err := sctp.ClientContext(l.ctx, sctp.WithNetConn(secured),
		sctp.WithLoggerFactory(pionLog{l.options.Log}), sctp.WithMTU(l.datagram()),
		sctp.WithMaxMessageSize(uint32(l.theirs.maxMessage)),
		sctp.WithRTOMax(float64(maxRetransmit/time.Millisecond)), sctp.WithEnableZeroChecksum(true))
	if err != nil {
		return nil, nil, err
	}
	if !l.hold(func() { l.association = association }) {
		association.Abort("")
		return nil, nil, net.ErrClosed
	}
	return secured, association, nil
}

// hold registers a resource for close. It reports false if close was already called.
func (l *dataLink) hold(keep func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isClosing {
		keep()
	}
	return !l.isClosing
}

// datagram returns the size of SCTP packets that both sides accept.
func (l *dataLink) datagram() uint32 {
	both := min(l.own.datagram, l.theirs.datagram, largeDatagram)
	return uint32(max(both, usualDatagram))
}

// findPath waits until ICE has found a path to the other side.
func (l *dataLink) findPath() (*ice.Conn, error) {
	for _, candidate := range l.theirs.candidates {
		if err := l.agent.AddRemoteCandidate(candidate); err != nil {
			return nil, err
		}
	}
	start := l.agent.StartAccept
	if l.isOfferer || l.theirs.isLite {
		start = l.agent.StartDial
	}
	path, err := start(l.theirs.ufrag, l.theirs.password)
	if err != nil {
		return nil, err
	}
	return path, l.agent.AwaitConnect(l.ctx)
}

// secure performs the DTLS handshake. ICE has already verified the address of the other
// side, so there is no cookie exchange.
func (l *dataLink) secure(path *ice.Conn) (*dtls.Conn, error) {
	l.options.Log.Info("DTLS", "state", "connecting")
	shared := []dtls.Option{dtls.WithCertificates(l.certificate), dtls.WithInsecureSkipVerify(true),
		dtls.WithVerifyPeerCertificate(l.theirs.verify), dtls.WithLoggerFactory(pionLog{l.options.Log}),
		dtls.WithSRTPProtectionProfiles(mediaProfiles...)}
	to := path.RemoteAddr()
	var secured *dtls.Conn
	var err error
	if l.isClient() {
		secured, err = dtls.ClientWithOptions(packets{path, to}, to, options[dtls.ClientOption](shared)...)
	} else {
		secured, err = dtls.ServerWithOptions(packets{path, to}, to, append(options[dtls.ServerOption](shared),
			dtls.WithClientAuth(dtls.RequireAnyClientCert), dtls.WithInsecureSkipVerifyHello(true))...)
	}
	if err != nil {
		return nil, err
	}
	if err := secured.HandshakeContext(l.ctx); err != nil {
		_ = secured.Close()
		return nil, err
	}
	l.options.Log.Info("DTLS", "state", "connected")
	return secured, nil
}

// mediaProfiles are negotiated although there is no media, because other libraries abort a
// handshake without them.
var mediaProfiles = []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80}

// isClient reports whether this side begins the DTLS handshake.
func (l *dataLink) isClient() bool {
	if l.isOfferer {
		return l.theirs.setup == setupPassive
	}
	return l.own.setup == setupActive
}

// options converts options that both DTLS sides share to options of one side.
func options[O any](shared []dtls.Option) []O {
	own := make([]O, len(shared))
	for i, option := range shared {
		own[i] = option.(O)
	}
	return own
}

// packets adapts a path to the interface of DTLS.
type packets struct {
	*ice.Conn
	to net.Addr
}

func (p packets) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.Read(b)
	return n, p.to, err
}

func (p packets) WriteTo(b []byte, _ net.Addr) (int, error) { return p.Write(b) }

// openChannels opens the data channels of this side. The DTLS client uses even stream
// numbers (RFC 8832 section 6).
func (l *dataLink) openChannels(association *sctp.Association) {
	id := uint16(1)
	if l.isClient() {
		id = 0
	}
	for _, o := range l.toOpen {
		opened, err := datachannel.Dial(association, id, &datachannel.Config{Label: o.label,
			LoggerFactory: pionLog{l.options.Log}})
		if err != nil {
			return
		}
		l.peer.handOver(opened, o.to)
		id += 2
	}
}

// acceptChannels accepts the data channels of the other side, until the association
// ends.
func (l *dataLink) acceptChannels(association *sctp.Association) {
	for {
		stream, err := association.AcceptStream()
		if err != nil {
			break
		}
		stream.SetDefaultPayloadType(sctp.PayloadTypeWebRTCBinary)
		opened, err := datachannel.Server(stream, &datachannel.Config{LoggerFactory: pionLog{l.options.Log}})
		if err != nil {
			l.options.Log.Info("data channel refused", "error", err)
			continue
		}
		if to := l.peer.slot(opened.Label, opened.ChannelType == datachannel.ChannelTypeReliable); to != nil {
			l.peer.handOver(opened, to)
		} else {
			_ = opened.Close()
		}
	}
	l.mu.Lock()
	l.isEnded = true
	l.mu.Unlock()
}

// readAfterEnd reads from DTLS after the association has ended, until the other side ends
// DTLS too. Nothing else reads at that point.
func (l *dataLink) readAfterEnd(secured *dtls.Conn) {
	var err error
	for buffer := make([]byte, largeDatagram); err == nil; {
		_, err = secured.Read(buffer)
	}
	l.mu.Lock()
	l.closedByPeer = !l.isClosing && errors.Is(err, io.EOF)
	l.mu.Unlock()
	l.options.Log.Info("DTLS", "state", "closed")
	l.peer.markBroken()
}

func (l *dataLink) hasPath() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pathConnected
}

func (l *dataLink) isClosedByPeer() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closedByPeer
}

func (l *dataLink) received() uint64 { return l.association.BytesReceived() }

func (l *dataLink) maxMessage() int { return l.theirs.maxMessage }

// close aborts the association unless the other side has ended it. pion would wait
// 0.4 s for an abort that it can no longer send.
func (l *dataLink) close() {
	l.mu.Lock()
	l.isClosing = true
	secured, association, isEnded := l.secured, l.association, l.isEnded
	l.mu.Unlock()
	l.stop()
	if association != nil && !isEnded {
		association.Abort("")
	}
	if secured != nil {
		_ = secured.Close()
	}
	_ = l.agent.GracefulClose()
	l.running.Wait()
	closeMux(l.mux)
}
