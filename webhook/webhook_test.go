package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/webhook"
)

func TestMain(m *testing.M) {
	testwait.RunAndFindLeaks(m, http.DefaultClient.CloseIdleConnections)
}

func listen(t *testing.T, address string, o *webhook.Options) *webhook.Receiver {
	t.Helper()
	r, err := webhook.Listen(address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.Close()
		_ = r.Close() // it may be called twice
	})
	return r
}

func joined(conversation string, n int) string {
	return fmt.Sprintf(`{"message_type":"system","event_type":"system.replica_joined","conversation_id":%q,`+
		`"timestamp":"2026-01-02T03:04:%02dZ","properties":{"replica_id":"r1"}}`, conversation, n)
}

// post sends a request and returns its status.
func post(t *testing.T, method, address, body string, change func(*http.Request)) int {
	request, err := http.NewRequestWithContext(testwait.Context(t), method, address, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	if change != nil {
		change(request)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return 0
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	return answer.StatusCode
}

// Other machines reach a receiver only if that was asked for. Without a path, its address has
// a random one.
func TestListensOnThisMachine(t *testing.T) {
	for address, want := range map[string]string{":0": "127.0.0.1", ":0/secret": "127.0.0.1", "127.0.0.1:0": "127.0.0.1",
		"0.0.0.0:0/secret": "0.0.0.0"} {
		r := listen(t, address, nil)
		at, err := url.Parse(r.URL())
		if err != nil {
			t.Fatal(err)
		}
		if ip := net.ParseIP(at.Hostname()); ip.IsUnspecified() != (want == "0.0.0.0") || !ip.IsUnspecified() &&
			ip.String() != want {
			t.Errorf("%s listens on %s", address, r.URL())
		}
		if _, path, named := strings.Cut(address, "/"); named && at.Path != "/"+path || !named && len(at.Path) < 20 {
			t.Errorf("%s has the path %s", address, at.Path)
		}
	}
	one, other := listen(t, ":0", nil).URL(), listen(t, ":0", nil).URL()
	_, path, _ := strings.Cut(strings.TrimPrefix(one, "http://"), "/")
	if strings.HasSuffix(other, path) {
		t.Error("a path was made up twice")
	}
}

// A web page can post nothing, by whatever name it reaches this machine.
func TestRefusesWebPages(t *testing.T) {
	r := listen(t, "127.0.0.1:0", &webhook.Options{PublicURL: "https://hooks.example.org/x"})
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, c := range map[string]struct {
		method string
		change func(*http.Request)
		status int
	}{
		"a page":             {"POST", header("Origin", "https://evil.test"), http.StatusForbidden},
		"a sandboxed page":   {"POST", header("Origin", "null"), http.StatusForbidden},
		"rebound DNS":        {"POST", host("evil.test:80"), http.StatusForbidden},
		"rebound, no port":   {"POST", host("evil.test"), http.StatusForbidden},
		"another loopback":   {"POST", host("127.0.0.2"), http.StatusForbidden},
		"a read":             {"GET", nil, http.StatusMethodNotAllowed},
		"not an event":       {"POST", nil, http.StatusBadRequest},
		"the public address": {"POST", host("hooks.example.org"), http.StatusBadRequest},
		"localhost":          {"POST", host("localhost:8871"), http.StatusBadRequest},
	} {
		if status := post(t, c.method, r.URL(), "nonsense", c.change); status != c.status {
			t.Errorf("%s: %d, want %d", name, status, c.status)
		}
	}
	if status := post(t, "POST", strings.TrimSuffix(r.URL(), "a")+"b", "nonsense", nil); status != http.StatusNotFound {
		t.Errorf("another path: %d", status)
	}
}

// Callbacks of several conversations are delivered one by one, and a repeated one only once.
func TestDeliversEachCallbackOnce(t *testing.T) {
	r := listen(t, ":0/x", nil)
	sent := []string{joined("c1", 1), joined("c2", 1), joined("c1", 1), joined("c3", 1), joined("c2", 1), joined("c1", 2)}
	statuses := make(chan int, len(sent))
	go func() {
		for _, body := range sent {
			statuses <- post(t, "POST", r.URL(), body, nil)
		}
	}()
	ctx := testwait.Context(t)
	for _, want := range []int{0, 1, 3, 5} {
		event, err := r.Next(ctx)
		if err != nil || event.Kind != echo.ReplicaJoined || string(event.Raw) != sent[want] {
			t.Errorf("%s, %v; want %s", event.Raw, err, sent[want])
		}
	}
	for range sent {
		if status := testwait.Receive(t, statuses); status != http.StatusNoContent {
			t.Errorf("status %d", status)
		}
	}
}

// Waiting for an event of one conversation does not take events of others.
func TestReceiveEventFiltersByConversation(t *testing.T) {
	r := listen(t, ":0/x", nil)
	var posting sync.WaitGroup
	defer posting.Wait()
	posting.Go(func() {
		for _, id := range []string{"c1", "c2", "c3"} {
			post(t, "POST", r.URL(), joined(id, 0), nil)
		}
	})
	text, err := r.ReceiveEvent(testwait.Context(t), "c3")
	if err != nil || string(text) != joined("c3", 0) {
		t.Errorf("%s, %v", text, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.ReceiveEvent(ended, "c3"); err == nil {
		t.Error("a context that has ended is not heeded")
	}
}

// After the end of the receiver every call says so, not only the first.
func TestNextAfterTheEnd(t *testing.T) {
	r := listen(t, ":0/x", nil)
	_ = r.Close()
	for range 2 {
		if _, err := r.Next(testwait.Context(t)); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the error is %v", err)
		}
	}
}

// Only a few large bodies are held at a time: the others wait unread, and are answered.
func TestLargeBodiesAreLimited(t *testing.T) {
	r := listen(t, ":0/x", nil)
	const many = 12
	read := make(chan struct{}, many)
	statuses := make(chan int, many)
	for i := range many {
		body := joined("c1", i)
		go func() {
			request, err := http.NewRequestWithContext(testwait.Context(t), "POST", r.URL(),
				&notifyingReader{bytes.NewReader([]byte(body)), read})
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set("Expect", "100-continue")
			client := http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Hour, DisableKeepAlives: true}}
			answer, err := client.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			answer.Body.Close()
			statuses <- answer.StatusCode
		}()
	}
	for range 4 { // nobody takes an event yet
		testwait.Receive(t, read)
	}
	select {
	case <-read:
		t.Error("more bodies are read than are held")
	case <-time.After(50 * time.Millisecond):
	}
	ctx := testwait.Context(t)
	for range many {
		if _, err := r.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for range many {
		if status := testwait.Receive(t, statuses); status != http.StatusNoContent {
			t.Errorf("status %d", status)
		}
	}
}

// notifyingReader reports when a body is read for the first time.
type notifyingReader struct {
	io.Reader
	read chan<- struct{}
}

func (c *notifyingReader) Read(p []byte) (int, error) {
	if c.read != nil {
		c.read <- struct{}{}
		c.read = nil
	}
	return c.Reader.Read(p)
}
