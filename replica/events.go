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
	IDOwn                    // a UUID that has nothing to do with it
)

// of returns the name of id in this form, which is not IDOwn.
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
	return uuidText(sum)
}

func uuidText(id [16]byte) string {
	text := hex.EncodeToString(id[:])
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

	ShutdownReason string `json:"shutdown_reason,omitempty"`
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
	old, current := s.systemEvent("replica_joined", at), s.systemEvent("pal_joined", at)
	old.Properties, current.Properties = &properties{ReplicaID: s.opts.FaceID}, &properties{FaceID: s.opts.FaceID}
	s.outbox.post(SentJoined, at, old.encode(), current.encode())
	s.happened("joined", at)
}

// sendShutdown says that the room is closing.
func (s *session) sendShutdown(at time.Time) {
	e := s.systemEvent("shutdown", at)
	e.Properties = &properties{ShutdownReason: "end_conversation_endpoint_hit"}
	s.outbox.post(SentShutdown, at, e.encode())
}

func (s *session) systemEvent(name string, at time.Time) wireEvent {
	return wireEvent{
		MessageType:    "system",
		EventType:      "system." + name,
		Timestamp:      systemTimestamp(at),
		ConversationID: s.conversation,
	}
}

func systemTimestamp(at time.Time) string { return at.UTC().Format(systemTime) }

func unixSeconds(at time.Time) float64 { return float64(at.UnixMicro()) / 1e6 }

func (s *session) sendStarted(u *utterance, at time.Time) {
	s.sendSpeaking(SentStarted, s.speakingEvent("started_speaking", u, at), at, properties{})
}

func (s *session) sendStopped(u *utterance, at time.Time) {
	e := s.speakingEvent("stopped_speaking", u, at)
	e.ConversationID = s.conversation
	s.sendSpeaking(SentStopped, e, at, properties{Interrupted: &u.record.Interrupted, Duration: &u.record.PlayedSeconds})
}

// sendUtterance says the words of u.
func (s *session) sendUtterance(u *utterance, at time.Time, interrupted bool) {
	e := s.speakingEvent("utterance", u, at)
	e.ConversationID = s.conversation
	content := properties{Speech: u.record.Text}
	if interrupted {
		content.Interrupted = &interrupted
	}
	s.outbox.post(SentUtterance, at, s.twins(&e, content)...)
	s.happened(e.EventType, at)
}

// speakingEvent is what both events have in common. It names the conversation
// only where the documented samples do.
func (s *session) speakingEvent(name string, u *utterance, at time.Time) wireEvent {
	return wireEvent{
		MessageType: "conversation",
		EventType:   "conversation." + name,
		Timestamp:   unixSeconds(at),
		InferenceID: u.record.EventID,
		TurnIdx:     new(s.turn),
	}
}

// sendSpeaking sends an event with its twin, and with its ancestor if that is
// wanted.
func (s *session) sendSpeaking(kind Sent, e wireEvent, at time.Time, content properties) {
	messages := s.twins(&e, content)
	if s.opts.Legacy {
		messages = append(messages, s.legacy(e, "replica", content))
	}
	s.outbox.post(kind, at, messages...)
	s.happened(e.EventType, at)
}

// twins numbers an event and says it as the pal and as the replica.
func (s *session) twins(e *wireEvent, content properties) [][]byte {
	e.Seq = s.nextSeq()
	var messages [][]byte
	for _, role := range []string{"pal", "replica"} {
		content.Role = role
		e.Properties = &content
		messages = append(messages, e.encode())
	}
	return messages
}

// legacy is the form from before roles, which numbers itself.
func (s *session) legacy(e wireEvent, role string, content properties) []byte {
	e.EventType = strings.Replace(e.EventType, eventPrefix, eventPrefix+role+".", 1)
	e.Seq = s.nextSeq()
	e.ConversationID = s.conversation
	e.Properties = nil
	if content != (properties{}) {
		e.Properties = &content
	}
	return e.encode()
}

// sendUser sends an event of a user, who has no twin. The ancestors of those
// events have no properties.
func (s *session) sendUser(name, id string, at time.Time, content properties) {
	content.Role = "user"
	e := wireEvent{
		MessageType:    "conversation",
		EventType:      eventPrefix + name,
		Timestamp:      unixSeconds(at),
		Seq:            s.nextSeq(),
		ConversationID: s.conversation,
		InferenceID:    id,
		TurnIdx:        new(s.turn),
		Properties:     &content,
	}
	messages := [][]byte{e.encode()}
	if s.opts.Legacy && name != "utterance" {
		messages = append(messages, s.legacy(e, "user", properties{}))
	}
	s.outbox.post(SentUser, at, messages...)
	s.happened("user."+name, at)
}

// nextSeq numbers events in the order they are emitted, from 1.
func (s *session) nextSeq() *int64 {
	s.seq++
	return new(s.seq)
}
