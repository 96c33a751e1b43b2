package gateway

import (
	"cmp"
	"context"
	"strings"

	"echocast/room"
	"echocast/room/daily"
	"echocast/room/rest"
	"echocast/tavus"
)

// How the room of a PAL is reached.
const (
	viaDaily = "daily"
	viaREST  = "rest"
)

// joinedRoom is a room that was joined, with what was created for it.
type joinedRoom struct {
	room    *room.Room
	tavus   *tavus.Conversation // nil if none was created
	standIn *standIn            // nil if the replica is in another process
	// isUnstored says that tavus may not be stored for the next node.
	isUnstored bool
}

// kindOf returns the kind of room that a Spec asks for, for metrics.
func kindOf(s *Spec) string {
	scheme, _, _ := strings.Cut(s.To, ":")
	switch {
	case s.To == Rehearsal:
		return Rehearsal
	case s.To == "":
		return cmp.Or(s.Via, viaDaily)
	case strings.HasPrefix(scheme, "livekit"):
		return "livekit"
	case scheme == rest.Scheme:
		return viaREST
	}
	if backend, err := room.Lookup(s.To); err == nil {
		if _, ok := backend.(*daily.Backend); ok {
			return viaDaily
		}
	}
	return "peer"
}

// enter creates the room of a Spec, if necessary, and joins it. The caller must leave the
// joinedRoom even after an error.
func (g *Gateway) enter(ctx context.Context, c *Conversation, p *joinedRoom) (err error) {
	s := &c.Spec
	options := room.Options{
		Microphone: s.Microphone, Avatar: s.Avatar, UserEvents: s.BargeIn || s.hearsUser(), Insecure: g.options.Insecure,
		Hear: s.heard() != "", HearRate: hearRate,
		Warn:    func(text string) { g.log.Warn(g.secrets.Secrets().Text(text), "kind", kindOf(s)) },
		MaySend: c.maySend(),
	}
	address := s.To
	switch {
	case s.To == Rehearsal:
		p.standIn = newStandIn(c.onReplica)
		options.Backend = p.standIn
	case s.PAL != "":
		if address, err = g.create(ctx, p, c, &options); err != nil {
			return err
		}
	case kindOf(s) == viaREST:
		options.Backend = g.rest
	}
	if options.Backend == nil && g.options.Backend != nil {
		if options.Backend, err = g.options.Backend(address); err != nil {
			return err
		}
	}
	p.room, err = room.Join(ctx, address, &options)
	return err
}

// create creates a conversation of Tavus, and returns the address of its room.
func (g *Gateway) create(
	ctx context.Context, p *joinedRoom, c *Conversation, o *room.Options,
) (address string, err error) {
	s := &c.Spec
	spec := s.tavus()
	if s.To != "" {
		backend, err := room.Lookup(s.To)
		if err != nil {
			return "", err
		}
		inviter, ok := backend.(room.Inviter)
		if !ok {
			return "", invalid("to", "a PAL joins its own room or a LiveKit room")
		}
		if spec.LiveKitURL, spec.LiveKitToken, err = inviter.Invite(s.To, s.Avatar); err != nil {
			return "", err
		}
	}
	if p.tavus == nil {
		if g.options.Cluster != nil {
			spec.Name = sharedName + c.ID
		}
		if p.tavus, err = tavus.Open(ctx, g.options.Client, spec); err != nil {
			return "", err
		}
		c.tavus = &p.tavus.Info
		if err := c.saveRecord(ctx, nil); err != nil {
			p.isUnstored = true
			return "", err
		}
	}
	g.secrets.Add(p.tavus.Token, spec.LiveKitToken)
	o.Conversation = p.tavus.ID
	switch {
	case s.To != "":
		return s.To, nil
	case s.Via == viaREST:
		o.Backend = g.rest
		return rest.Scheme + ":" + p.tavus.ID, nil
	}
	backend, err := g.options.dailyBackend()
	if err != nil {
		return "", err
	}
	backend.Token, o.Backend = p.tavus.Token, backend
	return "daily+" + p.tavus.URL, nil
}

// dailyBackend returns a copy of the backend that joins Daily rooms.
func (o *Options) dailyBackend() (*daily.Backend, error) {
	if o.Backend == nil {
		return &daily.Backend{}, nil
	}
	backend, err := o.Backend("daily+https://daily.invalid/room")
	if d, ok := backend.(*daily.Backend); ok && err == nil {
		own := *d
		return &own, nil
	}
	return &daily.Backend{}, err
}

// leave leaves the room once everything sent is delivered, and ends what was created.
func (p *joinedRoom) leave(ctx context.Context) error {
	p.leaveRoom()
	if p.tavus != nil {
		return p.tavus.Close(ctx)
	}
	return nil
}

// leaveRoom only leaves the room.
func (p *joinedRoom) leaveRoom() {
	if p.room != nil {
		_ = p.room.Close() // receipts report what was not delivered
	}
	if p.standIn != nil {
		p.standIn.close()
	}
}
