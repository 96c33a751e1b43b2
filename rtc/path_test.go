package rtc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"echocast/internal/testwait"
)

// If the handshake succeeds but no packet passes, the error says that UDP may be blocked.
func TestNetworkWithoutUDP(t *testing.T) {
	t.Parallel()
	l := listen(t, nil)
	to, err := url.Parse(l.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: to.Scheme, Host: to.Host})
			r.Out.Body, r.Out.ContentLength = withoutCandidates(t, r.In.Body)
		},
		ModifyResponse: func(r *http.Response) error {
			r.Body, r.ContentLength = withoutCandidates(t, r.Body)
			r.Header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
			return nil
		},
	}
	server := httptest.NewServer(proxy)
	defer server.Close()
	timeout := time.Second
	for ; ; timeout *= 2 {
		_, err = Dial(testwait.Context(t), server.URL+to.Path, patient(&Options{ConnectTimeout: timeout}))
		isHandshakeLate := errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrNoPath) // on a busy machine
		if !isHandshakeLate || timeout > testwait.Limit/4 {
			break
		}
	}
	if !errors.Is(err, ErrNoPath) || !strings.Contains(err.Error(), fmt.Sprint("within ", timeout)) {
		t.Errorf("%v, want %v", err, ErrNoPath)
	}
}

// withoutCandidates is a session description that names no address.
func withoutCandidates(t *testing.T, body io.ReadCloser) (io.ReadCloser, int64) {
	t.Helper()
	var kept bytes.Buffer
	text, err := io.ReadAll(body)
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "a=candidate") {
			kept.WriteString(line)
		}
	}
	return io.NopCloser(&kept), int64(kept.Len())
}
