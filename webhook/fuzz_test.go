package webhook_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"echocast/webhook"
)

// FuzzCallback posts bodies to the address. Each is refused with a status, or delivered.
func FuzzCallback(f *testing.F) {
	r, err := webhook.Listen("127.0.0.1:0/secret", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = r.Close() })
	address, err := url.Parse(r.URL())
	if err != nil {
		f.Fatal(err)
	}
	f.Add("POST", []byte(joined("c1", 1)))
	f.Add("POST", []byte(`{"event_type":`))
	f.Add("GET", []byte(nil))
	f.Fuzz(func(t *testing.T, method string, body []byte) {
		ctx, cancel := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, method, address.String(), bytes.NewReader(body))
		if err != nil {
			t.Skip("no method: ", err)
		}
		request.Host = address.Host
		cancel() // nobody takes the event
		answer := httptest.NewRecorder()
		r.ServeHTTP(answer, request)
		switch answer.Code {
		case http.StatusOK, http.StatusNoContent, http.StatusBadRequest, http.StatusMethodNotAllowed,
			http.StatusServiceUnavailable:
		default:
			t.Errorf("%s is answered with %d %s", method, answer.Code, answer.Body)
		}
	})
}
