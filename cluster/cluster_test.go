package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"echocast/cluster/lease"
	"echocast/cluster/natstest"
	"echocast/internal/proxytest"
	"echocast/internal/testwait"
)

// startNATS starts a NATS server, and returns its URL.
func startNATS(t testing.TB) string { return natstest.URLs(natstest.Start(t, nil)) }

// node is a Gateway that adopts what it is given.
type node struct {
	*Cluster
	free    atomic.Int32 // slots
	ended   atomic.Int32 // conversations that are taken only to be ended
	adopted chan *Hold
	ending  atomic.Bool // it takes none any more
}

func (n *node) Load() (int, time.Duration, bool) {
	free := int(n.free.Load())
	return free, 0, free > 0
}

func (n *node) Adopt(_ string, h *Hold, isLastResort bool) (isTaken bool) {
	if n.ending.Load() {
		n.free.Store(0)
		return false
	}
	n.free.Add(-1)
	if isLastResort {
		n.ended.Add(1)
	}
	n.adopted <- h
	return true
}

func openNode(t *testing.T, o Options) *node {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	c, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	n := &node{Cluster: c, adopted: make(chan *Hold, 10)}
	n.free.Store(10)
	if err := c.Serve(n); err != nil {
		t.Fatal(err)
	}
	return n
}

// hold creates a conversation on the node.
func (n *node) hold(t *testing.T, id string) *Hold {
	t.Helper()
	h, err := n.Create(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// still is a TTL that no test waits for: no lease lapses, and no request is given up, however
// slow the machine is.
const still = time.Hour

// lapse makes the lease of a conversation lapse that its holder, the first node, cannot renew: as
// if TTL had passed on all nodes.
func lapse(t *testing.T, id string, nodes ...*node) {
	t.Helper()
	revision := func(n *node) uint64 {
		n.mu.Lock()
		defer n.mu.Unlock()
		if e := n.entries[id]; e != nil {
			return e.state.Revision
		}
		return 0
	}
	for _, n := range nodes { // the holder stops first
		waitFor(t, func() bool { return revision(n) == revision(nodes[0]) })
		n.mu.Lock()
		e := n.entries[id]
		e.state.Seen -= n.lease.TTL
		e.state.Until -= n.lease.TTL
		if e.hold != nil {
			e.hold.until.Store(int64(e.state.Until))
		}
		n.mu.Unlock()
	}
}

// healer heals a network once something is logged.
type healer struct{ *proxytest.Proxy }

func (h healer) Write(line []byte) (int, error) {
	h.Heal()
	return len(line), nil
}

// A node joins a NATS that does not answer at first.
func TestNATSIsSlow(t *testing.T) {
	t.Parallel()
	cable := natstest.NewProxy(t, natstest.Address(natstest.Start(t, nil)))
	cable.Cut()
	log := slog.New(slog.NewTextHandler(healer{cable}, nil))
	c, err := Open(t.Context(), Options{Servers: "nats://" + cable.Address(), TTL: still, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close() // never fails
}

// A node that is told to end while NATS does not answer tries no more.
func TestNATSIsSilent(t *testing.T) {
	t.Parallel()
	cable := natstest.NewProxy(t, natstest.Address(natstest.Start(t, nil)))
	cable.Cut()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	log := slog.New(slog.NewTextHandler(healer{cable}, nil)) // a second try would come through
	c, err := Open(ctx, Options{Servers: "nats://" + cable.Address(), TTL: still, Log: log})
	if c != nil || !isTimeout(err) {
		t.Errorf("opened: %v", err)
	}
}

// Another node takes over the conversation of a lost node with everything that was stored. The
// lost node can store nothing more.
func TestTakeover(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	first := openNode(t, Options{Servers: url, Advertise: "http://first", TTL: still})
	second := openNode(t, Options{Servers: url, Advertise: "http://second", TTL: still})
	ctx := t.Context()
	h, err := first.Create(ctx, "c1")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		h.SaveRecord(ctx, []byte("record")), h.Append(ctx, []byte("one")), h.Append(ctx, []byte("two")),
		h.AddAudio(ctx, "u1", []byte("a")), h.AddAudio(ctx, "u2", []byte("b")), h.AddAudio(ctx, "u1", []byte("d")),
		h.AddAudio(ctx, "u3", []byte("c")), h.DropAudio(ctx, "u3"), h.SaveProgress(ctx, []byte(`{"at":1}`)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := second.Create(ctx, "c1"); !errors.Is(err, ErrHeld) {
		t.Errorf("a second node holds the conversation too: %v", err)
	}
	first.cancel() // it renews no more
	lapse(t, "c1", first, second)
	taken := testwait.Receive(t, second.adopted)
	if h.MaySpeak() {
		t.Error("two nodes may speak")
	}
	saved, err := taken.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if string(saved.Record) != "record" || string(slices.Concat(saved.Events...)) != "onetwo" ||
		string(saved.Progress) != `{"at":1}` || len(saved.Audio) != 2 ||
		string(slices.Concat(saved.Audio[0].Pieces...)) != "ad" ||
		string(slices.Concat(saved.Audio[1].Pieces...)) != "b" {
		t.Errorf("loaded: %+v", saved)
	}
	if err := taken.Append(ctx, []byte("three")); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"an event": h.Append(ctx, []byte("late")), "audio": h.AddAudio(ctx, "u4", []byte("late")),
		"the removal": h.DropAudio(ctx, "u1"),
	} {
		if !errors.Is(err, ErrLost) {
			t.Errorf("%s of the node that was gone: %v", what, err)
		}
	}
	if batches, err := second.Events(ctx, "c1"); err != nil || string(slices.Concat(batches...)) != "onetwothree" {
		t.Errorf("events: %q, %v", batches, err)
	}
	if err := taken.End(context.WithoutCancel(ctx)); err != nil {
		t.Error(err)
	}
	if _, err := second.Create(ctx, "c1"); err != nil {
		t.Errorf("a conversation that has ended cannot be made again: %v", err)
	}
}

// A node reads what is stored with several requests and without a consumer, on which all NATS
// servers would have to agree. Another node that stops loading does no harm.
func TestLoadMakesNoConsumer(t *testing.T) {
	t.Parallel()
	n := openNode(t, Options{Servers: startNATS(t), TTL: still})
	ctx := t.Context()
	h, err := n.Create(ctx, "c1")
	if err != nil {
		t.Fatal(err)
	}
	const pieces = mostRead + 10
	for i := range pieces {
		if err := h.AddAudio(ctx, "u1", []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(h.Append(ctx, []byte("one")), h.AddAudio(ctx, markToken+"another", nil)); err != nil {
		t.Fatal(err)
	}
	saved, err := h.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(saved.Audio) != 1 || len(saved.Audio[0].Pieces) != pieces || len(saved.Events) != 1 {
		t.Errorf("%d utterances and %d batches of events were loaded", len(saved.Audio), len(saved.Events))
	}
	for _, name := range []string{audioStream, eventsStream} {
		stream, err := n.js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if count := stream.CachedInfo().State.Consumers; count > 0 {
			t.Errorf("%s has %d consumers", name, count)
		}
	}
}

// A replica of the stream that is late does not end the reading: it is asked again until it
// has everything.
func TestReadWaitsForALateReplica(t *testing.T) {
	t.Parallel()
	n := openNode(t, Options{Servers: startNATS(t), TTL: still})
	h := n.hold(t, "c1")
	if err := h.AddAudio(t.Context(), "u1", []byte("a")); err != nil {
		t.Fatal(err)
	}
	var read []byte
	err := n.read(t.Context(), audioStream, audioSubject+"c1.*", 2, func(m *nats.Msg) {
		if read = append(read, m.Data...); len(read) == 1 {
			if err := h.AddAudio(t.Context(), "u1", []byte("b")); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil || string(read) != "ab" {
		t.Errorf("read: %q, %v", read, err)
	}
}

// A node that is cut off from NATS has stopped before another takes over its conversation.
// What it sent in the meantime arrives when the network is whole again, and is ignored.
func TestNodeCutOffFromNATS(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, nil)
	cable := natstest.NewProxy(t, natstest.Address(nats))
	const ages = time.Minute // a quarter of it is enough for an answer that never comes
	first := openNode(t, Options{Servers: "nats://" + cable.Address(), TTL: ages})
	second := openNode(t, Options{Servers: nats.ClientURL(), TTL: ages})
	ctx := t.Context()
	h, err := first.Create(ctx, "c1")
	if err == nil {
		err = errors.Join(h.AddAudio(ctx, "u1", []byte("a")), h.Append(ctx, []byte("one")))
	}
	if err != nil {
		t.Fatal(err)
	}
	cable.Cut()
	late, sent := make(chan error, 3), first.conn.Stats().OutMsgs
	for _, send := range []func() error{
		func() error { return h.AddAudio(ctx, "u1", []byte("late")) },
		func() error { return h.AddAudio(ctx, "u2", []byte("late")) },
		func() error { return h.Append(ctx, []byte("late")) },
	} {
		go func() { late <- send() }()
	}
	waitFor(t, func() bool { return first.conn.Stats().OutMsgs >= sent+3 })
	lapse(t, "c1", first, second)
	taken := testwait.Receive(t, second.adopted)
	if h.MaySpeak() {
		t.Error("two nodes may speak")
	}
	if _, err := taken.Load(ctx); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(taken.AddAudio(ctx, "u1", []byte("b")), taken.Append(ctx, []byte("two"))); err != nil {
		t.Fatal(err)
	}
	cable.Heal()
	for range 3 {
		if err := testwait.Receive(t, late); err == nil {
			t.Error("the node that was cut off believes that something is kept")
		}
	}
	if _, err := first.Record(ctx, "c1"); err != nil { // after what it sent
		t.Fatal(err)
	}
	second.free.Store(0)
	taken.Give(ctx)
	saved, err := testwait.Receive(t, first.adopted).Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(saved.Audio) != 1 || string(slices.Concat(saved.Audio[0].Pieces...)) != "ab" ||
		string(slices.Concat(saved.Events...)) != "onetwo" {
		t.Errorf("after the split %q is kept, and the events %q", saved.Audio, saved.Events)
	}
}

// A node that loses a conversation while it loads it may have sent its mark already, and that
// arrives late: what the next node keeps counts nevertheless. A mark of an earlier version
// has no revision.
func TestLateMark(t *testing.T) {
	t.Parallel()
	o, ctx := Options{Servers: startNATS(t), TTL: still}, t.Context()
	first, second := openNode(t, o), openNode(t, o)
	created, err := first.Create(ctx, "c1")
	if err != nil {
		t.Fatal(err)
	}
	first.free.Store(0)
	created.Give(ctx)
	lost := testwait.Receive(t, second.adopted)
	first.free.Store(1)
	second.free.Store(0)
	lost.Give(ctx)
	next := testwait.Receive(t, first.adopted)
	if _, err := next.publishOnce(ctx, audioSubject+"c1."+markToken+"earlier", nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := next.Load(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := lost.mark(ctx); err != nil {
		t.Fatal(err)
	}
	err = errors.Join(next.AddAudio(ctx, "u1", []byte("a")), lost.AddAudio(ctx, "u1", []byte("late")))
	if !errors.Is(err, ErrLost) {
		t.Fatal(err)
	}
	second.free.Store(1)
	next.Give(ctx)
	saved, err := testwait.Receive(t, second.adopted).Load(ctx)
	if err != nil || len(saved.Audio) != 1 || string(slices.Concat(saved.Audio[0].Pieces...)) != "a" {
		t.Errorf("%+v is kept, %v", saved, err)
	}
}

// A claim names the revision that the record had when the lease was free: if the holder has
// renewed the record since, the claim fails.
func TestClaimOfRenewedRecordFails(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	first := openNode(t, Options{Servers: url, TTL: still}) // it renews nothing meanwhile
	second := openNode(t, Options{Servers: url, TTL: still})
	ctx := t.Context()
	held, err := first.Create(ctx, "c1")
	if err != nil {
		t.Fatal(err)
	}
	seen := func() lease.State {
		second.mu.Lock()
		defer second.mu.Unlock()
		if e := second.entries["c1"]; e != nil {
			return e.state
		}
		return lease.State{}
	}
	waitFor(t, func() bool { return seen().Revision > 0 })
	second.mu.Lock()
	e := second.entries["c1"]
	e.state.Holder = lease.Nobody // as if it had lapsed
	e.hold = &Hold{cluster: second.Cluster, entry: e, id: "c1", claim: "second", lost: make(chan struct{})}
	h, action, revision := e.hold, second.apply(e, lease.Event{Kind: lease.Want}), e.state.Revision
	second.mu.Unlock()
	if action != lease.Write {
		t.Fatalf("action %v", action)
	}
	renewed, err := first.put(ctx, "c1", []byte(`{"node":"first","claim":"`+held.claim+`"}`), revision)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return seen().Revision == renewed })
	second.write(ctx, h, second.ownHolder("second"), revision)
	if now := seen(); now.Phase != lease.Watching {
		t.Errorf("the second node has taken it: %+v", now)
	}
}

// A node with a late watch learns the revision when its claim is refused.
func TestRefusedClaimLearnsRevision(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	first := openNode(t, Options{Servers: url, TTL: still})
	held := first.hold(t, "c1")
	first.mu.Lock()
	before := held.entry.state.Revision
	first.mu.Unlock()
	renewed, err := first.put(t.Context(), "c1", []byte(`{"node":"first"}`), before)
	if err != nil {
		t.Fatal(err)
	}
	second := &Cluster{log: first.log, entries: map[string]*entry{}, leases: first.leases, lease: first.lease}
	second.entries["c1"] = &entry{id: "c1", state: lease.State{Revision: before}}
	if _, err := second.claim(t.Context(), "c1"); !errors.Is(err, ErrHeld) {
		t.Errorf("a claim that names an old revision: %v", err)
	}
	if state := second.entries["c1"].state; state.Revision != renewed || state.Holder != lease.Other {
		t.Errorf("the record has revision %d, and the node knows %+v", renewed, state)
	}
}

// endingWatch is a bucket with a first watch that ends at once.
type endingWatch struct {
	jetstream.KeyValue
	ended atomic.Bool
}

func (b *endingWatch) WatchAll(ctx context.Context, o ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	w, err := b.KeyValue.WatchAll(ctx, o...)
	if err == nil && b.ended.CompareAndSwap(false, true) {
		err = w.Stop()
	}
	return w, err
}

// lateLeases are the leases of a node that was paused: it has not seen yet that another node
// has taken the conversation over.
type lateLeases struct{ jetstream.KeyValue }

func (b lateLeases) Purge(ctx context.Context, id string, o ...jetstream.KVDeleteOpt) error {
	if _, err := b.Put(ctx, id, []byte(`{"node":"next"}`)); err != nil {
		return err
	}
	return b.KeyValue.Purge(ctx, id, o...)
}

// A node that ends a conversation which another node has just taken over deletes nothing that
// this one has kept.
func TestLateEndDeletesNothing(t *testing.T) {
	t.Parallel()
	n := openNode(t, Options{Servers: startNATS(t), TTL: still})
	h := n.hold(t, "c1")
	if err := h.AddAudio(t.Context(), "u1", []byte("a")); err != nil {
		t.Fatal(err)
	}
	n.leases = lateLeases{n.leases}
	if err := h.End(t.Context()); err == nil {
		t.Error("it has ended a conversation of another node")
	}
	kept, err := n.latest(t.Context(), audioStream, audioSubject+"c1.u1")
	if string(kept.Data) != "a" || err != nil {
		t.Errorf("%q is kept, %v", kept.Data, err)
	}
}

// What is loaded has the age that NATS saw.
func TestAgeOfWhatIsLoaded(t *testing.T) {
	n := openNode(t, Options{Servers: startNATS(t), TTL: still})
	h := n.hold(t, "c1")
	h.from.Claim = h.claim // what it stores counts as that of the node before
	begin := time.Now()
	err := errors.Join(h.AddAudio(t.Context(), "u1", []byte("a")), h.SaveProgress(t.Context(), []byte("{}")))
	if err != nil {
		t.Fatal(err)
	}
	stored := time.Now()
	for range 3 { // each takes its time
		if err := h.AddAudio(t.Context(), "u1", []byte("b")); err != nil {
			t.Fatal(err)
		}
	}
	least := time.Since(stored)
	s, err := h.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	most := time.Since(begin)
	for what, age := range map[string]time.Duration{"the progress": s.ProgressAge, "the audio": s.Audio[0].Age} {
		if age < least || age > 2*most { // the way to NATS counts twice
			t.Errorf("%s is %v old, it was stored between %v and %v before", what, age, least, most)
		}
	}
}

// A watch that NATS ends starts again: without it a node takes over nothing, and does not know
// which node holds which conversation.
func TestWatchRestarts(t *testing.T) {
	t.Parallel()
	first := openNode(t, Options{Servers: startNATS(t), TTL: still})
	first.hold(t, "c1")
	ctx, cancel := context.WithCancel(t.Context())
	second := &Cluster{log: first.log, entries: map[string]*entry{}, leases: &endingWatch{KeyValue: first.leases}}
	known := make(chan struct{}, 1)
	second.running.Go(func() { second.watch(ctx, func() { known <- struct{}{} }) })
	testwait.Receive(t, known)
	if _, _, isKnown := second.Owner("c1"); !isKnown {
		t.Error("the second node does not know the conversation")
	}
	cancel()
	second.running.Wait()
}

// waitFor waits until a condition is true.
func waitFor(t *testing.T, isSo func() bool) {
	t.Helper()
	for begin := time.Now(); !isSo(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > testwait.Limit {
			t.Fatal("it did not come")
		}
	}
}

// A released conversation is taken at once, by a node that has a slot.
func TestReleasedConversationIsTaken(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	first := openNode(t, Options{Servers: url, TTL: still})
	full := openNode(t, Options{Servers: url, TTL: still})
	full.free.Store(0)
	h := first.hold(t, "c1")
	first.free.Store(0)
	second := openNode(t, Options{Servers: url, TTL: still})
	h.Give(t.Context())
	if h.MaySpeak() {
		t.Error("a node may speak after it gave the conversation away")
	}
	testwait.Receive(t, second.adopted)
	if len(full.adopted)+len(first.adopted) > 0 {
		t.Error("a node without a slot took it")
	}
}

// A node that is told to end just when it claims a conversation releases it again, with the
// earlier node's progress.
func TestEndingNodeReleasesWhatItClaims(t *testing.T) {
	t.Parallel()
	o := Options{Servers: startNATS(t), TTL: still}
	first, ending, second := openNode(t, o), openNode(t, o), openNode(t, o)
	ending.ending.Store(true)
	second.free.Store(0)
	h := first.hold(t, "c1")
	if err := h.SaveProgress(t.Context(), []byte(`{"at":1}`)); err != nil {
		t.Fatal(err)
	}
	first.free.Store(0)
	h.Give(t.Context())
	waitFor(t, func() bool { return ending.free.Load() == 0 })
	second.free.Store(10)
	saved, err := testwait.Receive(t, second.adopted).Load(t.Context())
	if err != nil || string(saved.Progress) != `{"at":1}` {
		t.Errorf("loaded %+v, %v", saved, err)
	}
}

// A node takes over only as many conversations as it has slots, whatever it saw before. The
// others get the rest, with the earlier node's progress.
func TestTakeoversAreLimitedBySlots(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	o := Options{Servers: url, TTL: still}
	first, small := openNode(t, o), openNode(t, o)
	small.free.Store(1)
	o.Zone = "another"
	large := openNode(t, o)
	large.free.Store(0)
	ctx := t.Context()
	var holds []*Hold
	for _, id := range []string{"c1", "c2", "c3"} {
		h, err := first.Create(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.SaveProgress(ctx, []byte(`{"at":1}`)); err != nil {
			t.Fatal(err)
		}
		holds = append(holds, h)
	}
	first.free.Store(0)
	for _, h := range holds {
		h.Give(ctx)
	}
	testwait.Receive(t, small.adopted)
	for _, h := range holds {
		small.adopt(ctx, orphan{id: h.id}) // as if it had seen that its slot is free
	}
	large.free.Store(10)
	for range 2 {
		h := testwait.Receive(t, large.adopted)
		if saved, err := h.Load(ctx); err != nil || string(saved.Progress) != `{"at":1}` {
			t.Errorf("loaded %+v, %v", saved, err)
		}
		if h.Before() != first.node {
			t.Errorf("it was taken over from %s, not from %s", h.Before(), first.node)
		}
	}
	if n := len(small.adopted); n > 0 || small.ended.Load() > 0 {
		t.Errorf("the node with one slot took %d more, and ended %d", n, small.ended.Load())
	}
}

// A node claims one conversation for each of its slots, and all that are overdue.
func TestClaimsAreLimitedBySlots(t *testing.T) {
	t.Parallel()
	n := &node{Cluster: &Cluster{entries: map[string]*entry{}}}
	n.gateway = n
	for _, id := range []string{"c1", "c2", "c3"} {
		n.entries[id] = &entry{id: id, state: lease.State{Revision: 1, Seen: now() - lastResort/2}}
	}
	n.free.Store(2)
	if claimed := n.orphans(); len(claimed) != 2 || claimed[0].isOverdue || claimed[1].isOverdue {
		t.Errorf("with two slots it claims %+v", claimed)
	}
	for _, e := range n.entries {
		e.state.Seen -= lastResort
	}
	if claimed := n.orphans(); len(claimed) != 3 || !claimed[0].isOverdue {
		t.Errorf("of three that are overdue it claims %+v", claimed)
	}
}

// A record that arrives after the next node has stored one does not replace it.
func TestLateRecordIsRefused(t *testing.T) {
	n := openNode(t, Options{Servers: startNATS(t), TTL: still})
	h := n.hold(t, "c1")
	for _, text := range []string{"1", "2"} {
		if err := h.SaveRecord(t.Context(), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.conversations.Put(t.Context(), "c1", []byte("of the next node")); err != nil {
		t.Fatal(err)
	}
	if err := h.SaveRecord(t.Context(), []byte("late")); !errors.Is(err, ErrLost) {
		t.Errorf("it is stored: %v", err)
	}
	if text, err := n.Record(t.Context(), "c1"); string(text) != "of the next node" {
		t.Errorf("the record is %q, %v", text, err)
	}
}

// hungUp is JetStream as seen by a client that hangs up: it stores what was sent, but nobody
// waits for the answer.
type hungUp struct {
	jetstream.JetStream
	hangUp context.CancelFunc
}

func (s hungUp) Publish(ctx context.Context, subject string, data []byte,
	o ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	s.hangUp()
	ack, err := s.JetStream.Publish(context.WithoutCancel(ctx), subject, data, o...)
	return ack, errors.Join(err, ctx.Err())
}

// A client that hangs up while its request is stored does not make the node lose its place:
// what it stores next is not taken for a late message.
func TestHangingUpLosesNoPlace(t *testing.T) {
	t.Parallel()
	n := openNode(t, Options{Servers: startNATS(t), TTL: still})
	h := n.hold(t, "c1")
	js := n.js
	for name, store := range map[string]func(context.Context, []byte) error{
		"a record": h.SaveRecord, "events": h.Append,
	} {
		ctx, hangUp := context.WithCancel(t.Context())
		n.js = hungUp{js, hangUp}
		_ = store(ctx, []byte("1")) // it may fail
		n.js = js
		if err := store(t.Context(), []byte("2")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A full store refuses audio, so that it is not acknowledged, and keeps what it has.
func TestFullStoreRefusesAudio(t *testing.T) {
	t.Parallel()
	n := openNode(t, Options{Servers: startNATS(t), TTL: still})
	ctx := t.Context()
	config := n.audio.CachedInfo().Config
	config.MaxBytes = 64 << 10
	if _, err := n.js.UpdateStream(ctx, config); err != nil {
		t.Fatal(err)
	}
	h, err := n.Create(ctx, "c1")
	if err != nil {
		t.Fatal(err)
	}
	kept, piece := 0, make([]byte, 8<<10)
	for range 20 {
		if err = h.AddAudio(ctx, "u1", piece); err != nil {
			break
		}
		kept++
	}
	if err == nil || kept == 0 {
		t.Fatalf("%d pieces were kept, then %v", kept, err)
	}
	saved, err := h.Load(ctx)
	if err != nil || len(saved.Audio) != 1 || len(saved.Audio[0].Pieces) != kept {
		t.Errorf("of %d pieces that were kept %+v is left: %v", kept, len(saved.Audio), err)
	}
	if err := n.askToWrite(ctx); err != nil {
		t.Errorf("the node accepts nothing any more: %v", err)
	}
}

// What JetStream says while it chooses a leader, or while several servers still write the first
// copy of a message, passes. That there is no room does not.
func TestWhichAnswersAreFinal(t *testing.T) {
	t.Parallel()
	for code, status := range map[jetstream.ErrorCode]int{stillWriting: 409, 10009: 500, 10118: 500, 10008: 503} {
		if isFinal(&jetstream.APIError{Code: status, ErrorCode: code}) {
			t.Errorf("after error %d it is not published again", code)
		}
	}
	if !isFinal(&jetstream.APIError{Code: 400, ErrorCode: 10077}) {
		t.Error("a full store is asked again and again")
	}
}
