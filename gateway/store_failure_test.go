package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
)

// fullCluster is a Cluster that grants each conversation, and stores nothing.
type fullCluster struct {
	heldCluster
	failure error
}

func (c *fullCluster) Failure() error { return c.failure }
func (c *fullCluster) Create(context.Context, string) (Ownership, error) {
	return fullOwner{}, nil
}

// fullOwner is an Ownership of a conversation of which nothing is stored.
type fullOwner struct{ keptOwner }

var errFull = errors.New("no room")

func (fullOwner) SaveRecord(context.Context, []byte) error { return errFull }
func (fullOwner) Append(context.Context, []byte) error     { return nil }
func (fullOwner) End(context.Context) error                { return errFull }
func (fullOwner) Give(context.Context)                     {}
func (fullOwner) Lost() <-chan struct{}                    { return nil }

// A conversation that cannot be stored is not created, and its client is told why.
func TestConversationThatIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(&Options{Rehearse: true, Cluster: &fullCluster{}})
		c, err := g.Create(Spec{To: Rehearsal}, Creator{})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.WaitJoined(t.Context()); problemOf(err).Status != http.StatusInsufficientStorage {
			t.Errorf("the client is told %v", err)
		}
		<-c.over
	})
}

// While nothing can be stored, a node is not ready. It is offered conversations that lost their
// node nevertheless: once it can store again, it is to continue them. A node without a slot ends
// them.
func TestNodeThatCannotStore(t *testing.T) {
	t.Parallel()
	for failure, status := range map[error]int{
		errFull: http.StatusInsufficientStorage, context.DeadlineExceeded: http.StatusServiceUnavailable,
	} {
		g := New(&Options{Rehearse: true, Cluster: &fullCluster{failure: failure}})
		w := httptest.NewRecorder()
		g.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/readyz", nil))
		if w.Code != status {
			t.Errorf("%v: status %d", failure, w.Code)
		}
		if _, _, ok := g.Load(); !ok {
			t.Errorf("%v: the node has no slot", failure)
		}
	}
}
