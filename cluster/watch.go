package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"echocast/cluster/lease"
)

// Gateway is what a cluster needs from the gateway of this node.
type Gateway interface {
	// Load returns how many conversations this node can take, and how late its chunks leave.
	// If ok is false, it takes none.
	Load() (free int, late time.Duration, ok bool)
	// Adopt takes over a conversation that lost its node, unless the gateway is ending. It
	// returns at once. If isLastResort is set, no node has a slot for the conversation, so Adopt
	// only ends it.
	Adopt(id string, h *Hold, isLastResort bool) (isTaken bool)
}

// Serve lets a gateway take over conversations, and offers it for new ones.
func (c *Cluster) Serve(g Gateway) error {
	c.mu.Lock()
	c.gateway = g
	c.mu.Unlock()
	return c.answer(g)
}

// watch follows the records of all leases until ctx ends. It calls isKnown when it has seen
// the existing ones. NATS ends a watch if it cannot recreate its consumer after a loss; then
// watch starts another one.
func (c *Cluster) watch(ctx context.Context, isKnown func()) {
	for {
		err := c.watchOnce(ctx, isKnown)
		select {
		case <-time.After(joinPause):
			c.log.Warn("NATS ended the watch of the leases; watching again", "error", err)
		case <-ctx.Done():
			return
		}
	}
}

// watchOnce runs one watch. It also ends if NATS does not list the existing records in time.
func (c *Cluster) watchOnce(ctx context.Context, isKnown func()) error {
	watcher, err := c.leases.WatchAll(ctx) // it ends with ctx
	if err != nil {
		return err
	}
	tooLong := time.AfterFunc(tryTimeout, func() { _ = watcher.Stop() })
	defer tooLong.Stop()
	for update := range watcher.Updates() {
		if update == nil {
			tooLong.Stop()
			isKnown()
			continue
		}
		c.mu.Lock()
		c.see(update)
		c.mu.Unlock()
	}
	return errNotKnown
}

// see records an update. The cluster is locked.
func (c *Cluster) see(update jetstream.KeyValueEntry) {
	e := c.entries[update.Key()]
	if update.Operation() != jetstream.KeyValuePut {
		if e == nil {
			return
		}
		c.apply(e, lease.Event{Kind: lease.Saw, Revision: update.Revision(), Holder: lease.Nobody})
		if update.Revision() >= e.state.Revision {
			delete(c.entries, update.Key())
		}
		return
	}
	if e == nil {
		e = &entry{id: update.Key()}
		c.entries[update.Key()] = e
	}
	var by holder
	_ = json.Unmarshal(update.Value(), &by) // a record that cannot be read has no holder
	event := lease.Event{Kind: lease.Saw, Revision: update.Revision(), Holder: lease.Other}
	switch {
	case by.Node == "":
		event.Holder = lease.Nobody
	case e.hold != nil && by.Claim == e.hold.claim:
		event.Holder = lease.Us
	}
	if update.Revision() > e.state.Revision {
		e.holder = by
	}
	c.apply(e, event)
}

// Owner returns the address of the node that holds a conversation, or was the last to hold it.
// isHere says that it is this node. isKnown is false if there is no such conversation.
func (c *Cluster) Owner(id string) (address string, isHere, isKnown bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[id]
	if e == nil {
		return "", false, false
	}
	return e.holder.Address, e.hold != nil, true
}

// Peers returns the addresses of the other nodes that hold conversations.
func (c *Cluster) Peers() (addresses []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		a := e.holder.Address
		if e.holder.Node != "" && e.holder.Node != c.node && !slices.Contains(addresses, a) {
			addresses = append(addresses, a)
		}
	}
	slices.Sort(addresses)
	return addresses
}

// How much later than other nodes a node claims an orphan: the fuller it is the later, and
// later in another zone. A full node waits for lastResort.
const (
	fullDelay  = 150 * time.Millisecond
	zoneDelay  = 250 * time.Millisecond
	lastResort = 10 * time.Second
	maxLate    = 50 * time.Millisecond // a node with chunks later than this counts as full
)

// orphan is a conversation that has lost its node, or was released.
type orphan struct {
	id        string
	isOverdue bool // no node with a slot has claimed it in time
}

// orphans are those that this node claims now, one for each of its slots. The cluster is
// locked.
func (c *Cluster) orphans() (all []orphan) {
	if c.gateway == nil {
		return nil
	}
	free, late, ok := c.gateway.Load()
	for id, e := range c.entries {
		if e.hold != nil || e.state.Phase != lease.Watching || e.state.IsWriting || e.state.Revision == 0 {
			continue
		}
		since := now() - e.state.Seen
		if e.state.Holder != lease.Nobody {
			since -= c.lease.TTL
		}
		if since >= c.delay(e, free, late, ok) {
			all = append(all, orphan{id, since >= lastResort})
			free--
		}
	}
	return all
}

// delay returns how long this node leaves an orphan to others.
func (c *Cluster) delay(e *entry, free int, late time.Duration, ok bool) (d time.Duration) {
	if !ok || free < 1 {
		return lastResort
	}
	d = fullDelay / time.Duration(free) * time.Duration(1+min(late, maxLate)/(maxLate/4))
	if e.holder.Zone != c.options.Zone {
		d += zoneDelay
	}
	return min(d, fullDelay+zoneDelay)
}

// adopt claims an orphan, and gives it to the gateway. Where that has no slot any more, the
// others may have one, unless the orphan is overdue.
func (c *Cluster) adopt(ctx context.Context, o orphan) {
	h, err := c.claim(ctx, o.id)
	if err != nil {
		return // another node was faster
	}
	if !c.offerToGateway(h, o) {
		h.giveBack(ctx)
	}
}

// offerToGateway gives the gateway an orphan that this node has claimed, if there is a slot for
// it or nobody else has one.
func (c *Cluster) offerToGateway(h *Hold, o orphan) (isTaken bool) {
	c.adopting.Lock() // until the next one sees that the slot is taken
	defer c.adopting.Unlock()
	c.mu.Lock()
	g := c.gateway
	c.mu.Unlock()
	free, _, ok := g.Load()
	hasSlot := ok && free > 0
	if !hasSlot && !o.isOverdue {
		return false
	}
	if !g.Adopt(o.id, h, !hasSlot) {
		return false
	}
	c.log.Info("a conversation is taken over", "conversation", o.id, "from", cmp.Or(h.from.Node, "nobody"))
	return true
}
