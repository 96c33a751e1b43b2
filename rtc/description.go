package rtc

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/pion/dtls/v3/pkg/crypto/fingerprint"
	"github.com/pion/ice/v4"
	"github.com/pion/sdp/v3"
)

// The attributes of a description that this package reads and writes. The last one is
// defined by this package. It states how many bytes of SCTP this side takes in a datagram,
// followed by its ICE user name. Other peers ignore it, or copy it unchanged into their
// answer. In a copy the user name is not that of the answering side, so the value does not
// count.
const (
	attrMid         = "mid"
	attrUfrag       = "ice-ufrag"
	attrPassword    = "ice-pwd"
	attrLite        = "ice-lite"
	attrFingerprint = "fingerprint"
	attrSetup       = "setup"
	attrCandidate   = "candidate"
	attrMaxMessage  = "max-message-size"
	attrDatagram    = "echocast-datagram"
)

// Defaults for a side that states no values: RFC 8841 section 6, RFC 8842 section 5.
const (
	defaultMaxMessage = 64 << 10
	setupActive       = "active"  // begins the DTLS handshake
	setupPassive      = "passive" // waits for it
	setupEither       = "actpass"
)

// description is what one side of a data link states in a session description (RFC 8866):
// how to reach it (ICE, RFC 8839), the fingerprint of its certificate (RFC 8122), and what
// its SCTP accepts (RFC 8841).
type description struct {
	mid, ufrag, password string
	isLite               bool
	fingerprints         []string // "sha-256 AB:CD:…"
	setup                string
	candidates           []ice.Candidate
	maxMessage           int // bytes
	datagram             int // bytes; 0: the default size
}

// String returns the session description as text.
func (d *description) String() string {
	var b strings.Builder
	line := func(format string, values ...any) { fmt.Fprintf(&b, format+"\r\n", values...) }
	line("v=0")
	line("o=- %d 2 IN IP4 0.0.0.0", rand.Int64())
	line("s=-")
	line("t=0 0")
	line("a=group:BUNDLE %s", d.mid)
	line("m=application 9 UDP/DTLS/SCTP webrtc-datachannel")
	line("c=IN IP4 0.0.0.0")
	line("a=%s:%s", attrMid, d.mid)
	line("a=sendrecv")
	line("a=%s:%s", attrUfrag, d.ufrag)
	line("a=%s:%s", attrPassword, d.password)
	for _, digest := range d.fingerprints {
		line("a=%s:%s", attrFingerprint, digest)
	}
	line("a=%s:%s", attrSetup, d.setup)
	line("a=sctp-port:5000")
	line("a=%s:%d", attrMaxMessage, d.maxMessage)
	if d.datagram > 0 {
		line("a=%s:%d %s", attrDatagram, d.datagram, d.ufrag)
	}
	for _, candidate := range d.candidates {
		line("a=%s:%s", attrCandidate, candidate.Marshal())
	}
	line("a=end-of-candidates")
	return b.String()
}

// parseDescription reads the other side's description of its data channel.
func parseDescription(text string) (*description, error) {
	var session sdp.SessionDescription
	if err := session.UnmarshalString(text); err != nil {
		return nil, err
	}
	media := dataMedia(&session)
	if media == nil {
		return nil, errors.New("no data channel")
	}
	get := func(key string) string {
		value, found := media.Attribute(key)
		if !found {
			value, _ = session.Attribute(key)
		}
		return strings.TrimSpace(value)
	}
	d := &description{mid: get(attrMid), ufrag: get(attrUfrag), password: get(attrPassword), setup: get(attrSetup)}
	_, d.isLite = session.Attribute(attrLite)
	size, _ := strconv.ParseInt(get(attrMaxMessage), 10, 32) // SCTP takes no larger message
	d.maxMessage = cmp.Or(max(int(size), 0), defaultMaxMessage)
	if bytes, ufrag, _ := strings.Cut(get(attrDatagram), " "); ufrag == d.ufrag {
		d.datagram, _ = strconv.Atoi(bytes)
	}
	var badCandidate error
	for _, attribute := range append(session.Attributes, media.Attributes...) {
		switch attribute.Key {
		case attrFingerprint:
			d.fingerprints = append(d.fingerprints, strings.TrimSpace(attribute.Value))
		case attrCandidate:
			candidate, err := ice.UnmarshalCandidate(attribute.Value)
			if err != nil {
				badCandidate = fmt.Errorf("candidate %q: %v", attribute.Value, err)
				continue // RFC 8839 section 5.1: ignore a kind of candidate that you do not know
			}
			d.candidates = append(d.candidates, candidate)
		}
	}
	if len(d.candidates) == 0 && badCandidate != nil {
		return nil, badCandidate
	}
	return d, d.check()
}

// dataMedia returns the first section of a description with a data channel, or nil.
func dataMedia(session *sdp.SessionDescription) *sdp.MediaDescription {
	for _, media := range session.MediaDescriptions {
		if media.MediaName.Media == "application" && media.MediaName.Port.Value != 0 {
			return media
		}
	}
	return nil
}

// check returns an error if something is missing that a link needs.
func (d *description) check() error {
	switch {
	case d.ufrag == "" || d.password == "":
		return errors.New("no ICE credentials")
	case len(d.fingerprints) == 0:
		return errors.New("no fingerprint of a certificate")
	}
	return nil
}

// verify checks the certificate of the other side's DTLS against its fingerprints.
func (d *description) verify(chain [][]byte, _ [][]*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("the peer shows no certificate")
	}
	certificate, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return err
	}
	for _, digest := range d.fingerprints {
		algorithm, want, _ := strings.Cut(digest, " ")
		hash, err := fingerprint.HashFromString(algorithm)
		if err != nil {
			continue // an unknown hash function is no match
		}
		got, err := fingerprint.Fingerprint(certificate, hash)
		if err == nil && strings.EqualFold(got, strings.TrimSpace(want)) {
			return nil
		}
	}
	return errors.New("the peer's certificate is not the one of its description")
}
