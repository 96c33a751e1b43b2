package rtc

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"echocast/internal/testwait"
)

func mustParse(t *testing.T, text string) *description {
	t.Helper()
	d, err := parseDescription(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Between two ends of this package a message is one datagram. A library that repeats unknown
// attributes in its answer gets small datagrams, which every path carries.
func TestLargeDatagramsAreNegotiated(t *testing.T) {
	from, to := pair(t, nil, nil)
	for _, c := range []*Conn{from, to} {
		link := c.peer.link.(*dataLink)
		if got := link.association.MTU(); got != largeDatagram {
			t.Errorf("a datagram has %d bytes, want %d", got, largeDatagram)
		}
		copied := *link.theirs
		copied.ufrag = link.own.ufrag // the line of the other side, in a description of ours
		text := strings.Replace(copied.String(), "a=ice-ufrag:"+copied.ufrag, "a=ice-ufrag:another", 1)
		if got := mustParse(t, text).datagram; got != 0 {
			t.Errorf("who copies the attribute takes %d bytes", got)
		}
	}
	for theirs, want := range map[int]uint32{0: usualDatagram, -1: usualDatagram, 100: usualDatagram,
		4000: 4000, 1 << 30: largeDatagram} {
		l := &dataLink{own: description{datagram: largeDatagram}, theirs: &description{datagram: theirs}}
		if got := l.datagram(); got != want {
			t.Errorf("the other side takes %d: %d, want %d", theirs, got, want)
		}
	}
}

// Datagrams to other machines are small, since the path's limit is unknown.
func TestSmallDatagramsToOtherMachines(t *testing.T) {
	options, err := (*Options)(nil).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for isRemote, want := range map[bool]int{false: largeDatagram, true: 0} {
		p, err := newDataPeer(options.forPeer(isRemote))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.link.(*dataLink).own.datagram; got != want {
			t.Errorf("remote %v: %d, want %d", isRemote, got, want)
		}
		p.close()
	}
}

func TestInvalidDescriptions(t *testing.T) {
	offer := makeOffer(t)
	for name, broken := range map[string]string{
		"no ICE credentials": strings.Replace(offer, "a=ice-pwd:", "a=x-pwd:", 1),
		"no fingerprint":     strings.Replace(offer, "a=fingerprint:", "a=x-fingerprint:", 1),
		"no data channel":    strings.Replace(offer, "m=application 9", "m=application 0", 1),
		"candidate":          strings.Replace(offer, "a=candidate:", "a=candidate:canary ", 1),
	} {
		if _, err := parseDescription(broken); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A limit that is larger than SCTP allows is reduced. A limit of 0 or no number means the
// default.
func TestLargestMessageOfADescription(t *testing.T) {
	sizes := regexp.MustCompile("a=max-message-size:.*\r\n")
	for line, want := range map[string]int{
		"":                              defaultMaxMessage,
		"a=max-message-size:":           defaultMaxMessage,
		"a=max-message-size:0":          defaultMaxMessage,
		"a=max-message-size:-1":         defaultMaxMessage,
		"a=max-message-size:1000":       1000,
		"a=max-message-size:1073741823": 1<<30 - 1, // Firefox
		"a=max-message-size:4294967296": math.MaxInt32,
	} {
		text := sizes.ReplaceAllLiteralString(makeOffer(t), strings.TrimLeft(line+"\r\n", "\r\n"))
		if got := mustParse(t, text).maxMessage; got != want {
			t.Errorf("%q: %d, want %d", line, got, want)
		}
	}
}

// A candidate of an unknown kind does not affect the others.
func TestUnknownCandidatesAreIgnored(t *testing.T) {
	offer := makeOffer(t)
	want := len(mustParse(t, offer).candidates)
	for _, unknown := range []string{"1 1 udp 1 192.0.2.1 9 typ satellite", "canary"} {
		got := mustParse(t, strings.Replace(offer, "a=candidate:", "a=candidate:"+unknown+"\r\na=candidate:", 1))
		if len(got.candidates) != want || want == 0 {
			t.Errorf("%q: %d candidates are left, want %d", unknown, len(got.candidates), want)
		}
	}
}

func TestCertificateMatchesFingerprint(t *testing.T) {
	certificate, digest, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	_, another, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		prints []string
		good   bool
	}{
		{"its own", []string{digest}, true},
		{"in small letters", []string{strings.ToLower(digest)}, true},
		{"one of two", []string{another, digest}, true},
		{"another's", []string{another}, false},
		{"by a hash that is not known", []string{"sha-3 " + strings.TrimPrefix(digest, "sha-256 ")}, false},
		{"no value", []string{"sha-256"}, false},
		{"none", nil, false},
	} {
		d := description{fingerprints: c.prints}
		if err := d.verify(certificate.Certificate, nil); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for name, chain := range map[string][][]byte{"no certificate": nil, "no X.509": {[]byte("canary")}} {
		if err := (&description{fingerprints: []string{digest}}).verify(chain, []([]*x509.Certificate){}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// If an attacker changes the description on its way, no connection is made: each side accepts
// only the certificate that the other has named.
func TestWrongFingerprintIsRefused(t *testing.T) {
	_, another, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]bool{"of the offer": {true, false}, "of the answer": {false, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := listen(t, nil)
			server := httptest.NewServer(changingPrints(t, l.URL(), another, change[0], change[1]))
			defer server.Close()
			if _, err := Dial(testwait.Context(t), server.URL, &Options{ConnectTimeout: 2 * time.Second}); err == nil {
				t.Fatal("a connection was made")
			}
		})
	}
}

// changingPrints passes a listener's exchange on with another fingerprint.
func changingPrints(t *testing.T, to, digest string, inOffer, inAnswer bool) http.Handler {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: target.Scheme, Host: target.Host})
			if inOffer {
				r.Out.Body, r.Out.ContentLength = withPrint(t, r.In.Body, digest)
			}
		},
		ModifyResponse: func(r *http.Response) error {
			if inAnswer {
				r.Body, r.ContentLength = withPrint(t, r.Body, digest)
				r.Header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
			}
			return nil
		},
	}
}

// withPrint is a session description with another fingerprint.
func withPrint(t *testing.T, body io.ReadCloser, digest string) (io.ReadCloser, int64) {
	t.Helper()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Error(err)
	}
	var changed bytes.Buffer
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "a=fingerprint:") {
			line = "a=fingerprint:" + digest + "\r\n"
		}
		changed.WriteString(line)
	}
	return io.NopCloser(&changed), int64(changed.Len())
}

// If the peer has ended the association, our side sends no abort: pion would wait 0.4 s to
// send it.
func TestPeerThatEndedIsNotAborted(t *testing.T) {
	from, to := pair(t, nil, nil)
	from.peer.close() // sends no bye
	link := to.peer.link.(*dataLink)
	link.running.Wait()
	if !link.isEnded {
		t.Error("the association is held for one that lives")
	}
	if _, err := to.Receive(testwait.Context(t)); !errors.Is(err, ErrPeerGone) && !errors.Is(err, ErrLost) {
		t.Error(err)
	}
}
