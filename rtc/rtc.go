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
// The two agree over HTTP, in the manner of WHIP (RFC 9725), and then talk over
// UDP:
//
//	dialer                                    listener
//	POST /              application/sdp  ->   offer, with every ICE candidate
//	     <-  201 Created, application/sdp     answer, Location: /{session}
//	ICE, DTLS, SCTP                      <->  127.0.0.1 only, on one machine
//	data channel "echocast"              <->  messages: ordered, reliable, text
//	data channel "echocast.ping"         <->  "ping", answered by "pong"; "bye"
//	DELETE /{session}                    ->   the session is over
//
// The dialer opens both channels. A peer may open or answer only "echocast"; then only
// ICE notices that it is gone.
//
// On one machine, between two ends of this package, a message of speech is one
// datagram in place of three: each side says in its description how large they may
// be. Whoever does not say so gets those of 1.2 kB that every path lets through.
//
// # On two machines
//
// The description holds the fingerprints of the certificates, so whoever can
// change it in transit can listen in. Between machines the exchange is HTTPS, and
// a key (Options.Key) says who may connect:
//
//	l, err := rtc.Listen("0.0.0.0:8870", &rtc.Options{Key: key, TLS: withCertificate})
//	conn, err := rtc.Dial(ctx, "https://studio.example.org:8870", &rtc.Options{Key: key})
//
// The data goes over UDP between any of their addresses. Where a router or a
// firewall is between them, Options.ICEServers names servers that tell the
// machines their addresses (STUN) or pass everything on (TURN).
//
// # How a connection ends
//
// After Close every call on that side fails with net.ErrClosed. When the peer
// closes, Receive first delivers all that the peer sent and then fails with
// ErrPeerGone. When the peer falls silent or the connection breaks, Receive
// delivers what had arrived and then fails with ErrLost. Send fails with the same
// errors, at once.
//
// Close waits until the peer has acknowledged what was sent, sends "bye" on the ping
// channel and resets both channels (RFC 8831 section 6.7). Once the peer has reset
// its own, Close deletes the session and aborts the association.
//
// # Goroutines
//
// A Conn runs two: one watches the connection, one answers pings. A Listener runs
// its HTTP server, and one for each session until that is accepted. Close, of
// either, returns after all of them and pion's have ended.
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

// Errors of a connection that ended other than by its own Close (net.ErrClosed).
var (
	// ErrPeerGone reports that the peer closed the connection. Everything that a Conn
	// sent has then been received; a browser's close() may drop its last messages.
	ErrPeerGone = errors.New("the peer has closed the connection")

	// ErrLost reports that the peer fell silent, or that the connection broke. The last
	// messages of the peer may be missing.
	ErrLost = errors.New("connection lost")
)

// ErrTooLarge reports a message that is larger than its receiver accepts. On Send only
// that message fails, on Receive the connection ends.
var ErrTooLarge = errors.New("message too large")

// maxMessageLimit is SCTP's receive window in pion (1 MiB): a message beyond
// it could never arrive whole.
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

	// MaxMessage is the largest message taken from the peer, in bytes; it is
	// announced in the session description. The default is 256 KiB, as in
	// Chromium; 1 MiB is the most.
	MaxMessage int

	// ConnectTimeout bounds the time from the offer to the open data channel.
	// The default is 10 s.
	ConnectTimeout time.Duration

	// CloseTimeout bounds how long Close waits for the peer to acknowledge what
	// was sent. The default is 1 s.
	CloseTimeout time.Duration

	// PingInterval is the silence of the peer after which it is pinged, and
	// the time between two pings. The default is 1 s.
	PingInterval time.Duration

	// PingTimeout is how long the peer may be silent before the connection is
	// lost, rounded up to whole ping intervals. A peer that has never
	// answered a ping is not lost for its silence. The default is 3 s.
	PingTimeout time.Duration

	// BusyTimeout is how long Dial tries again while the Listener has too many
	// sessions that wait. The default is ConnectTimeout.
	BusyTimeout time.Duration

	// Handler serves requests to a Listener for files in folders, which are not part of
	// the handshake. They must come from this machine or its pages, as offers must, and
	// need no Key. The default is to refuse them.
	Handler http.Handler

	// Backlog is how many sessions a Listener holds that are not yet accepted,
	// connected or not; an address may have half of them. One more is refused
	// with 503. The default is 64.
	Backlog int

	// Warn is called by a Listener with a warning for its owner, such as a wrong key
	// and its sender. The default is to say nothing.
	Warn func(text string)

	// Log records the progress of each connection: requests, ICE, DTLS, data channels,
	// and why it ended. The default for Dial is the logger of its context (package
	// logs); a Listener logs nothing by default.
	Log *slog.Logger

	// ICEServers are STUN and TURN servers. The default is none. With any, data leaves
	// this machine even if the address is on it.
	ICEServers []ICEServer

	// RelayOnly uses the TURN servers only, so that the peer does not learn
	// this machine's addresses.
	RelayOnly bool

	// Key is a secret that Dial sends and a Listener demands. Beyond this machine a
	// Listener needs one of at least 16 characters. It consists of letters, digits and
	// -._~+/ with = at its end, and is never in an error.
	Key string

	// TLS is how Dial checks the server's certificate (the default is the
	// system's way), and the certificate of a Listener, which then serves
	// https. It is not changed.
	TLS *tls.Config

	// Insecure permits a Listener beyond this machine without a key or TLS, and Dial
	// without TLS if there is no key.
	Insecure bool

	// Sound makes Dial ask for the sound of the room, for Hear. A Listener sends it to
	// whoever asks. Without it there is no media at all.
	Sound bool

	// MuLaw makes a Listener send sound as G.711 mu-law at 8 kHz, which needs no
	// library, in place of Opus.
	MuLaw bool

	// MaySend, if it is set, is asked before each datagram of a peer connection. Where it
	// says no, the datagram is dropped, also one that repeats what was sent before.
	MaySend func() bool

	allowRemote bool // ICE uses all interfaces, not only the loopback one

	secrets *redact.Secrets // what no error may show

	// in tests: takes the place of the network below HTTP
	network func(ctx context.Context, network, address string) (net.Conn, error)

	finish time.Duration // in tests: takes the place of maxFinish

	ticks <-chan time.Time // in tests: takes the place of the ping ticker
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
