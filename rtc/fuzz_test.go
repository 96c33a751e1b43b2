package rtc

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzOffer posts offers to the public endpoint. Each is answered or refused, and no session
// is left behind.
func FuzzOffer(f *testing.F) {
	f.Add("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n")
	f.Add("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=application 9 UDP/DTLS/SCTP " +
		"webrtc-datachannel\r\n" +
		"c=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:actpass\r\n" +
		"a=sctp-port:5000\r\n" +
		"a=fingerprint:sha-256 " + strings.Repeat("00:", 31) + "00\r\n")
	f.Fuzz(func(t *testing.T, offer string) {
		l, err := NewListener(&Options{ConnectTimeout: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/", strings.NewReader(offer))
		request.Header.Set("Content-Type", sdpType)
		answer := httptest.NewRecorder()
		l.ServeHTTP(answer, request)
		switch answer.Code {
		case http.StatusCreated, http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		default:
			t.Errorf("answered with %d %s", answer.Code, answer.Body)
		}
		_ = l.Close()
		if len(l.sessions) > 0 && answer.Code != http.StatusCreated {
			t.Errorf("%d sessions of an offer that was refused", len(l.sessions))
		}
	})
}

// FuzzAddress parses addresses as users type them.
func FuzzAddress(f *testing.F) {
	f.Add("http://127.0.0.1:8870")
	f.Add("https://[::1]:1/room?x#y")
	f.Fuzz(func(t *testing.T, address string) {
		endpoint, err := parseEndpoint(address)
		if err == nil && (endpoint.Host == "" || endpoint.User != nil) {
			t.Errorf("%q is taken for the address %q", address, endpoint)
		}
	})
}
