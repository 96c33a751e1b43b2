package echo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Kind is what an event means, whatever its spelling.
type Kind string

// The kinds of events that a session acts on. All others are Unknown and passed
// on: new ones appear without notice.
const (
	Unknown         Kind = ""
	StartedSpeaking Kind = "started_speaking"
	StoppedSpeaking Kind = "stopped_speaking"
	ReplicaJoined   Kind = "replica_joined"
	ReplicaPresent  Kind = "replica_present" // a heartbeat, about once a second
	Shutdown        Kind = "shutdown"
)

// Roles of those who speak. "replica" is the older name of "pal"; events come
// once with each.
const (
	RolePal  = "pal"
	RoleUser = "user"
)

// Event is one message from the room. Every field but Raw may be missing: older
// services send less.
type Event struct {
	Kind           Kind
	Type           string    // event_type as it came
	Role           string    // RolePal, RoleUser or as it came
	ConversationID string    //
	InferenceID    string    // from the envelope, else from the properties
	Seq            int64     // order of emission in the conversation; 0 where missing
	Turn           int       // turn_idx
	Time           time.Time // when the service emitted it; zero where missing
	Interrupted    bool      // a stop before the natural end
	// Duration is how long was spoken; negative where the service does not
	// know or say.
	Duration time.Duration
	Raw      json.RawMessage // the message as it came
}

// kinds maps event types to what they mean and, where the type says it, who
// speaks.
var kinds = map[string]struct {
	kind Kind
	role string
}{
	"conversation.started_speaking":         {StartedSpeaking, ""},
	"conversation.stopped_speaking":         {StoppedSpeaking, ""},
	"conversation.replica.started_speaking": {StartedSpeaking, RolePal},
	"conversation.replica.stopped_speaking": {StoppedSpeaking, RolePal},
	"conversation.user.started_speaking":    {StartedSpeaking, RoleUser},
	"conversation.user.stopped_speaking":    {StoppedSpeaking, RoleUser},
	"conversation.replica_interrupted":      {StoppedSpeaking, RolePal},
	"conversation.replica.interrupted":      {StoppedSpeaking, RolePal},
	"system.replica_joined":                 {ReplicaJoined, RolePal},
	"system.pal_joined":                     {ReplicaJoined, RolePal},
	"system.replica_present":                {ReplicaPresent, RolePal},
	"system.pal_present":                    {ReplicaPresent, RolePal},
	"system.shutdown":                       {Shutdown, ""},
}

// envelope is what all events have in common, each field as loose as it was
// seen.
type envelope struct {
	EventType      string          `json:"event_type"`
	ConversationID string          `json:"conversation_id"`
	InferenceID    string          `json:"inference_id"`
	Seq            json.Number     `json:"seq"`
	Turn           json.Number     `json:"turn_idx"`
	Timestamp      json.RawMessage `json:"timestamp"`
	Properties     json.RawMessage `json:"properties"`
	Message        json.RawMessage `json:"message"` // a lone wrapper, seen in old samples
}

type speakingProperties struct {
	Role        string   `json:"role"`
	InferenceID string   `json:"inference_id"`
	Interrupted bool     `json:"interrupted"`
	Duration    *float64 `json:"duration"` // seconds or null
}

// ErrNoEvent says that a message is no event: not JSON, or without an
// event_type.
var ErrNoEvent = errors.New("echo: not an event")

// ParseEvent reads one message from the room. It takes every spelling that the
// service is documented or was seen to use; an unknown event_type is no error.
// The result keeps msg.
func ParseEvent(msg []byte) (Event, error) {
	var e envelope
	if err := unmarshal(msg, &e); err != nil {
		return Event{}, err
	}
	if e.EventType == "" && len(e.Message) > 0 {
		if err := unmarshal(e.Message, &e); err != nil {
			return Event{}, err
		}
	}
	if e.EventType == "" {
		return Event{}, fmt.Errorf("%w: no event_type", ErrNoEvent)
	}
	known := kinds[e.EventType]
	event := Event{
		Kind: known.kind, Type: e.EventType, Role: known.role,
		ConversationID: e.ConversationID, InferenceID: e.InferenceID,
		Time: eventTime(e.Timestamp), Duration: -1, Raw: msg,
	}
	event.Seq, _ = e.Seq.Int64()
	if turn, err := e.Turn.Int64(); err == nil {
		event.Turn = int(turn)
	}
	event.readProperties(e.Properties)
	return event, nil
}

func unmarshal(msg []byte, into *envelope) error {
	if err := json.Unmarshal(msg, into); err != nil {
		var wrongType *json.UnmarshalTypeError
		if errors.As(err, &wrongType) && into.EventType != "" {
			return nil // one field is odd; the rest was read
		}
		return fmt.Errorf("%w: %v", ErrNoEvent, err)
	}
	return nil
}

func (e *Event) readProperties(raw json.RawMessage) {
	var p speakingProperties
	_ = json.Unmarshal(raw, &p) // properties of other shapes leave p as far as it got
	if e.InferenceID == "" {
		e.InferenceID = p.InferenceID
	}
	if e.Role == "" {
		e.Role = p.Role
	}
	if e.Role == "replica" {
		e.Role = RolePal
	}
	e.Interrupted = p.Interrupted || e.Type == "conversation.replica_interrupted" || e.Type == "conversation.replica.interrupted"
	if p.Duration != nil && *p.Duration >= 0 && *p.Duration < 1e9 {
		e.Duration = time.Duration(*p.Duration * float64(time.Second))
	}
}

// eventTime reads Unix seconds with a fraction, as events have them, or an
// ISO-8601 text, as system messages have.
func eventTime(raw json.RawMessage) time.Time {
	raw = bytes.Trim(raw, `"`)
	if seconds, err := strconv.ParseFloat(string(raw), 64); err == nil {
		if !(seconds > 0 && seconds < 1e11) {
			return time.Time{}
		}
		return time.UnixMicro(int64(seconds * 1e6)).UTC()
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999"} {
		if t, err := time.Parse(layout, string(raw)); err == nil {
			return t
		}
	}
	return time.Time{}
}
