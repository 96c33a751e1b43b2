package rtc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"

	"echocast/internal/testwait"
	"echocast/rtc/rtctest"
)

// roomKey is a key that must appear only in the request's header.
const roomKey = "canary-6b1f/0123456789=="

// certificate is one for these names, and what trusts it.
func certificate(t *testing.T, names ...string) (server, client *tls.Config) {
	t.Helper()
	text, key, err := rtctest.Certificate(names...)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(text, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return &tls.Config{Certificates: []tls.Certificate{pair}}, &tls.Config{RootCAs: roots}
}

// talk connects to l and says a word each way.
func talk(t *testing.T, address string, l *Listener, o *Options) (dialer, accepted *Conn) {
	t.Helper()
	dialer, err := Dial(testwait.Context(t), address, patient(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dialer.Close() })
	accepted, err = l.Accept(testwait.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = accepted.Close() })
	mustSend(t, dialer, []byte("there"))
	mustReceive(t, accepted, []byte("there"))
	mustSend(t, accepted, []byte("and back"))
	mustReceive(t, dialer, []byte("and back"))
	return dialer, accepted
}

func TestKeyAndTLS(t *testing.T) {
	serving, trusting := certificate(t)
	l := listen(t, &Options{Key: roomKey, TLS: serving})
	if !strings.HasPrefix(l.URL(), "https://127.0.0.1:") {
		t.Fatal(l.URL())
	}
	dialer, _ := talk(t, l.URL(), l, &Options{Key: roomKey, TLS: trusting})
	if err := dialer.Close(); err != nil {
		t.Error(err)
	}
	l.mu.Lock()
	if len(l.sessions) > 0 {
		t.Error("the session was not deleted: the DELETE has no key?")
	}
	l.mu.Unlock()
	for _, key := range []string{"", "x", roomKey[1:], roomKey + "=", strings.ToUpper(roomKey)} {
		_, err := Dial(testwait.Context(t), l.URL(), &Options{Key: key, TLS: trusting})
		if !errors.Is(err, ErrKey) || strings.Contains(err.Error(), "6b1f") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", key, err)
		}
	}
	_, err := Dial(testwait.Context(t), l.URL(), &Options{Key: roomKey})
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); !untrusted {
		t.Errorf("a certificate that nobody trusts: %v", err)
	}
	if _, err := Dial(testwait.Context(t), "http"+strings.TrimPrefix(l.URL(), "https"),
		&Options{Key: roomKey}); err == nil {
		t.Error("http to https")
	}
}

// Without the key nothing is done: no body is read, and no session begins.
func TestRequestsWithoutKeyAreRefused(t *testing.T) {
	l := listen(t, &Options{Key: roomKey})
	for name, authorization := range map[string][]string{
		"none": nil, "another": {"Bearer x"}, "another scheme": {"Basic " + roomKey}, "bare": {roomKey},
		"in another case": {"bearer " + roomKey}, "the second": {"Bearer x", "Bearer " + roomKey},
		"more": {"Bearer " + roomKey + " "},
	} {
		for _, method := range []string{"POST", "DELETE", "GET"} {
			response, body := request(t, method, l.URL(), makeOffer(t),
				func(r *http.Request) { r.Header["Authorization"] = authorization })
			switch {
			case name == "more" && response.StatusCode != http.StatusUnauthorized: // net/http trims it
			case response.StatusCode != http.StatusUnauthorized || response.Header.Get("WWW-Authenticate") != "Bearer" ||
				strings.Contains(body, "6b1f"):
				t.Errorf("%s, %s: %s: %s", name, method, response.Status, body)
			}
		}
	}
}

// If a server sends back what it was sent, errors do not show the key.
func TestKeyInNoError(t *testing.T) {
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+roomKey {
			t.Error("it was not sent the key")
		}
		said := r.Header.Get("Authorization")
		switch r.URL.Path {
		case "/type":
			w.Header().Set("Content-Type", said)
			w.WriteHeader(201)
		case "/sdp":
			w.Header().Set("Content-Type", sdpType)
			w.WriteHeader(201)
			_, _ = io.WriteString(w, said)
		default:
			w.WriteHeader(500)
			_, _ = io.WriteString(w, said)
		}
	}))
	defer mirror.Close()
	for _, path := range []string{"", "/type", "/sdp"} {
		_, err := Dial(testwait.Context(t), mirror.URL+path, &Options{Key: roomKey})
		if err == nil || strings.Contains(err.Error(), "6b1f") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A listener or an address that would be open to everybody, or readable by others, is refused
// before anything is bound or sent.
func TestUnsafeOptionsAreRefused(t *testing.T) {
	serving, _ := certificate(t)
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:80", "studio.test:80"} {
		for name, o := range map[string]*Options{
			"nothing": nil, "only a key": {Key: roomKey}, "only TLS": {TLS: serving},
			"a short key":               {Key: "short", TLS: serving},
			"TLS without a certificate": {Key: roomKey, TLS: &tls.Config{}},
			"a short key, insecure":     {Key: "short", Insecure: true},
		} {
			if l, err := Listen(address, o); !errors.Is(err, ErrUnsafe) {
				t.Errorf("Listen(%q) with %s: %v", address, name, err)
				if err == nil {
					_ = l.Close()
				}
			}
		}
	}
	for _, address := range []string{"127.0.0.1", "", "127.0.0.1:0:0"} {
		if _, err := Listen(address, nil); err == nil || !strings.Contains(err.Error(), "not an address such as") {
			t.Errorf("Listen(%q): %v", address, err)
		}
	}
	// Nobody is asked at 192.0.2.0/24, which is for documentation.
	refuse := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") }
	for name, c := range map[string]struct {
		address string
		options Options
		unsafe  bool
	}{
		"http":                    {"http://192.0.2.1/", Options{}, true},
		"http with a key":         {"http://192.0.2.1/", Options{Key: roomKey}, true},
		"insecure http, key":      {"http://192.0.2.1/", Options{Key: roomKey, Insecure: true}, true},
		"insecure http":           {"http://192.0.2.1/", Options{Insecure: true}, false},
		"https":                   {"https://192.0.2.1/", Options{}, false},
		"https with a key":        {"https://192.0.2.1/", Options{Key: roomKey}, false},
		"http here with a key":    {"http://127.0.0.1/", Options{Key: roomKey}, false},
		"http to a name like one": {"http://localhost.test/", Options{Key: roomKey}, true},
	} {
		c.options.network = refuse
		if _, err := Dial(testwait.Context(t), c.address, &c.options); err == nil || errors.Is(err, ErrUnsafe) != c.unsafe {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReachOptions(t *testing.T) {
	for want, o := range map[string]*Options{
		"the room key has a character": {Key: "two words"},
		"must be stun:HOST, turn:HOST": {ICEServers: []ICEServer{{URL: "http://stun.test"}}},
		`"turn:…@turn.test"`: {ICEServers: []ICEServer{{URL: "turn:me:canary@turn.test",
			Username: "me", Credential: "canary"}}},
		"turn:turn.test needs a user name": {ICEServers: []ICEServer{{URL: "turn:turn.test",
			Credential: "canary"}}},
		"turns:turn.test:443 needs a user name": {ICEServers: []ICEServer{{URL: "turns:turn.test:443",
			Username: "canary"}}},
		"there is no TURN server": {ICEServers: []ICEServer{{URL: "stun:stun.test:3478"}},
			RelayOnly: true},
		"only relays are allowed, and there is no TURN server": {RelayOnly: true},
	} {
		for name, err := range map[string]error{"Dial": second(Dial(testwait.Context(t), "http://127.0.0.1:1/", o)),
			"Listen": second(Listen("127.0.0.1:0", o))} {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

// A public listener accepts other host names than a local one, and only a peer with the key
// and TLS learns about a session.
func TestPublicListener(t *testing.T) {
	serving, trusting := certificate(t, "studio.test")
	l, err := NewListener(patient(&Options{Key: roomKey, TLS: serving}))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.open(socket, true) // as on 0.0.0.0
	here := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, socket.Addr().String())
	}
	if _, err := Dial(testwait.Context(t), "https://studio.test/",
		&Options{Key: "wrong", TLS: trusting, network: here}); !errors.Is(err, ErrKey) {
		t.Errorf("a wrong key: %v", err)
	}
	if _, err := Dial(testwait.Context(t), "https://another.test/",
		&Options{Key: roomKey, TLS: trusting, network: here}); !strings.Contains(fmt.Sprint(err), "another.test") {
		t.Errorf("a certificate for another name: %v", err)
	}
	talk(t, "https://studio.test/", l, &Options{Key: roomKey, TLS: trusting, network: here})

	private := listen(t, &Options{Key: roomKey, TLS: serving})
	here = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, strings.Trim(strings.TrimPrefix(private.URL(), "https://"), "/"))
	}
	if _, err := Dial(testwait.Context(t), "https://studio.test/",
		&Options{Key: roomKey, TLS: trusting, network: here}); !strings.Contains(fmt.Sprint(err), "403") {
		t.Errorf("a listener on loopback, by another name: %v", err)
	}
}

// A page of another site is refused, also by a public listener.
func TestPublicListenerRefusesPages(t *testing.T) {
	l, err := NewListener(&Options{Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	server := httptest.NewServer(l.guard(true))
	defer server.Close()
	response, _ := request(t, "POST", server.URL, "v=0", func(r *http.Request) {
		r.Host = "studio.test"
		r.Header.Set("Origin", "http://studio.test")
	})
	if response.StatusCode != http.StatusForbidden {
		t.Error(response.Status)
	}
}

// ICE uses remote addresses only if the peer may be on another machine.
func TestRemoteICEOnlyForRemotePeers(t *testing.T) {
	local, err := (&Options{}).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o           *Options
		allowRemote bool
	}{
		"here":             {local.forPeer(false), false},
		"elsewhere":        {local.forPeer(true), true},
		"here with a STUN": {(&Options{ICEServers: []ICEServer{{URL: "stun:127.0.0.1:1"}}}).forPeer(false), true},
	} {
		if c.o.allowRemote != c.allowRemote {
			t.Errorf("%s: allowRemote is %v", name, c.o.allowRemote)
		}
	}
}

func newRelay(t *testing.T) *rtctest.Relay {
	t.Helper()
	r, err := rtctest.NewRelay()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// through are the options for a relay and no other way.
func through(r *rtctest.Relay) *Options {
	return &Options{ICEServers: []ICEServer{{r.URL, rtctest.User, rtctest.Credential}}, RelayOnly: true,
		gather: testwait.Limit}
}

// Between two peers that use relays only, everything passes through the TURN server.
func TestRelay(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	o := through(r)
	o.PingTimeout, o.CloseTimeout = 3*time.Second, time.Second // the end is a loss
	l := listen(t, o)
	dialer, accepted := talk(t, l.URL(), l, o)
	for _, c := range []*Conn{dialer, accepted} {
		pair, err := c.peer.link.(*dataLink).agent.GetSelectedCandidatePair()
		if err != nil || pair.Local.Type() != ice.CandidateTypeRelay || pair.Remote.Type() != ice.CandidateTypeRelay {
			t.Fatalf("%v, %v", pair, err)
		}
	}
	before := r.Bytes()
	const messages = 100
	for i := range messages {
		mustSend(t, dialer, message(i))
	}
	for i := range messages {
		mustReceive(t, accepted, message(i))
	}
	if passed := r.Bytes() - before; passed < messages*int64(len(message(0))) {
		t.Fatalf("only %d bytes went through the relay", passed)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := accepted.Receive(testwait.Context(t)); !errors.Is(err, ErrLost) {
		t.Errorf("without the relay: %v, want %v", err, ErrLost)
	}
}

// A side with a relay reaches a side without.
func TestRelayOnOneSide(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	l := listen(t, &Options{ICEServers: []ICEServer{{r.URL, rtctest.User, rtctest.Credential}}})
	talk(t, l.URL(), l, through(r))
}

func TestRelayRefuses(t *testing.T) {
	r := newRelay(t)
	l := listen(t, through(r))
	wrong := through(r)
	wrong.ICEServers[0].Credential = "canary-wrong"
	_, err := Dial(testwait.Context(t), l.URL(), wrong)
	if err == nil || !strings.Contains(err.Error(), "no TURN server gives this machine an address") ||
		strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
	// The listener's own trouble is said to the dialer.
	broken := listen(t, wrong)
	if _, err := Dial(testwait.Context(t), broken.URL(), through(r)); err == nil ||
		!strings.Contains(err.Error(), "no TURN server") || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
}

// seenAs is what the STUN server below says the address is. It is for
// documentation.
const seenAs = "203.0.113.7 4242"

// stunServer gives everybody the same address, and counts the requests.
func stunServer(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = &atomic.Int64{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buffer := make([]byte, 1500)
		for {
			n, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			question := &stun.Message{Raw: append([]byte{}, buffer[:n]...)}
			if question.Decode() != nil || question.Type != stun.BindingRequest {
				continue
			}
			asked.Add(1)
			answer, err := stun.Build(question, stun.BindingSuccess, &stun.XORMappedAddress{IP: net.IPv4(203, 0, 113, 7),
				Port: 4242}, stun.Fingerprint)
			if err == nil {
				_, _ = socket.WriteTo(answer.Raw, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = socket.Close()
		testwait.Receive(t, ended)
	})
	return "stun:" + socket.LocalAddr().String(), asked
}

// The address that a STUN server reports is offered besides the machine's own addresses.
func TestSTUN(t *testing.T) {
	url, asked := stunServer(t)
	o := &Options{ICEServers: []ICEServer{{URL: url}}}
	l := listen(t, o)
	talk(t, l.URL(), l, o)
	if asked.Load() < 2 {
		t.Errorf("the server was asked %d times", asked.Load())
	}
	full, err := patient(o).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPeer(full.forPeer(false), false)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := p.open(messageLabel, p.messages); err != nil {
		t.Fatal(err)
	}
	offer, err := p.offer(testwait.Context(t))
	if err != nil || !strings.Contains(offer, " "+seenAs+" typ srflx") || !strings.Contains(offer, " typ host") {
		t.Errorf("%v: %s", err, offer)
	}
}

// A STUN server that does not answer delays the connection, and does not prevent it.
func TestSilentSTUN(t *testing.T) {
	t.Parallel()
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	l := listen(t, nil)
	talk(t, l.URL(), l, &Options{ICEServers: []ICEServer{{URL: "stun:" + socket.LocalAddr().String()},
		{"turn:" + socket.LocalAddr().String(), "me", "it"}}, gather: stunGather})
}
