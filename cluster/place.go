package cluster

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"

	"echocast/internal/nextversion"
)

// offer is the answer of a node that has free slots.
type offer struct {
	nextversion.Fields
	Node    string        `json:"node"`
	Address string        `json:"address"`
	Zone    string        `json:"zone,omitempty"`
	Free    int           `json:"free"`
	Late    time.Duration `json:"late"` // of chunks, in nanoseconds
}

// offersFor is how long Place waits for the offers of other nodes.
const offersFor = 30 * time.Millisecond

// answer offers this node for new conversations, as long as it has a slot.
func (c *Cluster) answer(g Gateway) error {
	_, err := c.conn.Subscribe(placeSubject, func(m *nats.Msg) {
		if free, late, ok := g.Load(); ok && free > 0 {
			text, _ := json.Marshal(offer{ // plain values
				Node: c.node, Address: c.options.Advertise, Zone: c.options.Zone, Free: free, Late: late,
			})
			_ = m.Respond(text) // who asked has others
		}
	})
	return err
}

// Place returns the address of the node that should take a new conversation. It prefers nodes
// in this node's zone, then nodes whose chunks are in time, then those with the most free
// slots. isHere says that it is this node; it is also true if no node answers.
func (c *Cluster) Place(ctx context.Context) (address string, isHere bool) {
	if c.server != nil {
		return "", true // there are no others
	}
	inbox := c.conn.NewRespInbox()
	answers := make(chan *nats.Msg, 64)
	subscription, err := c.conn.ChanSubscribe(inbox, answers)
	if err != nil {
		return "", true
	}
	defer func() { _ = subscription.Unsubscribe() }()
	if c.conn.PublishRequest(placeSubject, inbox, nil) != nil {
		return "", true
	}
	enough := time.NewTimer(offersFor)
	defer enough.Stop()
	best := offer{Node: c.node}
	for {
		select {
		case m := <-answers:
			var o offer
			if json.Unmarshal(m.Data, &o) == nil && c.isBetter(&o, &best) {
				best = o
			}
		case <-enough.C:
			return best.Address, best.Node == c.node
		case <-ctx.Done():
			return "", true
		}
	}
}

// isBetter compares two offers. At least one of them has a free slot.
func (c *Cluster) isBetter(a, b *offer) bool {
	if b.Free == 0 {
		return true
	}
	if here, there := a.Zone == c.options.Zone, b.Zone == c.options.Zone; here != there {
		return here
	}
	if slow, slower := a.Late > maxLate, b.Late > maxLate; slow != slower {
		return slower
	}
	return a.Free > b.Free
}
