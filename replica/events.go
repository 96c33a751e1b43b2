package replica

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// IDForm is how events name an utterance. A server makes a stable UUID from the
// MD5 of the sender's inference_id; by which recipe is not documented.
type IDForm int

// The forms a sender has to recognise.
const (
	IDVersion3 IDForm = iota // MD5 with the version 3 and RFC 9562 variant bits
	IDVersion4               // MD5 with the version 4 and RFC 9562 variant bits
	IDMD5                    // the 16 bytes of the MD5 as they are
	IDRaw                    // the sender's id unchanged
)

// of returns the name of id in this form.
func (f IDForm) of(id string) string {
	if f == IDRaw {
		return id
	}
	sum := md5.Sum([]byte(id))
	switch f {
	case IDVersion3:
		setVersion(&sum, 3)
	case IDVersion4:
		setVersion(&sum, 4)
	}
	text := hex.EncodeToString(sum[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// setVersion makes 16 bytes a UUID of RFC 9562.
func setVersion(sum *[16]byte, version byte) {
	sum[6] = sum[6]&0x0f | version<<4
	sum[8] = sum[8]&0x3f | 0x80
}

// wireEvent is a message of the replica. Pointers tell apart what is zero and
// what is not part of the message.
type wireEvent struct {
	MessageType    string      `json:"message_type"`
	EventType      string      `json:"event_type"`
	Timestamp      any         `json:"timestamp"` // Unix seconds; text in system messages
	Seq            *int64      `json:"seq,omitempty"`
	ConversationID string      `json:"conversation_id,omitempty"`
	InferenceID    string      `json:"inference_id,omitempty"`
	TurnIdx        *int        `json:"turn_idx,omitempty"`
	Properties     *properties `json:"properties,omitempty"`
}

// properties holds those of every event the replica sends.
type properties struct {
	Role        string   `json:"role,omitempty"`
	Speech      string   `json:"speech,omitempty"`
	Interrupted *bool    `json:"interrupted,omitempty"`
	Duration    *float64 `json:"duration,omitempty"` // seconds of audio played
	ReplicaID   string   `json:"replica_id,omitempty"`
	FaceID      string   `json:"face_id,omitempty"`
}

// encode cannot fail: the fields hold text and finite numbers.
func (e wireEvent) encode() []byte {
	msg, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return msg
}

// sendJoined announces the replica under its old name and its new one.
func (s *session) sendJoined(at time.Time) {
	e := wireEvent{
		MessageType:    "system",
		Timestamp:      at.UTC().Format("2006-01-02T15:04:05.000000Z07:00"),
		ConversationID: s.conversation,
	}
	e.EventType, e.Properties = "system.replica_joined", &properties{ReplicaID: s.opts.FaceID}
	s.outbox = append(s.outbox, e)
	e.EventType, e.Properties = "system.pal_joined", &properties{FaceID: s.opts.FaceID}
	s.outbox = append(s.outbox, e)
}

func (s *session) sendStarted(u *utterance, at time.Time) {
	s.sendSpeaking(s.speakingEvent("started_speaking", u, at), properties{})
}

func (s *session) sendStopped(u *utterance, at time.Time) {
	e := s.speakingEvent("stopped_speaking", u, at)
	e.ConversationID = s.conversation
	s.sendSpeaking(e, properties{Interrupted: &u.record.Interrupted, Duration: &u.record.PlayedSeconds})
}

// sendUtterance says the words of u.
func (s *session) sendUtterance(u *utterance, at time.Time, interrupted bool) {
	e := s.speakingEvent("utterance", u, at)
	e.ConversationID = s.conversation
	content := properties{Speech: u.record.Text}
	if interrupted {
		content.Interrupted = &interrupted
	}
	s.sendTwins(e, content)
}

// speakingEvent is what both events have in common. It names the conversation
// only where the documented samples do.
func (s *session) speakingEvent(name string, u *utterance, at time.Time) wireEvent {
	return wireEvent{
		MessageType: "conversation",
		EventType:   "conversation." + name,
		Timestamp:   float64(at.UnixMicro()) / 1e6,
		InferenceID: u.record.EventID,
		TurnIdx:     new(s.turn),
	}
}

// sendSpeaking queues an event with its twin, and with its ancestor if that is
// wanted.
func (s *session) sendSpeaking(e wireEvent, content properties) {
	e = s.sendTwins(e, content)
	if s.opts.Legacy {
		s.sendLegacy(e, content)
	}
}

// sendTwins queues an event as said by the pal and by the replica, and returns
// it as numbered.
func (s *session) sendTwins(e wireEvent, content properties) wireEvent {
	e.Seq = s.nextSeq()
	for _, role := range []string{"pal", "replica"} {
		twin := content
		twin.Role = role
		e.Properties = &twin
		s.outbox = append(s.outbox, e)
	}
	return e
}

// sendLegacy queues the form from before roles, which numbers itself.
func (s *session) sendLegacy(e wireEvent, content properties) {
	e.EventType = strings.Replace(e.EventType, "conversation.", "conversation.replica.", 1)
	e.Seq = s.nextSeq()
	e.ConversationID = s.conversation
	e.Properties = nil
	if content != (properties{}) {
		e.Properties = &content
	}
	s.outbox = append(s.outbox, e)
}

// nextSeq numbers events in the order they are emitted, from 1.
func (s *session) nextSeq() *int64 {
	s.seq++
	return new(s.seq)
}
