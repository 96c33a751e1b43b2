package livekit

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"echocast/internal/testwait"
)

func TestTokenIsNotSentInClear(t *testing.T) {
	for url, safe := range map[string]bool{
		"wss://192.0.2.1": true, "ws://127.0.0.1:7880": true, "ws://localhost": true, "ws://[::1]:1": true,
		"ws://192.0.2.1:7880": false, "ws://livekit.example.org": false, "ws://127.0.0.1.example.org": false,
	} {
		if err := (Address{URL: url, Room: "r"}).checkSafe(false); (err == nil) != safe || err != nil &&
			!errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v, want safe %v", url, err, safe)
		}
		if err := (Address{URL: url, Room: "r"}).checkSafe(true); err != nil {
			t.Errorf("%s with Insecure: %v", url, err)
		}
	}
	_, err := Join(testwait.Context(t), Address{"ws://192.0.2.1", "r"}, Credentials{Token: "t"}, nil)
	if !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "--insecure") {
		t.Errorf("Join: %v", err)
	}
}

// Redirects of the server, to this machine or to another port of it, are not followed: the
// token would be sent there.
func TestTokenIsNotSentToRedirect(t *testing.T) {
	authorized := make(chan string, 10)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		authorized <- r.Header.Get("Authorization")
	}))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	_, err := Join(testwait.Context(t), Address{"ws" + strings.TrimPrefix(server.URL, "http"), "r"},
		Credentials{Token: "secret-token"}, nil)
	if err == nil || !strings.Contains(err.Error(), "redirects to another address") ||
		strings.Contains(err.Error(), "secret-token") {
		t.Errorf("Join: %v", err)
	}
	select {
	case sent := <-authorized:
		t.Errorf("the other server was sent %q", sent)
	default:
	}
}
