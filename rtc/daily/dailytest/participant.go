package dailytest

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// inboxSize is how many messages may wait for Receive before senders block.
const inboxSize = 1024

// Participant is a participant that is not a page.
type Participant struct {
	Person
	room  *Room
	inbox chan []byte
	once  sync.Once
	gone  chan struct{}
}

// Enter adds a participant with a user name and a user id.
func (r *Room) Enter(userName, userID string) *Participant {
	p := &Participant{
		Person: Person{SessionID: r.newSession(), UserID: userID, UserName: userName},
		room:   r,
		inbox:  make(chan []byte, inboxSize),
		gone:   make(chan struct{}),
	}
	r.admit(member{Person: p.Person, deliver: p.deliver, leave: p.Leave})
	r.broadcast(envelope{Type: "joined", Person: &p.Person}, p.SessionID, "*")
	return p
}

// deliver queues a message. It ignores other events of the room.
func (p *Participant) deliver(e envelope) {
	if e.Type != "message" {
		return
	}
	select {
	case p.inbox <- e.Data:
	case <-p.gone:
	}
}

// Send sends one message to all others, and does not keep msg.
func (p *Participant) Send(ctx context.Context, msg []byte) error {
	select {
	case <-p.gone:
		return fmt.Errorf("dailytest: send: %w", net.ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("dailytest: send: %w", context.Cause(ctx))
	default:
	}
	data := append([]byte(nil), msg...)
	p.room.broadcast(envelope{Type: "message", From: p.SessionID, Data: data}, p.SessionID, "*")
	return nil
}

// Receive returns the next message of another participant.
func (p *Participant) Receive(ctx context.Context) ([]byte, error) {
	select {
	case msg := <-p.inbox:
		return msg, nil
	case <-p.gone:
		return nil, fmt.Errorf("dailytest: receive: %w", net.ErrClosed)
	case <-ctx.Done():
		return nil, fmt.Errorf("dailytest: receive: %w", context.Cause(ctx))
	}
}

// Hum makes the participant's microphone send a tone with this frequency in Hz. 0 makes it
// silent.
func (p *Participant) Hum(hertz int) {
	p.room.mu.Lock()
	for i := range p.room.members {
		if p.room.members[i].SessionID == p.SessionID {
			p.room.members[i].hertz = hertz
		}
	}
	p.room.mu.Unlock()
	p.room.broadcast(envelope{Type: "tone", From: p.SessionID, Hertz: hertz}, p.SessionID, "*")
}

// Leave leaves the room. Further calls do nothing.
func (p *Participant) Leave() {
	p.once.Do(func() {
		close(p.gone)
		p.room.dismiss(p.SessionID)
	})
}
