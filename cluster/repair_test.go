package cluster

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"echocast/cluster/natstest"
)

// silentStreams is JetStream where no stream answers.
type silentStreams struct{ jetstream.JetStream }

func (silentStreams) Publish(ctx context.Context, _ string, _ []byte,
	_ ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// NATS may renew the leases and store nothing else. A write then fails after a while: its client
// would wait for ever.
func TestUnansweredWriteFails(t *testing.T) {
	for name, write := range map[string]func(*Hold, context.Context) error{
		"audio":    func(h *Hold, ctx context.Context) error { return h.AddAudio(ctx, "u1", nil) },
		"events":   func(h *Hold, ctx context.Context) error { return h.Append(ctx, nil) },
		"a record": func(h *Hold, ctx context.Context) error { return h.SaveRecord(ctx, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &Cluster{js: silentStreams{}, unwritten: make(chan struct{}, 1)}
				c.lease.TTL = DefaultTTL
				h := &Hold{cluster: c}
				h.until.Store(math.MaxInt64)
				begin := time.Now()
				if err := write(h, t.Context()); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the error is %v", err)
				}
				if took := time.Since(begin); took < writeTimeout || took > writeTimeout+DefaultTTL {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// What a node writes to find out whether NATS writes is no conversation for any node.
func TestProbeIsNoConversation(t *testing.T) {
	t.Parallel()
	o := Options{Servers: startNATS(t), TTL: still}
	n := openNode(t, o)
	for range 2 {
		if err := n.probe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	next := openNode(t, o)
	if _, _, isKnown := next.Owner("probe"); isKnown {
		t.Error("it is a conversation")
	}
	if record, err := next.Record(t.Context(), "probe"); record != nil || err != nil {
		t.Errorf("its record is %q, %v", record, err)
	}
}

// A node that holds nothing finds out that NATS is away.
func TestIdleNodeWithoutNATS(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, nil)
	n := openNode(t, Options{Servers: nats.ClientURL()})
	nats.Shutdown()
	waitFor(t, func() bool { return n.Failure() != nil })
	if err := n.Failure(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the failure is %v", err)
	}
}
