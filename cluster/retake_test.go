package cluster

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"echocast/internal/testwait"
)

// unansweredLeases are leases where NATS does not answer one request.
type unansweredLeases struct {
	jetstream.KeyValue
	request  string        // that is not answered: "create", "update" or "purge"
	isStored bool          // it is carried out nevertheless
	arrived  chan struct{} // closed when it has arrived; nil: nobody waits for it
	givenUp  chan struct{} // how long it takes; nil: no time
}

// answers reports whether a request is answered.
func (b *unansweredLeases) answers(request string) bool {
	if request != b.request {
		return true
	}
	b.request = ""
	if b.arrived != nil {
		close(b.arrived)
		<-b.givenUp
	}
	return false
}

func (b *unansweredLeases) Create(ctx context.Context, id string, value []byte,
	o ...jetstream.KVCreateOpt) (uint64, error) {
	if !b.answers("create") {
		return 0, context.DeadlineExceeded
	}
	return b.KeyValue.Create(ctx, id, value, o...)
}

func (b *unansweredLeases) Update(ctx context.Context, id string, value []byte, revision uint64) (uint64, error) {
	if !b.answers("update") {
		return 0, context.DeadlineExceeded
	}
	return b.KeyValue.Update(ctx, id, value, revision)
}

func (b *unansweredLeases) Purge(ctx context.Context, id string, o ...jetstream.KVDeleteOpt) error {
	if id == "probe" || b.answers("purge") {
		return b.KeyValue.Purge(ctx, id, o...)
	}
	if b.isStored {
		_ = b.KeyValue.Purge(ctx, id, o...) // the test sees whether it is
	}
	return context.DeadlineExceeded
}

// awaitKnown waits until a node has seen all records that were there before.
func awaitKnown(t *testing.T, n *node) {
	t.Helper()
	if _, err := n.leases.Put(t.Context(), "last", []byte(`{"node":"another"}`)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, _, isKnown := n.Owner("last"); return isKnown })
}

// A node whose lease lapses while it releases or ends the conversation, because NATS does not
// answer, takes it again when NATS is back: there may be no other node.
func TestLeaseThatLapsesInTheEndIsTakenAgain(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*Hold) error{
		"it releases it": func(h *Hold) error { h.Give(context.Background()); return ErrLost },
		"it ends it":     func(h *Hold) error { return h.End(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := openNode(t, Options{Servers: startNATS(t), TTL: still})
			h := n.hold(t, "c1")
			awaitKnown(t, n)
			renewal := &unansweredLeases{
				KeyValue: n.leases, request: "update", arrived: make(chan struct{}), givenUp: make(chan struct{}),
			}
			n.mu.Lock()
			n.leases = renewal
			h.entry.state.Asked -= n.lease.Renewal()
			n.mu.Unlock()
			testwait.Receive(t, renewal.arrived)
			left := make(chan error)
			go func() { left <- leave(h) }()
			waitFor(t, func() bool { n.mu.Lock(); defer n.mu.Unlock(); return h.isLast })
			lapse(t, "c1", n)
			close(renewal.givenUp)
			if err := testwait.Receive(t, left); !errors.Is(err, ErrLost) {
				t.Errorf("the end of a conversation that is lost: %v", err)
			}
			lapse(t, "c1", n)
			testwait.Receive(t, n.adopted)
		})
	}
}

// A conversation whose end NATS does not answer is taken again, also by the same node, unless NATS
// has stored the end.
func TestUnansweredEnd(t *testing.T) {
	t.Parallel()
	for name, isStored := range map[string]bool{"it is stored": true, "it is not stored": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := openNode(t, Options{Servers: startNATS(t), TTL: still})
			h := n.hold(t, "c1")
			awaitKnown(t, n)
			n.leases = &unansweredLeases{KeyValue: n.leases, request: "purge", isStored: isStored}
			if err := h.End(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the end: %v", err)
			}
			if h.MaySpeak() {
				t.Error("it may still speak")
			}
			if isStored {
				waitFor(t, func() bool { _, _, isKnown := n.Owner("c1"); return !isKnown })
				return
			}
			if _, _, isKnown := n.Owner("c1"); !isKnown {
				t.Fatal("it is not known any more")
			}
			lapse(t, "c1", n)
			testwait.Receive(t, n.adopted)
		})
	}
}

// A conversation whose creation NATS does not answer can be created when NATS is back.
func TestUnansweredCreation(t *testing.T) {
	t.Parallel()
	n := openNode(t, Options{Servers: startNATS(t), TTL: still})
	n.leases = &unansweredLeases{KeyValue: n.leases, request: "create"}
	if _, err := n.Create(t.Context(), "c1"); !errors.Is(err, ErrHeld) {
		t.Errorf("a creation without an answer: %v", err)
	}
	if _, _, isKnown := n.Owner("c1"); isKnown {
		t.Error("it is known")
	}
	if _, err := n.Create(t.Context(), "c1"); err != nil {
		t.Error(err)
	}
}
