package agent

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A private agent of ElevenLabs is reached at an address that the service signs for the key.
// Errors contain neither the key nor the address.
func TestSignedAddress(t *testing.T) {
	answer, status := "", http.StatusOK
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("xi-api-key"); got != "secret" {
			t.Errorf("the key is %q", got)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	defer service.Close()
	answer = `{"signed_url":"wss://signed.example/"}`
	if got, err := signedAddress(t.Context(), service.URL, "secret"); err != nil || got != "wss://signed.example/" {
		t.Errorf("the address is %q: %v", got, err)
	}
	for _, c := range []struct {
		status       int
		answer, want string
	}{
		{http.StatusOK, `{}`, "no signed address: signed_url is empty"},
		{http.StatusOK, `{`, "no signed address: unexpected EOF"},
		{http.StatusUnauthorized, `{}`, "the service answers 401 Unauthorized"},
	} {
		status, answer = c.status, c.answer
		_, err := signedAddress(t.Context(), service.URL, "secret")
		refused, ok := errors.AsType[*DialError](err)
		if !ok || !strings.HasSuffix(err.Error(), c.want) || (refused.Status != 0) != (c.status != http.StatusOK) {
			t.Errorf("after %d %s: %v, want %s", c.status, c.answer, err, c.want)
		}
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the key %q was sent to another host", r.Header.Get("xi-api-key"))
	}))
	defer elsewhere.Close()
	moved := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer moved.Close()
	_, err := signedAddress(t.Context(), moved.URL, "secret")
	if err == nil || !strings.HasSuffix(err.Error(), "302 Found") {
		t.Errorf("after a redirect: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := signedAddress(ctx, service.URL+"/?key=secret", "secret"); !errors.Is(err, context.Canceled) ||
		strings.Contains(err.Error(), "secret") {
		t.Errorf("cancelled: %v", err)
	}
}
