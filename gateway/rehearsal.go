package gateway

import (
	"context"
	"sync"

	"echocast/internal/memconn"
	"echocast/replica"
	"echocast/room"
)

// Rehearsal is the address of a conversation with a stand-in replica in this
// process: nobody hears it, and it costs nothing.
const Rehearsal = "rehearsal"

// standIn joins rooms in memory that have a stand-in replica each. Nothing leaves
// the process.
type standIn struct {
	life    context.Context //nolint:containedctx // of the replicas, until close
	stop    context.CancelFunc
	running sync.WaitGroup
	onEvent func(replica.Event)
}

func newStandIn(onEvent func(replica.Event)) *standIn {
	s := &standIn{onEvent: onEvent}
	s.life, s.stop = context.WithCancel(context.Background())
	return s
}

// Join makes a room, and lets a replica in.
func (s *standIn) Join(_ context.Context, _ string, o *room.Options) (*room.Connection, error) {
	ours, theirs := memconn.Pair()
	s.running.Go(func() {
		defer theirs.Close()
		_, _ = replica.New(theirs, &replica.Options{OnEvent: s.onEvent}).Run(s.life) // its error is the end of the room
	})
	return &room.Connection{Stage: o.Messages(ours, room.LocalConversation, o.MaxMessage), Close: ours.Close}, nil
}

// close ends the replicas, and waits for them.
func (s *standIn) close() {
	s.stop()
	s.running.Wait()
}
