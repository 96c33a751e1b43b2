package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"echocast/cluster/lease"
	"echocast/internal/nextversion"
)

// holder is the content of a lease's record: who holds the conversation.
type holder struct {
	nextversion.Fields
	Node    string `json:"node"` // empty: nobody holds it
	Address string `json:"address,omitempty"`
	Zone    string `json:"zone,omitempty"`
	Claim   string `json:"claim,omitempty"` // different for each claim
	Gave    string `json:"gave,omitempty"`  // the node that released it
}

// entry is what this node knows of one conversation. The cluster guards it.
type entry struct {
	id     string
	state  lease.State
	holder holder
	hold   *Hold // from the claim until it is lost
}

// Hold is a conversation that this node holds. Its methods may be called from any goroutine.
type Hold struct {
	cluster *Cluster
	entry   *entry
	id      string
	claim   string
	isLast  bool         // not renewed any more: it is released, or ends; the cluster guards it
	since   uint64       // the revision of the claim
	from    holder       // the holder before
	until   atomic.Int64 // when this node must stop, on its clock
	lost    chan struct{}

	published atomic.Int64 // messages so far

	appending sync.Mutex // of events
	sequence  uint64     // of the last batch of events

	recording sync.Mutex // of records
	revision  uint64     // of the last record
}

// MaySpeak reports whether this node still holds the conversation. The gateway asks before it
// sends anything to the room.
func (h *Hold) MaySpeak() bool { return int64(now()) < h.until.Load() }

// Lost is closed when this node no longer holds the conversation.
func (h *Hold) Lost() <-chan struct{} { return h.lost }

// Before returns the node that held the conversation before, or "" if it is new.
func (h *Hold) Before() (node string) { return cmp.Or(h.from.Node, h.from.Gave) }

// Create creates a conversation, and holds it. The error is ErrHeld if there is one with this
// id.
func (c *Cluster) Create(ctx context.Context, id string) (*Hold, error) {
	c.mu.Lock()
	_, isKnown := c.entries[id]
	c.mu.Unlock()
	if isKnown {
		return nil, ErrHeld
	}
	return c.claim(ctx, id)
}

// claim takes a conversation, if its lease is free.
func (c *Cluster) claim(ctx context.Context, id string) (*Hold, error) {
	h := &Hold{cluster: c, id: id, claim: randomHex(8), lost: make(chan struct{})}
	c.mu.Lock()
	e := c.entries[id]
	if e == nil {
		e = &entry{id: id}
		c.entries[id] = e
	}
	if e.hold != nil {
		c.mu.Unlock()
		return nil, ErrHeld
	}
	h.entry, h.from, e.hold = e, e.holder, h
	action := c.apply(e, lease.Event{Kind: lease.Want})
	if action != lease.Write {
		e.hold = nil
	}
	revision := e.state.Revision
	c.mu.Unlock()
	if action != lease.Write {
		return nil, ErrHeld
	}
	c.write(ctx, h, c.ownHolder(h.claim), revision)
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.state.Phase != lease.Held || e.hold != h {
		c.forget(h)
		return nil, ErrHeld
	}
	h.since = e.state.Revision
	return h, nil
}

// forget removes a claim that has failed. Where no record was seen, the conversation is not known
// either, so that it can be created again. The cluster is locked.
func (c *Cluster) forget(h *Hold) {
	e := h.entry
	if e.hold == h {
		e.hold = nil
	}
	if e.hold == nil && e.state.Revision == 0 && c.entries[h.id] == e {
		delete(c.entries, h.id)
	}
}

func (c *Cluster) ownHolder(claim string) holder {
	return holder{Node: c.node, Address: c.options.Advertise, Zone: c.options.Zone, Claim: claim}
}

// apply passes an event to the state of a lease. The cluster is locked. The caller carries out
// the action, except that apply itself stops the holding.
func (c *Cluster) apply(e *entry, event lease.Event) lease.Action {
	event.At = now()
	state, action := e.state.Next(event, c.lease)
	e.state = state
	if e.hold == nil {
		return action
	}
	e.hold.until.Store(int64(state.Until))
	if action == lease.Stop || action == lease.Release {
		e.hold.until.Store(0)
		close(e.hold.lost)
		e.hold = nil
	}
	return action
}

// write replaces the revision of a lease's record, and passes the result to the lease. The
// revision is the one from when the lease asked for the write: the record may belong to
// another node by now.
func (c *Cluster) write(ctx context.Context, h *Hold, as holder, revision uint64) {
	value, _ := json.Marshal(as) // strings
	ctx = context.WithoutCancel(ctx)
	within, cancel := c.bounded(ctx)
	defer cancel()
	written, err := c.put(within, h.id, value, revision)
	event := lease.Event{Kind: lease.Written, Revision: written}
	switch {
	case errors.Is(err, jetstream.ErrKeyRevisionMismatch), errors.Is(err, jetstream.ErrKeyExists):
		event.Kind = lease.Refused
	case err != nil:
		event.Kind = lease.Unanswered
		c.noteUnwritten()
		c.log.Warn("a lease was not written", "conversation", h.id, "error", err)
	}
	c.mu.Lock()
	if h.entry.state.IsWriting && err == nil {
		h.entry.holder = as
	}
	c.apply(h.entry, event)
	c.mu.Unlock()
	if err != nil {
		c.look(ctx, h.id)
	}
}

// look reads a lease's record when this node does not know its revision: the watch may be
// late, or restarting.
func (c *Cluster) look(ctx context.Context, id string) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	record, err := c.leases.Get(ctx, id)
	if err != nil {
		return // the watch delivers it later
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.see(record)
}

// put replaces a revision of a lease's record; revision 0 means that there is none.
func (c *Cluster) put(ctx context.Context, id string, value []byte, revision uint64) (uint64, error) {
	if revision == 0 {
		return c.leases.Create(ctx, id, value)
	}
	return c.leases.Update(ctx, id, value, revision)
}

// longestTick is the longest interval between two checks of the leases.
const longestTick = 100 * time.Millisecond

// renew renews the leases of this node, and stops the conversations with expired ones.
func (c *Cluster) renew(ctx context.Context) {
	ticker := time.NewTicker(min(c.lease.TTL/20, longestTick))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		c.mu.Lock()
		for _, e := range c.entries {
			h := e.hold
			if h != nil && !h.isLast && c.apply(e, lease.Event{Kind: lease.Tick}) == lease.Write {
				revision := e.state.Revision
				c.running.Go(func() { c.write(ctx, h, c.ownHolder(h.claim), revision) })
			}
		}
		orphans := c.orphans()
		c.mu.Unlock()
		for _, o := range orphans {
			c.running.Go(func() { c.adopt(ctx, o) })
		}
	}
}

// settle waits until no write is pending, and prevents new ones. It reports whether the
// conversation is still held.
func (h *Hold) settle(ctx context.Context) bool {
	for {
		h.cluster.mu.Lock()
		isHeld, isWriting := h.entry.hold == h, h.entry.state.IsWriting
		if isHeld {
			h.isLast = true
		}
		h.cluster.mu.Unlock()
		if !isHeld || !isWriting {
			return isHeld
		}
		select {
		case <-time.After(settleInterval):
		case <-ctx.Done():
			return false
		}
	}
}

// settleInterval is how often settle checks.
const settleInterval = 5 * time.Millisecond

// Give releases the conversation, so that another node can claim it at once. Nothing is sent
// any more before it does.
func (h *Hold) Give(ctx context.Context) {
	h.release(ctx, holder{Zone: h.cluster.options.Zone, Claim: h.claim, Gave: h.cluster.node})
}

// giveBack releases a conversation with which this node has done nothing. The next node
// goes on from what the one before has kept.
func (h *Hold) giveBack(ctx context.Context) {
	h.release(ctx, holder{Zone: h.from.Zone, Claim: h.from.Claim, Gave: h.Before()})
}

func (h *Hold) release(ctx context.Context, as holder) {
	if !h.settle(ctx) {
		return
	}
	c := h.cluster
	c.mu.Lock()
	action := c.apply(h.entry, lease.Event{Kind: lease.Give})
	revision := h.entry.state.Revision
	c.mu.Unlock()
	if action == lease.Release {
		c.write(ctx, h, as, revision)
	}
}

// End ends the conversation: no node claims it any more. Its description and its events can
// still be read. If NATS does not store the end, a node takes the conversation after the lease:
// this one too, because there may be no other.
func (h *Hold) End(ctx context.Context) error {
	if !h.settle(ctx) {
		return ErrLost
	}
	c := h.cluster
	c.mu.Lock()
	revision, isHeld := h.entry.state.Revision, h.entry.hold == h
	c.mu.Unlock()
	if !isHeld {
		return ErrLost // the record belongs to another node by now
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	err := c.leases.Purge(ctx, h.id, jetstream.LastRevision(revision), jetstream.PurgeTTL(markerTTL))
	hasEnded := err == nil
	if hasEnded { // otherwise what is stored may be the next node's
		err = h.dropAll(ctx)
	}
	c.mu.Lock()
	c.apply(h.entry, lease.Event{Kind: lease.Give})
	if hasEnded {
		delete(c.entries, h.id) // the watch delivers it later
	}
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}
