package replica

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// IDForm is the form of the inference_id in events. The service derives a stable UUID from
// the MD5 of the sender's inference_id. How it does that is not documented.
type IDForm int

// The forms of an id in events.
const (
	IDVersion3 IDForm = iota // MD5 with the version 3 and RFC 9562 variant bits
	IDVersion4               // MD5 with the version 4 and RFC 9562 variant bits
	IDMD5                    // the 16 bytes of the MD5 unchanged
	IDRaw                    // the sender's id unchanged
	IDRandom                 // a random UUID
)

// of returns id in this form, which must not be IDRandom.
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

// setVersion sets the version and variant bits of an RFC 9562 UUID.
func setVersion(sum *[16]byte, version byte) {
	sum[6] = sum[6]&0x0f | version<<4
	sum[8] = sum[8]&0x3f | 0x80
}

// wireEvent is an event as it is sent. A nil pointer leaves the field out.
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

// properties holds the properties of all events.
type properties struct {
	Role        string   `json:"role,omitempty"`
	Speech      string   `json:"speech,omitempty"`
	Interrupted *bool    `json:"interrupted,omitempty"`
	Duration    *float64 `json:"duration,omitempty"` // seconds of audio played
	ReplicaID   string   `json:"replica_id,omitempty"`
	FaceID      string   `json:"face_id,omitempty"`

	ShutdownReason string `json:"shutdown_reason,omitempty"`
}

// encode marshals the event. It cannot fail: the fields hold text and finite numbers.
func (e wireEvent) encode() []byte {
	msg, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return msg
}

// sendJoined sends the events that the replica has joined, under the old and the new event
// name. It sends them to one participant, or to all if to is nil.
func (s *session) sendJoined(to *participant, at time.Time) {
	old, current := s.systemEvent("replica_joined", at), s.systemEvent("pal_joined", at)
	old.Properties, current.Properties = &properties{ReplicaID: s.opts.FaceID}, &properties{FaceID: s.opts.FaceID}
	s.outbox.post(to, SentJoined, at, old.encode(), current.encode())
}

// sendShutdown sends that the room is closing.
func (s *session) sendShutdown(at time.Time) {
	e := s.systemEvent("shutdown", at)
	e.Properties = &properties{ShutdownReason: "end_conversation_endpoint_hit"}
	s.outbox.post(nil, SentShutdown, at, e.encode())
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

// sendUtterance sends the words of u.
func (s *session) sendUtterance(u *utterance, at time.Time, interrupted bool) {
	e := s.speakingEvent("utterance", u, at)
	e.ConversationID = s.conversation
	content := properties{Speech: u.record.Text}
	if interrupted {
		content.Interrupted = &interrupted
	}
	s.outbox.post(nil, SentUtterance, at, s.twins(&e, content)...)
	s.scheduleScript(e.EventType, at)
}

// speakingEvent returns the fields that all events of an utterance share. They include no
// conversation id, as in the documented sample of started_speaking.
func (s *session) speakingEvent(name string, u *utterance, at time.Time) wireEvent {
	return wireEvent{
		MessageType: "conversation",
		EventType:   "conversation." + name,
		Timestamp:   unixSeconds(at),
		InferenceID: u.record.EventID,
		TurnIdx:     new(s.turn),
	}
}

// sendSpeaking sends an event for both roles and, with Options.Legacy, its legacy form.
func (s *session) sendSpeaking(kind Sent, e wireEvent, at time.Time, content properties) {
	messages := s.twins(&e, content)
	if s.opts.Legacy {
		messages = append(messages, s.legacy(e, "replica", content))
	}
	s.outbox.post(nil, kind, at, messages...)
	s.scheduleScript(e.EventType, at)
}

// twins numbers an event and encodes it for the roles pal and replica.
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

// legacy encodes an event in the form that was used before roles existed, with a separate
// seq.
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

// sendUser sends an event of a user. It is sent once, and its legacy form has no properties.
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
	s.outbox.post(nil, SentUser, at, messages...)
	s.scheduleScript("user."+name, at)
}

// nextSeq numbers events from 1.
func (s *session) nextSeq() *int64 {
	s.seq++
	return new(s.seq)
}
