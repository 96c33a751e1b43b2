// Package rtc connects two programs by one WebRTC data channel, which carries text
// messages in order and without loss.
//
// One side listens, the other dials:
//
//	l, err := rtc.Listen("127.0.0.1:0", nil)
//	conn, err := rtc.Dial(ctx, l.URL(), nil)   // in the other program
//	err = conn.Send(ctx, []byte(`{"event_type":"conversation.echo"}`))
//
// # On the wire
//
// The two programs set up the connection over HTTP, in the manner of WHIP (RFC 9725). The
// data then goes over UDP:
//
//	dialer                                    listener
//	POST /              application/sdp  ->   offer, with every ICE candidate
//	     <-  201 Created, application/sdp     answer, Location: /{session}
//	ICE, DTLS, SCTP                      <->  127.0.0.1 only, on one machine
//	data channel "echocast"              <->  messages: ordered, reliable, text
//	data channel "echocast.ping"         <->  "ping", answered by "pong"; "bye"
//	DELETE /{session}                    ->   the session is over
//
// The dialer opens both channels. A peer may open or answer only "echocast". Then only ICE
// detects that the peer is gone.
//
// On one machine, between two ends of this package, a message of speech is sent in one
// datagram instead of three. Each side states in its description how large datagrams may
// be. A side that states no size gets datagrams of 1.2 kB, which pass on every path.
//
// # On two machines
//
// The description holds the fingerprints of the certificates, so anyone who can change it
// in transit can listen in. Between machines the exchange uses HTTPS, and a key
// (Options.Key) decides who may connect:
//
//	l, err := rtc.Listen("0.0.0.0:8870", &rtc.Options{Key: key, TLS: withCertificate})
//	conn, err := rtc.Dial(ctx, "https://studio.example.org:8870", &rtc.Options{Key: key})
//
// The data goes over UDP between any of their addresses. If a router or a firewall is
// between them, Options.ICEServers names servers that tell the machines their addresses
// (STUN) or relay everything (TURN).
//
// # How a connection ends
//
// After Close every call on that side fails with net.ErrClosed. When the peer closes,
// Receive first delivers everything that the peer sent, and then fails with ErrPeerGone.
// When the peer falls silent or the connection breaks, Receive delivers what has arrived,
// and then fails with ErrLost. Send fails with the same errors at once.
//
// Close waits until the peer has acknowledged what was sent. It then sends "bye" on the
// ping channel and resets both channels (RFC 8831 section 6.7). Once the peer has reset its
// channels, Close deletes the session and aborts the association.
//
// # Goroutines
//
// A Conn runs two goroutines: one watches the connection, and one answers pings. A Listener
// runs its HTTP server, and one goroutine for each session that is not accepted yet. Close
// returns after all of these goroutines and pion's have ended.
package rtc

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"echocast/internal/redact"
	"echocast/logs"
)

// The labels of the two data channels.
const (
	messageLabel = "echocast"
	pingLabel    = "echocast.ping"
)

// Errors that end a connection, apart from net.ErrClosed, which follows its Close.
var (
	// ErrPeerGone reports that the peer closed the connection. If the peer is a Conn,
	// everything that it sent was received. A browser's close() may drop its last messages.
	ErrPeerGone = errors.New("the peer has closed the connection")

	// ErrLost reports that the peer fell silent, or that the connection broke. The last
	// messages of the peer may be missing.
	ErrLost = errors.New("connection lost")
)

// ErrTooLarge reports a message that is larger than its receiver accepts. In Send only that
// message fails. In Receive the connection ends.
var ErrTooLarge = errors.New("message too large")

// maxMessageLimit is SCTP's receive window in pion (1 MiB). A larger message could never
// arrive whole.
const maxMessageLimit = 1 << 20

// Options configure a connection. A nil *Options and every zero field mean the default,
// which suits speech: 20 to 40 messages of 3.4 kB a second.
type Options struct {
	// HighWater is how many bytes may wait for the peer's acknowledgement before Send
	// blocks. The default is 128 KiB. More does not make pion faster on loopback; it
	// only delays each message.
	HighWater int

	// LowWater is how many bytes may still wait when a blocked Send continues. The
	// default is a quarter of HighWater.
	LowWater int

	// MaxMessage is the largest message accepted from the peer, in bytes. It is announced
	// in the session description. The default is 256 KiB, as in Chromium, and the maximum
	// is 1 MiB.
	MaxMessage int

	// ConnectTimeout bounds the time from the offer to the open data channel.
	// The default is 10 s.
	ConnectTimeout time.Duration

	// CloseTimeout bounds how long Close waits for the peer to acknowledge what
	// was sent. Longer than 1 s, it also bounds the request with which Close ends the
	// session. The default is 1 s.
	CloseTimeout time.Duration

	// PingInterval is how long the peer may be silent before it is pinged, and the time
	// between two pings. The default is 1 s.
	PingInterval time.Duration

	// PingTimeout is how long the peer may be silent before the connection counts as lost.
	// It is rounded up to whole ping intervals. It does not apply to a peer that has never
	// answered a ping. The default is 3 s.
	PingTimeout time.Duration

	// BusyTimeout is how long Dial keeps trying while too many sessions wait at the
	// Listener. The default is ConnectTimeout.
	BusyTimeout time.Duration

	// Handler serves requests to a Listener for files in folders, which are not part of the
	// handshake. Like offers, the requests must come from this machine or its pages. They
	// need no Key. The default is to refuse them.
	Handler http.Handler

	// Backlog is how many sessions that are not yet accepted a Listener holds, whether
	// connected or not. One address may have half of them. Further offers are refused with
	// 503. The default is 64.
	Backlog int

	// Warn is called by a Listener with a warning for its owner, such as a wrong key
	// and its sender. The default is to say nothing.
	Warn func(text string)

	// Log records the progress of each connection: requests, ICE, DTLS, data channels,
	// and why it ended. The default for Dial is the logger of its context (package
	// logs); a Listener logs nothing by default.
	Log *slog.Logger

	// ICEServers are STUN and TURN servers. The default is none. If there are any, data may
	// leave this machine even if the address is on this machine.
	ICEServers []ICEServer

	// RelayOnly permits only paths through the TURN servers, so that the peer does not
	// learn this machine's addresses.
	RelayOnly bool

	// Key is a secret that Dial sends and a Listener demands. A Listener that other
	// machines can reach needs a key of at least 16 characters. A key consists of letters,
	// digits and -._~+/ and may end in =. No error contains it.
	Key string

	// TLS configures how Dial checks the server's certificate (by default as the system
	// does). In a Listener it holds the certificate, and the Listener then serves https. It
	// is not changed.
	TLS *tls.Config

	// Insecure permits a Listener that other machines can reach without a key or TLS. It
	// permits Dial to use no TLS if there is no key.
	Insecure bool

	// Sound makes Dial ask for the sound of the room, for Hear. A Listener sends sound to
	// every peer that asks. Without Sound there is no media.
	Sound bool

	// MuLaw makes a Listener send sound as G.711 mu-law at 8 kHz instead of Opus. Mu-law
	// needs no library.
	MuLaw bool

	// MaySend, if set, is called before each datagram of a peer connection is sent. If it
	// returns false, the datagram is dropped, even if it repeats earlier data.
	MaySend func() bool

	allowRemote bool // ICE uses all interfaces, not only the loopback one

	secrets *redact.Secrets // secrets that errors must not show

	// In tests: replaces the network below HTTP.
	network func(ctx context.Context, network, address string) (net.Conn, error)

	finish time.Duration // in tests: replaces maxFinish
	gather time.Duration // in tests: replaces stunGather

	ticks <-chan time.Time // in tests: replaces the ping ticker
}

// Check returns an error for invalid options, without connecting to anything.
func (o *Options) Check() error {
	_, err := o.withDefaults()
	return err
}

// withDefaults returns a copy of o with a value in every field, or an error about an
// invalid field.
func (o *Options) withDefaults() (*Options, error) {
	var full Options
	if o != nil {
		full = *o
	}
	full.HighWater = cmp.Or(max(full.HighWater, 0), 128<<10)
	full.LowWater = cmp.Or(max(full.LowWater, 0), full.HighWater/4)
	full.MaxMessage = cmp.Or(max(full.MaxMessage, 0), 256<<10)
	full.ConnectTimeout = cmp.Or(max(full.ConnectTimeout, 0), 10*time.Second)
	full.CloseTimeout = cmp.Or(max(full.CloseTimeout, 0), time.Second)
	full.PingInterval = cmp.Or(max(full.PingInterval, 0), time.Second)
	full.PingTimeout = cmp.Or(max(full.PingTimeout, 0), 3*time.Second)
	full.BusyTimeout = cmp.Or(max(full.BusyTimeout, 0), full.ConnectTimeout)
	full.Backlog = cmp.Or(max(full.Backlog, 0), 64)
	if full.Log == nil {
		full.Log = logs.From(context.Background())
	}
	full.secrets = redact.New(full.knownSecrets()...)
	if full.Warn == nil {
		full.Warn = func(string) {}
	}
	if full.LowWater > full.HighWater {
		return nil, fmt.Errorf("low water of %d bytes is above high water of %d", full.LowWater, full.HighWater)
	}
	if full.MaxMessage > maxMessageLimit {
		return nil, fmt.Errorf("a maximum message of %d bytes is beyond %d", full.MaxMessage, maxMessageLimit)
	}
	if err := full.checkReach(); err != nil {
		return nil, err
	}
	return &full, nil
}
