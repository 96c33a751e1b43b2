package echo

import (
	"context"
	"fmt"
)

// Stage is where utterances are spoken: a room, seen without its messages. The
// queue, the pace, interrupts and receipts are written once, against it.
//
// Speak and Interrupt are never called at the same time. Next is called from
// one goroutine of its own.
type Stage interface {
	// Begin opens the utterance u. The one before it is over.
	Begin(u Utterance) error
	// Speak sends one chunk of the utterance, and says whether it is the
	// last. It returns the bytes it sent. It does not keep pcm.
	Speak(ctx context.Context, pcm []float32, last bool) (sent int, err error)
	// Interrupt stops the replica.
	Interrupt(ctx context.Context) error
	// Next returns the next event.
	Next(ctx context.Context) (Event, error)
}

// Messages is the Stage of rooms that carry the Interactions Protocol: one
// conversation.echo message per chunk, over a Conn.
type Messages struct {
	conn         Conn
	conversation string
	limit        int
	encoder      *Encoder
	buf          []byte
}

// NewMessages speaks over conn in the conversation with this id. No message has
// more than limit bytes; 0 means DefaultMaxMessage.
func NewMessages(conn Conn, conversationID string, limit int) *Messages {
	if limit == 0 {
		limit = DefaultMaxMessage
	}
	return &Messages{conn: conn, conversation: conversationID, limit: limit}
}

// Begin prepares the messages of u. Its conversation is that of the stage.
func (m *Messages) Begin(u Utterance) error {
	u.ConversationID = m.conversation
	encoder, err := NewEncoder(u)
	if err != nil {
		return err
	}
	m.encoder = encoder
	return nil
}

// Speak sends pcm as one message.
func (m *Messages) Speak(ctx context.Context, pcm []float32, last bool) (int, error) {
	m.buf = m.encoder.Append(m.buf[:0], pcm, last)
	if len(m.buf) > m.limit {
		return 0, fmt.Errorf("echo: a message of %d bytes is over the limit of %d", len(m.buf), m.limit)
	}
	if err := m.conn.Send(ctx, m.buf); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return len(m.buf), nil
}

// Interrupt sends conversation.interrupt.
func (m *Messages) Interrupt(ctx context.Context) error {
	return m.conn.Send(ctx, AppendInterrupt(nil, m.conversation))
}

// Next returns the next message that is an event; what is not is passed over.
func (m *Messages) Next(ctx context.Context) (Event, error) {
	for {
		msg, err := m.conn.Receive(ctx)
		if err != nil {
			return Event{}, err
		}
		if event, err := ParseEvent(msg); err == nil {
			return event, nil
		}
	}
}
