package rtc

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"echocast/internal/testwait"
)

// from sends a request to a listener from an address, which need not be here.
func from(l *Listener, address, method, body string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1/", strings.NewReader(body))
	r.RemoteAddr = address
	r.Header.Set("Content-Type", sdpType)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	return w
}

// A page of this machine may dial: the browser asks first, and is then allowed to read the
// address of the session.
func TestLocalPagesMayDial(t *testing.T) {
	l := listen(t, &Options{Key: roomKey})
	origin := http.Header{"Origin": {"http://localhost:3000"}, "Access-Control-Request-Method": {"POST"}}
	asked := from(l, "127.0.0.1:9", "OPTIONS", "", origin)
	for name, want := range map[string]string{
		"Accept-Post": sdpType, "Access-Control-Allow-Origin": "http://localhost:3000",
		"Access-Control-Allow-Methods": "POST, DELETE",
		"Access-Control-Allow-Headers": "Content-Type, Authorization",
	} {
		if got := asked.Header().Get(name); asked.Code != http.StatusNoContent || got != want {
			t.Errorf("OPTIONS: %d, %s: %q, want %q", asked.Code, name, got, want)
		}
	}
	origin.Set("Authorization", "Bearer "+roomKey)
	answered := from(l, "127.0.0.1:9", "POST", makeOffer(t), origin)
	if answered.Code != http.StatusCreated || answered.Header().Get("Access-Control-Expose-Headers") != "Location" {
		t.Errorf("POST: %d: %v %s", answered.Code, answered.Header(), answered.Body)
	}
	for _, method := range []string{"OPTIONS", "POST"} {
		refused := from(l, "127.0.0.1:9", method, "", http.Header{"Origin": {"https://example.org"}})
		if refused.Code != http.StatusForbidden || refused.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s from another site: %d %v", method, refused.Code, refused.Header())
		}
	}
}

// An address with many unfinished offers does not block others.
func TestUnfinishedOffersOfOneAddress(t *testing.T) {
	l := listen(t, &Options{Backlog: 4})
	offer := makeOffer(t)
	for i, want := range []int{201, 201, 503, 503} {
		if got := from(l, "192.0.2.1:1", "POST", offer, nil); got.Code != want {
			t.Errorf("offer %d of one address: %d, want %d", i+1, got.Code, want)
		}
	}
	if got := from(l, "192.0.2.2:1", "POST", offer, nil); got.Code != 201 {
		t.Errorf("the first offer of another address: %d", got.Code)
	}
	// The addresses of an IPv6 network are one sender's.
	for i, want := range []int{201, 503} {
		address := []string{"[2001:db8::1]:1", "[2001:db8::2]:1"}[i]
		if i == 1 {
			l.shares.take(addressOf(&http.Request{RemoteAddr: address}), 4)
		}
		if got := from(l, address, "POST", offer, nil); got.Code != want {
			t.Errorf("an offer of %s: %d, want %d", address, got.Code, want)
		}
	}
	if o := (&Options{ConnectTimeout: time.Minute}); o.finishTimeout() != maxFinish {
		t.Errorf("unfinished offers last for %v", o.finishTimeout())
	}
}

// Twenty senders that connect at once all succeed, even if only a few may wait at a time.
func TestManySendersAtOnce(t *testing.T) {
	for name, backlog := range map[string]int{"the usual backlog": 0, "a small one": 4} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, &Options{Backlog: backlog})
			ctx, stop := context.WithCancel(testwait.Context(t))
			var accepting, crowd sync.WaitGroup
			accepting.Go(func() {
				for {
					conn, err := l.Accept(ctx)
					if err != nil {
						return // all have been there
					}
					accepting.Go(func() { _ = conn.Close() })
				}
			})
			for range 20 {
				crowd.Go(func() {
					conn, err := Dial(ctx, l.URL(), patient(&Options{BusyTimeout: testwait.Limit,
						CloseTimeout: time.Millisecond}))
					if err != nil {
						t.Error(err)
						return
					}
					_ = conn.Close()
				})
			}
			crowd.Wait()
			stop()
			accepting.Wait()
		})
	}
}

// Dial stops retrying if a listener stays busy, with an error that says so.
func TestBusyListener(t *testing.T) {
	var asked atomic.Int32
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "too many sessions are waiting", http.StatusServiceUnavailable)
	}))
	defer busy.Close()
	// On a busy machine the first attempt may take longer than the shorter timeouts.
	for timeout := 300 * time.Millisecond; asked.Load() < 2; timeout *= 2 {
		asked.Store(0)
		_, err := Dial(testwait.Context(t), busy.URL, &Options{BusyTimeout: timeout})
		if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "too many sessions are waiting") {
			t.Fatalf("after %d attempts: %v", asked.Load(), err)
		}
		if asked.Load() < 2 && timeout > testwait.Limit/4 {
			t.Fatalf("one attempt in %v", timeout)
		}
	}
}

// Wrong keys are slowed down and reported, and do not block others.
func TestWrongKeysAreSlowed(t *testing.T) {
	var warnings []string
	l := listen(t, &Options{Key: roomKey, Warn: func(text string) { warnings = append(warnings, text) }})
	wrong, right := http.Header{"Authorization": {"Bearer wrong"}}, http.Header{"Authorization": {"Bearer " + roomKey}}
	refused := 0
	for range 10 * wrongKeyBurst {
		switch got := from(l, "192.0.2.1:1", "POST", "", wrong); got.Code {
		case http.StatusUnauthorized:
			refused++
		case http.StatusTooManyRequests:
		default:
			t.Fatalf("a wrong key: %d", got.Code)
		}
	}
	if refused < wrongKeyBurst || refused > 3*wrongKeyBurst || len(warnings) != refused {
		t.Errorf("%d keys were looked at, and %d warnings given", refused, len(warnings))
	}
	if !strings.Contains(warnings[0], "192.0.2.1") || strings.Contains(warnings[0], "Bearer") {
		t.Errorf("the warning is %q", warnings[0])
	}
	if got := from(l, "192.0.2.2:1", "POST", makeOffer(t), right); got.Code != http.StatusCreated {
		t.Errorf("the right key from elsewhere: %d", got.Code)
	}
}

// If a server repeats the key in headers that make net/http fail, the error does not show the
// key.
func TestKeyInNoErrorOfHTTP(t *testing.T) {
	for name, response := range map[string]string{
		"bad header":   "HTTP/1.1 200 OK\r\nBearer " + roomKey + "\r\n\r\n",
		"bad location": "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: http://[" + roomKey + "\r\n\r\n",
		"location": "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: http://" + roomKey +
			".example.org/\r\n\r\n",
		"status":  "HTTP/1.1 500 " + roomKey + "\r\nContent-Length: 0\r\n\r\n",
		"escaped": "HTTP/1.1 500 \"" + strings.ReplaceAll(roomKey, "6", "%36") + "\"\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			socket, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			served := make(chan struct{})
			go func() {
				defer close(served)
				conn, err := socket.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Read(make([]byte, 64<<10))
				_, _ = io.WriteString(conn, response)
				_ = conn.Close()
			}()
			_, err = Dial(testwait.Context(t), "http://"+socket.Addr().String(), &Options{Key: roomKey})
			<-served
			if err == nil || strings.Contains(err.Error(), roomKey) || !strings.Contains(err.Error(), "redacted") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// A redirect is followed only to an address that may get the offer, and with a key only to the
// same address.
func TestRedirects(t *testing.T) {
	l := listen(t, nil)
	redirect := func(to string) string {
		return answering(t, http.StatusTemporaryRedirect, http.Header{"Location": {to}}, "")
	}
	conn, err := Dial(testwait.Context(t), redirect(l.URL()), patient(nil))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	endless := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, endless, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	endless = server.URL
	for _, test := range []struct {
		to, want string
		options  *Options
	}{
		{endless, "redirects more than 3 times", nil},
		{"ftp://127.0.0.1/", "not an http:// or https:// URL", nil},
		{"http://127.0.0.1:1/", "127.0.0.1:1, which does not get the room key", &Options{Key: roomKey}},
	} {
		if _, err := Dial(testwait.Context(t), redirect(test.to), test.options); err == nil ||
			!strings.Contains(err.Error(), test.want) {
			t.Errorf("a redirect to %s: %v, want %q", test.to, err, test.want)
		}
	}
}

func TestOnlyIPv6(t *testing.T) {
	address := func(text string) net.Addr {
		ip, network, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		network.IP = ip
		return network
	}
	v4, v6, other := address("127.0.0.1/8"), address("::1/128"), address("192.0.2.1/24")
	for _, test := range []struct {
		addresses []net.Addr
		want      webrtc.NetworkType
	}{
		{[]net.Addr{v4, v6}, webrtc.NetworkTypeUDP4},
		{[]net.Addr{v6, other, v4}, webrtc.NetworkTypeUDP4},
		{[]net.Addr{v6, other}, webrtc.NetworkTypeUDP6},
		{[]net.Addr{other}, webrtc.NetworkTypeUDP4},
	} {
		if got := networkOf(test.addresses); got != test.want {
			t.Errorf("%v: %v, want %v", test.addresses, got, test.want)
		}
	}
}
