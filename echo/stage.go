package echo

import (
	"context"
	"fmt"
)

// Stage is a room in which utterances are spoken. Queue, pace, interrupts and receipts use
// only this interface, so they work in all kinds of rooms.
//
// A Session never calls Speak and Interrupt at the same time. It calls Next from a
// separate goroutine.
//
// The Stage of a room that can do more has further methods, which callers find by a
// type assertion: Limiter, MessageSender, TextSpeaker, ClipCounter, Acknowledger,
// PlaybackWaiter, ReadinessReporter and LoneSpeaker.
type Stage interface {
	// Begin opens the utterance u. The previous one has ended.
	Begin(u Utterance) error
	// Speak sends one chunk of the utterance; last marks its end. It returns the number
	// of bytes sent, and does not keep pcm.
	Speak(ctx context.Context, pcm []float32, last bool) (sent int, err error)
	// Interrupt stops the replica.
	Interrupt(ctx context.Context) error
	// Next returns the next event.
	Next(ctx context.Context) (Event, error)
}

// MessageSender is a Stage of a room that also carries messages other than audio.
type MessageSender interface {
	Send(ctx context.Context, msg Message) error
}

// TextSpeaker is a Stage of a room that takes text for the replica to say in its own voice.
type TextSpeaker interface {
	// SayText sends a piece of the utterance with this id, and returns the number of
	// bytes sent.
	SayText(ctx context.Context, id, text string, last bool) (sent int, err error)
	// TextFits reports whether a piece fits a message.
	TextFits(id, text string) bool
}

// ClipCounter is a Stage that counts the samples of the current utterance which
// were beyond full scale.
type ClipCounter interface {
	Clipped() int64
}

// Acknowledger is a Stage or a Conn with a peer that acknowledges what it receives.
type Acknowledger interface {
	// Unacknowledged returns how many of the bytes sent the peer has not acknowledged;
	// negative: not known.
	Unacknowledged() int
}

// PlaybackWaiter is a Stage that plays the audio itself, so it knows when playback has
// ended.
type PlaybackWaiter interface {
	// Played returns when the last chunk of the utterance was played. Its error is
	// ErrLost if that cannot happen any more, or the cause of ctx.
	Played(ctx context.Context) error
}

// ReadinessReporter is a Stage that knows why the replica is not ready.
type ReadinessReporter interface {
	// Missing says what the replica has not done yet; "": not known.
	Missing() string
}

// LoneSpeaker is a Stage that people may hear without a replica, such as a microphone.
type LoneSpeaker interface {
	// HeardAlone reports whether people hear it without a replica.
	HeardAlone() bool
}

func isHeardAlone(stage Stage) bool {
	alone, ok := stage.(LoneSpeaker)
	return ok && alone.HeardAlone()
}

// DeliveryFailure is an ErrLost that a Stage's Speak or SayText returns if one message was
// lost but the room can still be reached. The session then interrupts the replica before
// it reconnects.
type DeliveryFailure interface {
	error
	// MayBeDelivered reports whether the replica may have received the message.
	MayBeDelivered() bool
}

// Messages is the Stage of rooms with the Interactions Protocol: it sends one
// conversation.echo message per chunk over a Conn.
type Messages struct {
	conn         Conn
	conversation string
	limit        int
	encoder      *Encoder
	buf          []byte
}

// NewMessages returns a Stage that speaks over conn in the conversation with this id.
// No message has more than limit bytes; 0: DefaultMaxMessage.
func NewMessages(conn Conn, conversationID string, limit int) *Messages {
	if limit == 0 {
		limit = DefaultMaxMessage
	}
	return &Messages{conn: conn, conversation: conversationID, limit: limit}
}

// Begin prepares the messages of u, in the stage's conversation.
func (m *Messages) Begin(u Utterance) error {
	u.ConversationID = m.conversation
	encoder, err := NewEncoder(u)
	if err != nil {
		return err
	}
	m.encoder = encoder
	return nil
}

// Send sends one message.
func (m *Messages) Send(ctx context.Context, msg Message) error {
	text, err := msg.AppendTo(nil, m.conversation)
	if err != nil {
		return err
	}
	_, err = m.send(ctx, text)
	return err
}

// Clipped returns how many samples of the utterance were beyond full scale.
func (m *Messages) Clipped() int64 {
	if m.encoder == nil {
		return 0
	}
	return m.encoder.Clipped()
}

// Limits returns the limit of message size.
func (m *Messages) Limits() Limits {
	return Limits{MaxMessage: m.limit, ConversationID: m.conversation}
}

// Unacknowledged returns how many bytes the peer has not acknowledged; negative if the
// connection cannot tell.
func (m *Messages) Unacknowledged() int {
	if conn, ok := m.conn.(Acknowledger); ok {
		return conn.Unacknowledged()
	}
	return -1
}

// Speak sends pcm as one message.
func (m *Messages) Speak(ctx context.Context, pcm []float32, last bool) (int, error) {
	m.buf = m.encoder.Append(m.buf[:0], pcm, last)
	return m.send(ctx, m.buf)
}

func (m *Messages) send(ctx context.Context, msg []byte) (int, error) {
	if len(msg) > m.limit {
		return 0, fmt.Errorf("echo: a message of %d bytes is over the limit of %d", len(msg), m.limit)
	}
	if err := m.conn.Send(ctx, msg); err != nil {
		return 0, lostBy(err)
	}
	return len(msg), nil
}

// Interrupt sends conversation.interrupt.
func (m *Messages) Interrupt(ctx context.Context) error {
	return m.conn.Send(ctx, AppendInterrupt(nil, m.conversation))
}

// Next returns the next event. It skips messages that are not events.
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
