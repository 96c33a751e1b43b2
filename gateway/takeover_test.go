package gateway

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"echocast/internal/testwait"
	"echocast/room"
)

// gatedOwner is an Ownership of a conversation that is loaded once ready is closed.
type gatedOwner struct {
	keptOwner
	to          string // address of its room
	ready, lost chan struct{}
	gave, ended atomic.Int32
}

func newGatedOwner(to string) *gatedOwner {
	return &gatedOwner{to: to, ready: make(chan struct{}), lost: make(chan struct{})}
}

func (o *gatedOwner) Lost() <-chan struct{}                { return o.lost }
func (o *gatedOwner) Append(context.Context, []byte) error { return nil }
func (o *gatedOwner) Give(context.Context)                 { o.gave.Add(1) }
func (o *gatedOwner) End(context.Context) error {
	o.ended.Add(1)
	return nil
}

func (o *gatedOwner) Load(context.Context) (*Saved, error) {
	<-o.ready
	return &Saved{Record: fmtJSON(record{Spec: Spec{To: o.to}, By: Creator{Name: "t"}, Created: time.Now()})}, nil
}

// loneCluster is a Cluster without other nodes.
type loneCluster struct{ Cluster }

func (loneCluster) Failure() error                       { return nil }
func (loneCluster) Owner(string) (string, bool, bool)    { return "", true, true }
func (loneCluster) Peers() []string                      { return nil }
func (loneCluster) Place(context.Context) (string, bool) { return "", true }

// A node lists its conversations, counts them and creates others while it loads some that it
// takes over. The race detector checks it.
func TestListWhileTakingOver(t *testing.T) {
	t.Parallel()
	g := New(&Options{Rehearse: true, MaxPerToken: 3, Cluster: loneCluster{}})
	handler := g.Handler()
	var loading sync.WaitGroup
	for _, id := range []string{"c1", "c2"} {
		own := newGatedOwner(Rehearsal)
		g.Adopt(id, own, false)
		loading.Go(func() { close(own.ready) })
	}
	for _, path := range []string{"/v1/conversations", "/metrics"} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost"+path, nil))
		if w.Code != http.StatusOK {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	g.mu.Lock()
	count, same := g.countOf("t"), g.createdBy(Creator{"t", "k1"})
	g.mu.Unlock()
	if count > 2 || same != nil {
		t.Errorf("a token has %d conversations, and created %v", count, same)
	}
	loading.Wait()
	for _, c := range g.List() {
		if err := c.WaitJoined(testwait.Context(t)); err != nil {
			t.Error(err)
		}
	}
	g.Close(t.Context())
}

// A gateway that ends takes nothing over: nobody would end it.
func TestEndingGatewayAdoptsNothing(t *testing.T) {
	t.Parallel()
	g := New(&Options{Rehearse: true, Cluster: loneCluster{}})
	g.Close(t.Context())
	if own := newGatedOwner(Rehearsal); g.Adopt("c1", own, false) || len(g.List()) > 0 {
		close(own.ready)
		t.Error("it has taken a conversation over")
	}
}

// lateCluster is a Cluster whose other node answers only after it was asked for a second.
type lateCluster struct {
	loneCluster
	asked *int
}

func (c lateCluster) Place(context.Context) (string, bool) {
	*c.asked++
	return "", *c.asked < 33 // each time the cluster waits 30 ms for answers
}

// A node that ends hands its conversations over also where the others are busy.
func TestLateNodeIsFound(t *testing.T) {
	t.Parallel()
	asked := 0
	if g := New(&Options{Cluster: lateCluster{asked: &asked}}); !g.hasOthers(t.Context()) {
		t.Errorf("no other node was found after %d questions", asked)
	}
}

// waitingBackend joins no room before ctx ends.
type waitingBackend struct{ joining chan struct{} }

func (b waitingBackend) Join(ctx context.Context, _ string, _ *room.Options) (*room.Connection, error) {
	b.joining <- struct{}{}
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// A node that is told to end while it takes a conversation over hands it on, and does not end
// it.
func TestTakeoverIsHandedOnAtShutdown(t *testing.T) {
	t.Parallel()
	backend := waitingBackend{make(chan struct{}, 1)}
	g := New(&Options{
		Cluster: movedCluster{address: "http://127.0.0.1:1"},
		Backend: func(string) (room.Backend, error) { return backend, nil },
	})
	own := newGatedOwner("http://127.0.0.1:1")
	close(own.ready)
	g.Adopt("c1", own, false)
	testwait.Receive(t, backend.joining)
	g.Close(t.Context())
	if own.gave.Load() != 1 || own.ended.Load() > 0 {
		t.Errorf("the conversation was handed on %d times, and ended %d times", own.gave.Load(), own.ended.Load())
	}
}
