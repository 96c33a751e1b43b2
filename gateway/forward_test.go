package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// otherNode serves a node in memory, and returns an api that reaches it.
func otherNode(t *testing.T, g *Gateway, handler http.HandlerFunc) *api {
	t.Helper()
	l := newMemoryListener()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() { _ = server.Close(); <-ended })
	return &api{gateway: g, transport: &http.Transport{
		DialContext: l.dial, DisableKeepAlives: true, ExpectContinueTimeout: time.Second,
	}}
}

// speechRequest is a request for conversation c1.
func speechRequest(t *testing.T) *http.Request {
	t.Helper()
	const path = "/v1/conversations/c1/speech"
	return httptest.NewRequestWithContext(t.Context(), "POST", path, strings.NewReader("all of it"))
}

// A request with a body that a node has not read, because it ended just then, is sent to the
// next node. The client is not told that it may send the body: its own server does that.
func TestUnreadRequestIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(&Options{Rehearse: true, Cluster: movedCluster{address: "http://other"}})
		var asked atomic.Int32
		a := otherNode(t, g, func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) == 1 {
				panic(http.ErrAbortHandler) // the connection ends
			}
			text, _ := io.ReadAll(r.Body) // its end is what counts
			w.Header().Set("Was", string(text))
			w.WriteHeader(http.StatusAccepted)
		})
		answer := &statuses{ResponseRecorder: httptest.NewRecorder()}
		r := speechRequest(t)
		if isDone, err := a.forward(answer, r, "c1"); !isDone || err != nil {
			t.Fatalf("forwarded: %v, %v", isDone, err)
		}
		if answer.Code != http.StatusAccepted || answer.Header().Get("Was") != "all of it" || asked.Load() != 2 {
			t.Errorf("after %d requests: status %d, %q", asked.Load(), answer.Code, answer.Header().Get("Was"))
		}
		if len(answer.all) != 1 {
			t.Errorf("the client is told %v", answer.all)
		}
	})
}

// statuses records all statuses of an answer, also those before the last.
type statuses struct {
	*httptest.ResponseRecorder
	all []int
}

func (s *statuses) WriteHeader(code int) {
	s.all = append(s.all, code)
	s.ResponseRecorder.WriteHeader(code)
}

// takenCluster knows two owners of a conversation, one after the other.
type takenCluster struct {
	movedCluster
	asked *atomic.Int32
}

func (c takenCluster) Owner(string) (string, bool, bool) {
	if c.asked.Add(1) == 1 {
		return c.address, false, true
	}
	return "http://next", false, true
}

// A node that has accepted a request just before it handed its conversation over may still
// answer it. A node that does not answer in time, because it is paused, is given up.
func TestLastAnswerOfANode(t *testing.T) {
	for _, test := range []struct {
		name   string
		after  time.Duration
		status int
	}{
		{"it answers", lastAnswer - time.Millisecond, http.StatusAccepted},
		{"it is paused", time.Hour, http.StatusServiceUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := takenCluster{movedCluster{address: "http://other"}, new(atomic.Int32)}
				g := New(&Options{Rehearse: true, Cluster: cluster})
				a := otherNode(t, g, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body) // its end is what counts
					select {
					case <-time.After(test.after):
						w.WriteHeader(http.StatusAccepted)
					case <-r.Context().Done():
					}
				})
				answer := httptest.NewRecorder()
				r := speechRequest(t)
				if isDone, err := a.forward(answer, r, "c1"); !isDone || err != nil {
					t.Fatalf("forwarded: %v, %v", isDone, err)
				}
				if answer.Code != test.status {
					t.Errorf("status %d, not %d", answer.Code, test.status)
				}
			})
		})
	}
}
