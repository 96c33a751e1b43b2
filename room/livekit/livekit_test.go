package livekit

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"echocast/internal/testwait"
	"echocast/room"
)

// Credentials that the server refuses are a *room.RefusedError, and a server that fails is not.
func TestRefusedCredentials(t *testing.T) {
	t.Setenv("LIVEKIT_API_KEY", "key")
	t.Setenv("LIVEKIT_API_SECRET", strings.Repeat("s", 32))
	for status, isRefused := range map[int]bool{http.StatusUnauthorized: true, http.StatusInternalServerError: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
		}))
		defer server.Close()
		address := "livekit+" + strings.Replace(server.URL, "http", "ws", 1) + "/room"
		_, err := room.Join(testwait.Context(t), address, nil)
		if _, ok := errors.AsType[*room.RefusedError](err); ok != isRefused || err == nil {
			t.Errorf("after an answer %d: %v", status, err)
		}
	}
}
