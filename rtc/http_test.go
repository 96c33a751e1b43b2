package rtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"echocast/internal/testenv"
	"echocast/internal/testwait"
)

// answering returns the address of a server that gives every request the same
// answer.
func answering(t *testing.T, status int, header http.Header, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestDialErrors(t *testing.T) {
	sdp := http.Header{"Content-Type": {sdpType}}
	noChannel := "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
	unused := "http://" + testenv.FreeAddress(t)
	tests := []struct{ name, address, want string }{
		{"not a URL", "http://[::1", "not a URL"},
		{"no scheme", "127.0.0.1:8080", "not a URL"},
		{"wrong scheme", "wss://127.0.0.1/", "not an http:// or https:// URL"},
		{"another machine", "http://example.org/", "not safe beyond this machine: not an https:// URL"},
		{"looks like loopback", "http://127.0.0.1.example.org/", "not safe beyond this machine"},
		{"a password", "http://me:secret@127.0.0.1/", `"http://me:xxxxx@127.0.0.1/": a user name or password`},
		{"nothing there", unused, "rtc: dial " + unused + ": connect: connection refused"},
		{"not found", answering(t, 404, nil, "no such page\nat all"), `the server answered 404 Not Found: "no such page"`},
		{"redirect", answering(t, 307, http.Header{"Location": {"http://example.org/"}}, ""),
			"the server redirects to another machine: dial example.org itself"},
		{"redirect to nowhere", answering(t, 307, nil, ""), `the server redirects to "", which is no URL`},
		{"another kind of page", answering(t, 201, http.Header{"Content-Type": {"text/html"}}, "<html>"),
			`content type "text/html"`},
		{"empty answer", answering(t, 201, sdp, ""), "the server's answer: session description has no data channel"},
		{"garbage", answering(t, 201, sdp, strings.Repeat("garbage\n", 1000)),
			"the server's answer: not a session description"},
		{"no data channel", answering(t, 201, sdp, noChannel), "session description has no data channel"},
		{"endless answer", answering(t, 201, sdp, strings.Repeat("a", maxDescription+1)), "longer than 65536 bytes"},
		{"long complaint", answering(t, 500, nil, strings.Repeat("a", 1000)), strings.Repeat("a", maxComplaint) + "..."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Dial(testwait.Context(t), test.address, nil)
			if err == nil {
				t.Fatal("connected")
			}
			if !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "rtc: dial ") {
				t.Errorf("got  %v\nwant ...%s", err, test.want)
			}
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 300 {
				t.Errorf("not one short line: %q", err)
			}
		})
	}
}

func TestDialWrapsTheNetworksError(t *testing.T) {
	if _, err := Dial(testwait.Context(t), "http://"+testenv.FreeAddress(t), nil); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want %v in it", err, syscall.ECONNREFUSED)
	}
}

// A server accepts the request and never answers.
func TestDialEndedByContext(t *testing.T) {
	requested := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(requested)
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	cause := errors.New("interrupted")
	go func() {
		if !testwait.Came(t, requested) {
			return
		}
		cancel(cause)
	}()
	if _, err := Dial(ctx, server.URL, nil); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
}

// A server gives a valid answer, but nothing connects.
func TestDialThatNeverConnects(t *testing.T) {
	deleted := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			deleted <- r.URL.Path
			return
		}
		offer, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", sdpType)
		w.Header().Set("Location", "sessions/7")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, deadAnswer(t, string(offer)))
	}))
	defer server.Close()
	for timeout := 100 * time.Millisecond; ; timeout *= 2 {
		_, err := Dial(testwait.Context(t), server.URL+"/rooms/", patient(&Options{ConnectTimeout: timeout}))
		if !errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(err.Error(), fmt.Sprint("no connection within ", timeout)) {
			t.Fatalf("got %v", err)
		}
		select {
		case got := <-deleted:
			if got != "/rooms/sessions/7" {
				t.Errorf("deleted %s", got)
			}
			return
		default: // on a busy machine the answer itself took too long
			if timeout > testwait.Limit/4 {
				t.Fatal("the session was not deleted")
			}
		}
	}
}

// deadAnswer answers an offer with a peer that is closed at once.
func deadAnswer(t *testing.T, offer string) string {
	t.Helper()
	p := newTestPeer(t)
	defer p.close()
	answer, err := p.answer(testwait.Context(t), offer)
	if err != nil {
		t.Error(err)
	}
	return answer
}

// newTestPeer is a peer with the default options.
func newTestPeer(t *testing.T) *peer {
	t.Helper()
	options, err := patient(nil).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPeer(options, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newForeignPeer is a peer with what other programs have: all of pion's peer
// connection.
func newForeignPeer(t *testing.T) (*peer, *mediaLink) {
	t.Helper()
	options, err := patient(nil).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	p, err := newMediaPeer(options, false)
	if err != nil {
		t.Fatal(err)
	}
	return p, p.link.(*mediaLink)
}

// exchangeOffer exchanges offer and answer with a listener.
func exchangeOffer(t *testing.T, p *peer, url string) {
	t.Helper()
	offer, err := p.offer(testwait.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	_, answer := request(t, "POST", url, offer, nil)
	if err := p.take(webrtc.SDPTypeAnswer, answer); err != nil {
		t.Fatal(err)
	}
}

// makeOffer is a good offer of a peer that will not connect.
func makeOffer(t *testing.T) string {
	t.Helper()
	p := newTestPeer(t)
	defer p.close()
	if err := p.open(messageLabel, p.messages); err != nil {
		t.Fatal(err)
	}
	offer, err := p.offer(testwait.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	return offer
}

// request sends a request to the listener and returns status and body.
func request(t *testing.T, method, url, body string, edit func(*http.Request)) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(testwait.Context(t), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", sdpType)
	if edit != nil {
		edit(r)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

func TestListenerRefuses(t *testing.T) {
	l := listen(t, nil)
	host := func(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }
	origin := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Origin"] = values }
	}
	tests := []struct {
		name, method, path, body string
		edit                     func(*http.Request)
		status                   int
	}{
		{"foreign host", "POST", "", "v=0", host("example.org"), 403},
		{"host that begins like loopback", "POST", "", "v=0", host("127.0.0.1.example.org:80"), 403},
		{"host that begins like localhost", "POST", "", "v=0", host("localhost.example.org"), 403},
		{"another interface", "POST", "", "v=0", host("192.168.1.1"), 403},
		{"foreign origin", "POST", "", "v=0", origin("https://example.org"), 403},
		{"origin of no site", "POST", "", "v=0", origin("null"), 403},
		{"second origin", "POST", "", "v=0", origin("http://localhost", "https://example.org"), 403},
		{"foreign delete", "DELETE", "x", "", origin("https://example.org"), 403},
		{"no content type", "POST", "", "v=0", func(r *http.Request) { r.Header.Del("Content-Type") }, 415},
		{"too long", "POST", "", strings.Repeat("a", maxDescription+1), nil, 413},
		{"garbage", "POST", "", "garbage", nil, 400},
		{"no data channel", "POST", "", "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", nil, 400},
		{"wrong method", "GET", "", "", nil, 405},
		{"wrong path", "POST", "a/b", "", nil, 404},
		{"no such session", "DELETE", "x", "", nil, 404},
		{"loopback hosts and origins", "DELETE", "x", "", func(r *http.Request) {
			r.Host = "[::1]:99"
			r.Header["Origin"] = []string{"http://LocalHost:3000"}
		}, 404},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			response, body := request(t, test.method, l.URL()+test.path, test.body, test.edit)
			if response.StatusCode != test.status {
				t.Errorf("status %s, want %d: %s", response.Status, test.status, body)
			}
			if strings.Count(body, "\n") > 1 {
				t.Errorf("not one line: %q", body)
			}
		})
	}
	if len(l.slots) != 0 || len(l.sessions) != 0 {
		t.Errorf("%d slots and %d sessions are left", len(l.slots), len(l.sessions))
	}
}

func TestListenWhereAnotherDoes(t *testing.T) {
	l := listen(t, nil)
	if _, err := Listen(strings.Trim(strings.TrimPrefix(l.URL(), "http://"), "/"), nil); !errors.Is(err,
		syscall.EADDRINUSE) {
		t.Errorf("Listen where another does: %v", err)
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.255.255.254": true, "::1": true,
		"::ffff:127.0.0.1": true,
		"":                 false, "localhost.": false, "128.0.0.1": false, "127.1": false, "0127.0.0.1": false,
		"::": false, "::1%lo": false,
		"0.0.0.0": false, "example.org": false, "[::1]": false,
	} {
		if got := isLoopback(host); got != want {
			t.Errorf("isLoopback(%q) is %v", host, got)
		}
	}
}

// offerTwice posts two offers that never connect.
func offerTwice(t *testing.T, l *Listener, offer string) {
	t.Helper()
	for range 2 {
		if response, body := request(t, "POST", l.URL(), offer, nil); response.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %s", response.Status, body)
		}
	}
}

// Offers that never connect hold their slots, but only for a limited time.
func TestBacklog(t *testing.T) {
	offer := makeOffer(t)
	held := listen(t, &Options{Backlog: 4})
	offerTwice(t, held, offer)
	if response, body := request(t, "POST", held.URL(), offer, nil); response.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("one more than the share of an address: %s: %s", response.Status, body)
	}
	l := listen(t, &Options{Backlog: 4, ConnectTimeout: 100 * time.Millisecond})
	offerTwice(t, l, offer)
	for range cap(l.slots) {
		select {
		case l.slots <- struct{}{}: // comes free when a session is dropped
		case <-testwait.Context(t).Done():
			t.Fatal("the sessions are not dropped")
		}
	}
	for range cap(l.slots) {
		testwait.Receive(t, l.slots)
	}
	if l.mu.Lock(); len(l.sessions) != 0 {
		t.Errorf("%d sessions are left", len(l.sessions))
	}
	l.mu.Unlock()
}

// watchCancel returns a channel that is closed when the listener cancels its
// only session.
func watchCancel(l *Listener) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	cancelled := make(chan struct{})
	for _, s := range l.sessions {
		cancel := s.cancel
		s.cancel = sync.OnceFunc(func() {
			cancel()
			close(cancelled)
		})
	}
	return cancelled
}

func TestHalfOpenSessionIsDropped(t *testing.T) {
	for _, by := range []string{"DELETE", "Close"} {
		t.Run(by, func(t *testing.T) {
			l := listen(t, &Options{Backlog: 1, ConnectTimeout: time.Hour})
			response, _ := request(t, "POST", l.URL(), makeOffer(t), nil)
			session, err := response.Location()
			if err != nil {
				t.Fatal(err)
			}
			cancelled := watchCancel(l)
			if by == "Close" {
				_ = l.Close()
			} else if response, _ := request(t, "DELETE", session.String(), "", nil); response.StatusCode != http.StatusOK {
				t.Fatal(response.Status)
			}
			select {
			case <-cancelled:
			default:
				t.Error("the listener continues to connect")
			}
			l.slots <- struct{}{}
			testwait.Receive(t, l.slots)
		})
	}
}

// A dialer ends its connection only by an HTTP request.
func TestDeleteEndsAConnection(t *testing.T) {
	l := listen(t, nil)
	dialer, err := Dial(testwait.Context(t), l.URL(), patient(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer dialer.Close()
	accepted, err := l.Accept(testwait.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	mustSend(t, dialer, []byte("last words"))
	if err := dialer.flush(nil); err != nil {
		t.Fatal(err)
	}
	dialer.release(true)
	mustReceive(t, accepted, []byte("last words"))
	if _, err := accepted.Receive(testwait.Context(t)); !errors.Is(err, ErrPeerGone) {
		t.Errorf("Receive: %v, want %v", err, ErrPeerGone)
	}
}

// A channel that may lose or reorder messages is refused as the message channel.
func TestUnreliableChannelIsClosed(t *testing.T) {
	l := listen(t, nil)
	p, link := newForeignPeer(t)
	defer p.close()
	ordered := false
	unordered, err := link.CreateDataChannel(messageLabel, &webrtc.DataChannelInit{Ordered: &ordered})
	if err != nil {
		t.Fatal(err)
	}
	link.handOver(unordered, p.messages)
	exchangeOffer(t, p, l.URL())
	opened, err := p.connected(testwait.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := opened.ReadDataChannel(make([]byte, 64)); !errors.Is(err, io.EOF) {
		t.Errorf("read: %v, want %v", err, io.EOF)
	}
}

// A page may offer video besides the data channel: the answer has a section for each of the
// offer, since the browser refuses it otherwise.
func TestOfferWithVideo(t *testing.T) {
	t.Parallel()
	l := listen(t, nil)
	var media webrtc.MediaEngine
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	var engine webrtc.SettingEngine
	engine.SetIncludeLoopbackCandidate(true)
	api := webrtc.NewAPI(webrtc.WithMediaEngine(&media), webrtc.WithSettingEngine(engine))
	page, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = page.GracefulClose() }()
	_, err = page.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo,
		webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	if err != nil {
		t.Fatal(err)
	}
	channel, err := page.CreateDataChannel(messageLabel, nil)
	if err != nil {
		t.Fatal(err)
	}
	open := make(chan struct{})
	channel.OnOpen(func() { close(open) })
	offer, err := page.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(page)
	if err := page.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	testwait.Receive(t, gathered)
	_, answer := request(t, "POST", l.URL(), page.LocalDescription().SDP, nil)
	if got := strings.Count(answer, "\nm="); got != 2 {
		t.Fatalf("the answer has %d sections, want 2:\n%s", got, answer)
	}
	if err := page.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	testwait.Receive(t, open)
}

func TestLocationStaysAtTheServer(t *testing.T) {
	for location, want := range map[string]string{
		"":                      "",
		"/s/1":                  "http://127.0.0.1:80/s/1",
		"s/1":                   "http://127.0.0.1:80/rooms/s/1",
		"http://127.0.0.1:80/s": "http://127.0.0.1:80/s",
		"http://127.0.0.1:81/s": "",
		"http://example.org/s":  "",
		"//example.org/s":       "",
		"file:///etc/passwd":    "",
		"%":                     "",
	} {
		endpoint, err := url.Parse("http://127.0.0.1:80/rooms/")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if session := newSignalingClient(endpoint, &Options{}).locate(location); session != nil {
			got = session.String()
		}
		if got != want {
			t.Errorf("Location %q leads to %q, want %q", location, got, want)
		}
	}
}

// A Listener without an address serves a path of another server.
func TestListenerBehindPathPrefix(t *testing.T) {
	l, err := NewListener(patient(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	server := httptest.NewServer(http.StripPrefix("/rooms/1", l))
	defer server.Close()
	dialer, err := Dial(testwait.Context(t), server.URL+"/rooms/1/", patient(nil))
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept(testwait.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if err := dialer.Close(); err != nil {
		t.Error(err)
	}
	if _, err := accepted.Receive(testwait.Context(t)); !errors.Is(err, ErrPeerGone) {
		t.Errorf("got %v, want %v", err, ErrPeerGone)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sessions) > 0 {
		t.Errorf("the table still has %d sessions", len(l.sessions))
	}
}

func TestListenerClose(t *testing.T) {
	l := listen(t, nil)
	accepting := make(chan error, 1)
	go func() {
		_, err := l.Accept(testwait.Context(t))
		accepting <- err
	}()
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := testwait.Receive(t, accepting); !errors.Is(err, net.ErrClosed) {
		t.Errorf("blocked Accept: %v, want %v", err, net.ErrClosed)
	}
	if _, err := Dial(testwait.Context(t), l.URL(), nil); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial: %v, want %v", err, syscall.ECONNREFUSED)
	}
}

// Unaccepted connections end with the listener, accepted ones continue.
func TestListenerCloseAndItsConnections(t *testing.T) {
	l := listen(t, nil)
	var dialed [2]*Conn
	for i := range dialed {
		c, err := Dial(testwait.Context(t), l.URL(), patient(nil))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		dialed[i] = c
		if i > 0 {
			break
		}
		accepted, err := l.Accept(testwait.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		defer func() {
			mustSend(t, c, []byte("still open"))
			mustReceive(t, accepted, []byte("still open"))
		}()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := dialed[1].Receive(testwait.Context(t)); !errors.Is(err, ErrPeerGone) && !errors.Is(err, ErrLost) {
		t.Errorf("Receive from a connection that was not accepted: %v", err)
	}
}

func TestAcceptEndedByContext(t *testing.T) {
	l := listen(t, nil)
	ctx, cancel := context.WithCancel(testwait.Context(t))
	cancel()
	if _, err := l.Accept(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestPeersStayOnThisMachine(t *testing.T) {
	offer := makeOffer(t)
	parsed, err := (&webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}).Unmarshal()
	if err != nil {
		t.Fatal(err)
	}
	candidates := 0
	for _, attribute := range parsed.MediaDescriptions[0].Attributes {
		if attribute.Key != "candidate" {
			continue
		}
		candidates++
		if !strings.Contains(attribute.Value, " udp ") || !strings.Contains(attribute.Value, " 127.0.0.1 ") {
			t.Errorf("candidate %s", attribute.Value)
		}
	}
	if candidates == 0 {
		t.Error("no candidates")
	}
	if want := fmt.Sprintf("a=max-message-size:%d\r\n", 256<<10); !strings.Contains(offer, want) {
		t.Errorf("no %q in the offer", want)
	}
}
