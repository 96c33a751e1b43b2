// Package echo speaks audio through a replica in echo mode: it builds the
// messages, sends them at the right time, follows the events of the replica,
// interrupts it, and reports on each utterance in a Receipt.
//
// # The wire
//
// Every message is one JSON object. Audio travels as chunks of an utterance:
//
//	{"message_type":"conversation","event_type":"conversation.echo","conversation_id":"c123",
//	 "properties":{"modality":"audio","audio":"<base64>","sample_rate":24000,"inference_id":"u1","done":false}}
//
// The audio is signed 16-bit little-endian mono PCM without a header, in
// standard base64 with padding. All chunks of an utterance carry the same
// inference_id, which is never used again, and done is true on the last of them
// and on no other. The replica stops at once on
//
//	{"message_type":"conversation","event_type":"conversation.interrupt","conversation_id":"c123"}
//
// and reports that it speaks with conversation.started_speaking and
// conversation.stopped_speaking. The service acknowledges neither a chunk nor an
// interrupt: sent is not heard, and only those events show what was heard.
//
// # From samples to a receipt
//
// A Session owns one connection. Session.Speak pulls samples, cuts them into
// chunks, waits until each is due (Pace), sends it, waits for the replica to
// finish, and returns a Receipt. It speaks through a Stage: Messages is the
// Stage of rooms that carry the messages above, and other rooms have their own.
package echo

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"time"
)

// Defaults of a session, from the documentation of the service and from what its
// senders do.
const (
	DefaultRate       = 24000                 // Hz; recommended by Tavus; its own default is 16000
	DefaultChunk      = 50 * time.Millisecond // 2400 bytes of PCM, about 3434 of JSON, 20 messages a second
	DefaultMaxMessage = 4096                  // bytes of JSON; the documented limit of a Daily app-message
	DefaultLead       = time.Second           // how far ahead of playout the replica is kept
)

// Conn is the connection to a room. Send sends one message, blocks while the peer
// is behind and does not keep it. Receive returns the next message; ctx ends only
// that call.
type Conn interface {
	Send(ctx context.Context, msg []byte) error
	Receive(ctx context.Context) ([]byte, error)
}

// NewInferenceID returns a fresh id: a random UUID (RFC 9562, version 4).
func NewInferenceID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, as its documentation says
	return uuid(b, 4)
}

// uuid formats b as a UUID. If version is not 0, it sets the version and variant bits.
func uuid(b [16]byte, version byte) string {
	if version != 0 {
		b[6] = b[6]&0x0f | version<<4
		b[8] = b[8]&0x3f | 0x80
	}
	text := make([]byte, 36)
	hex.Encode(text, b[:4])
	for i, from := range []int{4, 6, 8, 10} {
		at := 8 + 5*i
		text[at] = '-'
		hex.Encode(text[at+1:], b[from:min(from+2+4*(i/3), 16)])
	}
	return string(text)
}

// NamedBy reports whether an event with the id eventID may be about the utterance with
// the id id. Events carry an utterance's id in several forms.
func NamedBy(eventID, id string) bool {
	forms := eventIDs(id)
	return slices.Contains(forms[:], eventID)
}

// eventIDs returns the forms in which events may carry the id of an utterance. The service
// documents a UUID derived by MD5, but not how, so the id itself and all usual forms count.
func eventIDs(id string) [4]string {
	sum := md5.Sum([]byte(id))
	return [4]string{id, uuid(sum, 0), uuid(sum, 3), uuid(sum, 4)}
}
