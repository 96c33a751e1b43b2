package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// heldCluster is a Cluster in which another node holds the conversation that this one tries to
// acquire.
type heldCluster struct {
	Cluster
	isKnown atomic.Bool   // that the other node holds it
	refuses chan struct{} // closed when this node is told
}

func (c *heldCluster) Failure() error { return nil }
func (c *heldCluster) Owner(string) (string, bool, bool) {
	return "http://other", false, c.isKnown.Load()
}
func (c *heldCluster) Place(context.Context) (string, bool)           { return "", true }
func (c *heldCluster) Record(context.Context, string) ([]byte, error) { return nil, nil }
func (c *heldCluster) Create(context.Context, string) (Ownership, error) {
	<-c.refuses
	return nil, errors.New("another node holds it")
}

// A client repeats the request for a conversation, and reaches two nodes. The one that does not
// get the conversation answers nothing for it, neither while it tries nor later: an utterance
// that the other node has accepted would not exist.
func TestNodeThatDoesNotAcquire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &heldCluster{refuses: make(chan struct{})}
		g := New(&Options{Rehearse: true, Cluster: cluster})
		a := otherNode(t, g, func(http.ResponseWriter, *http.Request) {})
		by := Creator{"token", "key"}
		c, err := g.Create(Spec{To: Rehearsal}, by)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cluster.isKnown.Store(true)
		isForwarded := func() bool {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/conversations/"+c.ID+"/utterances/u", nil)
			isDone, err := a.forward(httptest.NewRecorder(), r, c.ID)
			return isDone && err == nil
		}
		if !isForwarded() {
			t.Error("while it tries, a request is not forwarded")
		}
		close(cluster.refuses)
		checkRefused(t, c, http.StatusServiceUnavailable)
		if !isForwarded() {
			t.Error("later, a request is not forwarded")
		}
	})
}

// checkRefused checks that a conversation ends with this status, and that its node does not keep
// it.
func checkRefused(t *testing.T, c *Conversation, status int) {
	t.Helper()
	if err := c.WaitJoined(t.Context()); problemOf(err).Status != status {
		t.Errorf("the client is told %v", err)
	}
	<-c.over
	synctest.Wait()
	if _, err := c.gateway.Get(c.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("this node keeps it: %v", err)
	}
}

// usedCluster is a Cluster in which each key was used.
type usedCluster struct {
	heldCluster
	record string
	err    error
}

func (c *usedCluster) Record(context.Context, string) ([]byte, error) { return []byte(c.record), c.err }

// A key of a conversation that has ended is refused. If it has not ended, or the store does not
// say so, the client repeats the request. What was asked for does not take the place of that
// conversation.
func TestUsedKey(t *testing.T) {
	for _, test := range []struct {
		record string
		err    error
		status int
	}{
		{`{"ended":{}}`, nil, http.StatusUnprocessableEntity},
		{`{}`, nil, http.StatusServiceUnavailable},
		{`{`, nil, http.StatusServiceUnavailable},
		{"", context.DeadlineExceeded, http.StatusServiceUnavailable},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := New(&Options{Rehearse: true, Cluster: &usedCluster{record: test.record, err: test.err}})
			c, err := g.Create(Spec{To: Rehearsal}, Creator{"token", "key"})
			if err != nil {
				t.Fatal(err)
			}
			checkRefused(t, c, test.status)
		})
	}
}

// A client that repeats the request for a conversation while this node takes it over does not
// get another of the same id.
func TestCreationDuringTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(&Options{Rehearse: true, Cluster: loneCluster{}})
		by := Creator{"token", "key"}
		own := lostOwner{loading: make(chan struct{}), lost: make(chan struct{}), left: make(chan struct{})}
		if !g.Adopt(idOf(by), own, false) {
			t.Fatal("it was not adopted")
		}
		adopted, err := g.Get(idOf(by))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Create(Spec{To: Rehearsal}, by); problemOf(err).Status != http.StatusServiceUnavailable {
			t.Errorf("created: %v", err)
		}
		if c, _ := g.Get(adopted.ID); c != adopted {
			t.Error("another conversation has its id")
		}
		g.Close(t.Context())
	})
}
