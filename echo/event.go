package echo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is the meaning of an event, independent of its spelling on the wire.
type Kind string

// The kinds of events. Undocumented ones are Unknown and passed on: the service adds
// new ones without notice.
const (
	Unknown         Kind = "" // String returns "unknown" for it
	StartedSpeaking Kind = "started_speaking"
	StoppedSpeaking Kind = "stopped_speaking"
	ReplicaJoined   Kind = "replica_joined"
	ReplicaPresent  Kind = "replica_present" // a heartbeat, about once a second
	Shutdown        Kind = "shutdown"

	KindUtterance          Kind = "utterance"            // a whole utterance of somebody
	KindUtteranceStreaming Kind = "utterance_streaming"  // an utterance so far
	KindToolCall           Kind = "tool_call"            // by the language model
	KindPerceptionToolCall Kind = "perception_tool_call" // by the perception model
	KindPerceptionAnalysis Kind = "perception_analysis"  // after the end of the conversation
	KindJoined             Kind = "joined"               // the replica or a person; sent by the service
	KindLeft               Kind = "left"
	KindGuardrail          Kind = "guardrail" // the replica was about to break a rule
	KindObjective          Kind = "objective" // an objective of the conversation changed its status

	KindWakePhrase  Kind = "wake_phrase_detected"  // the user said the wake phrase
	KindSleepPhrase Kind = "sleep_phrase_detected" // the user said the sleep phrase

	KindParticipantJoined Kind = "participant_joined" // any participant; sent by the room
	KindParticipantLeft   Kind = "participant_left"
	KindClientMessage     Kind = "client_message" // a message of another client to the replica

	KindTranscriptionReady  Kind = "transcription_ready" // by webhook only, as the rest
	KindRecordingReady      Kind = "recording_ready"
	KindRecordingCopyFailed Kind = "recording_copy_failed"
)

// Kinds lists all kinds; Unknown is the last.
func Kinds() []Kind {
	return []Kind{
		StartedSpeaking, StoppedSpeaking, ReplicaJoined, ReplicaPresent, Shutdown,
		KindUtterance, KindUtteranceStreaming, KindToolCall, KindPerceptionToolCall, KindPerceptionAnalysis,
		KindJoined, KindLeft, KindGuardrail, KindObjective, KindWakePhrase, KindSleepPhrase,
		KindParticipantJoined, KindParticipantLeft, KindClientMessage,
		KindTranscriptionReady, KindRecordingReady, KindRecordingCopyFailed, Unknown,
	}
}

// String returns the name of k in lower-case letters, "unknown" for Unknown.
func (k Kind) String() string {
	if k == Unknown {
		return "unknown"
	}
	return string(k)
}

// ParseKind returns the Kind with this name, as String writes it.
func ParseKind(word string) (Kind, error) {
	kinds := Kinds()
	words := make([]string, len(kinds))
	for i, kind := range kinds {
		words[i] = kind.String()
	}
	if i := slices.Index(words, word); i >= 0 {
		return kinds[i], nil
	}
	return Unknown, fmt.Errorf("echo: no kind of event is called %q; use one of %s", word, strings.Join(words, ", "))
}

// Roles of speakers. "replica" is the older name of "pal". The service sends each event
// of a replica twice, once with each name.
const (
	RolePal  = "pal"
	RoleUser = "user"
)

// Event is one message from the room, or the body of one webhook. Older services send
// fewer fields: any field except Raw may be missing, and then has its zero value unless
// its comment says otherwise. Fields of other kinds are never set.
type Event struct {
	Kind           Kind
	Type           string    // event_type as it came
	Role           string    // RolePal, RoleUser or as it came
	ConversationID string    //
	InferenceID    string    // from the envelope, else from the properties
	Seq            int64     // order of emission in the conversation
	Turn           int       // turn_idx
	Time           time.Time // when the service emitted it
	Interrupted    bool      // a stop before the natural end
	// Duration is how long the replica spoke, or how long the recording is;
	// negative if the service does not say.
	Duration time.Duration

	// Text is what somebody says, or the text of a client's message. For a
	// replica it is the whole text, even if the replica was interrupted.
	Text           string
	ContentIndex   int    // index of a streamed text in its utterance, from 0
	Final          bool   // a streamed text is the last of its utterance
	AudioAnalysis  string // how a user sounds
	VisualAnalysis string // how a user looks
	Analysis       string // of the whole conversation

	ToolCall    *ToolCall
	Guardrail   *Guardrail
	Objective   *Objective
	Participant *Participant
	Transcript  []TranscriptEntry
	Recording   *Recording

	ReplicaID string // who joined: face_id or replica_id
	Attempt   int    // number of a heartbeat
	Reason    string // of a shutdown, of leaving, or of a guardrail

	Raw json.RawMessage // the message as it came

	// Stale marks an event that is repeated or outdated by the rules of EventFilter: do
	// not act on it. A Session sets it.
	Stale bool
}

// ToolCall asks a client to do something. A ToolResult with its ID answers it.
type ToolCall struct {
	ID        string          `json:"id,omitempty"` // needed for an answer
	Name      string          `json:"name,omitempty"`
	Arguments json.RawMessage `json:"arguments,omitempty"` // JSON, unwrapped from the text it may come as
	Modality  string          `json:"modality,omitempty"`  // of perception: audio or vision
	// Frames are the pictures for a vision tool, each an object with data
	// (JPEG in base64) and mime_type, or with uri.
	Frames []json.RawMessage `json:"-"`
}

// Guardrail is a rule for what the replica says. The event's Reason says how the
// replica was about to break it.
type Guardrail struct {
	Name string `json:"name,omitempty"`
	UUID string `json:"uuid,omitempty"`
}

// Objective is a goal of the conversation and its status.
type Objective struct {
	Name      string          `json:"name,omitempty"`
	Status    string          `json:"status,omitempty"`    // activated, pending or completed; empty in a callback
	Variables json.RawMessage `json:"variables,omitempty"` // what was learnt
}

// Participant is somebody in the room.
type Participant struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// eventMeaning is what an event type means, and the speaker or the status of an objective
// if the type says so.
type eventMeaning struct {
	kind          Kind
	role          string
	isInterrupted bool
	status        string
}

// kinds maps event types to their meaning, in every spelling that the service
// documents or was seen to use.
var kinds = map[string]eventMeaning{
	"conversation.started_speaking":         {kind: StartedSpeaking},
	"conversation.stopped_speaking":         {kind: StoppedSpeaking},
	"conversation.replica.started_speaking": {kind: StartedSpeaking, role: RolePal},
	"conversation.replica_started_speaking": {kind: StartedSpeaking, role: RolePal},
	"conversation.replica.stopped_speaking": {kind: StoppedSpeaking, role: RolePal},
	"conversation.replica_stopped_speaking": {kind: StoppedSpeaking, role: RolePal},
	"conversation.user.started_speaking":    {kind: StartedSpeaking, role: RoleUser},
	"conversation.user_started_speaking":    {kind: StartedSpeaking, role: RoleUser},
	"conversation.user.stopped_speaking":    {kind: StoppedSpeaking, role: RoleUser},
	"conversation.user_stopped_speaking":    {kind: StoppedSpeaking, role: RoleUser},
	"conversation.replica_interrupted":      {kind: StoppedSpeaking, role: RolePal, isInterrupted: true},
	"conversation.replica.interrupted":      {kind: StoppedSpeaking, role: RolePal, isInterrupted: true},

	"conversation.utterance":            {kind: KindUtterance},
	"conversation.utterance.streaming":  {kind: KindUtteranceStreaming},
	"conversation.utterance_streaming":  {kind: KindUtteranceStreaming},
	"conversation.tool_call":            {kind: KindToolCall},
	"conversation.perception_tool_call": {kind: KindPerceptionToolCall},
	"conversation.perception_analysis":  {kind: KindPerceptionAnalysis},
	"application.perception_analysis":   {kind: KindPerceptionAnalysis},
	"conversation.joined":               {kind: KindJoined},
	"conversation.left":                 {kind: KindLeft},
	"conversation.objective.activated":  {kind: KindObjective, status: "activated"},
	"conversation.objective.pending":    {kind: KindObjective, status: "pending"},
	"conversation.objective.completed":  {kind: KindObjective, status: "completed"},

	"system.replica_joined":  {kind: ReplicaJoined, role: RolePal},
	"system.pal_joined":      {kind: ReplicaJoined, role: RolePal},
	"system.replica_present": {kind: ReplicaPresent, role: RolePal},
	"system.pal_present":     {kind: ReplicaPresent, role: RolePal},
	"system.shutdown":        {kind: Shutdown},

	"system.wake_phrase_detected":  {kind: KindWakePhrase},
	"system.sleep_phrase_detected": {kind: KindSleepPhrase},

	"room.participant_joined": {kind: KindParticipantJoined},
	"room.participant_left":   {kind: KindParticipantLeft},

	eventEcho:                        {kind: KindClientMessage},
	eventRespond:                     {kind: KindClientMessage},
	eventInterrupt:                   {kind: KindClientMessage},
	eventOverwriteContext:            {kind: KindClientMessage},
	eventAppendContext:               {kind: KindClientMessage},
	"conversation.overwrite_context": {kind: KindClientMessage},
	"conversation.append_context":    {kind: KindClientMessage},
	eventSensitivity:                 {kind: KindClientMessage},
	eventToolResult:                  {kind: KindClientMessage},
	eventSetEmotion:                  {kind: KindClientMessage},
	"conversation.realtime_api":      {kind: KindClientMessage},

	"application.transcription_ready":   {kind: KindTranscriptionReady},
	"application.recording_ready":       {kind: KindRecordingReady},
	"application.recording_copy_failed": {kind: KindRecordingCopyFailed},
}

// envelope has the fields that all events share, with the types that the service was seen to send.
type envelope struct {
	EventType      string          `json:"event_type"`
	ConversationID string          `json:"conversation_id"`
	InferenceID    string          `json:"inference_id"`
	Seq            json.RawMessage `json:"seq"`
	Turn           json.RawMessage `json:"turn_idx"`
	Timestamp      json.RawMessage `json:"timestamp"`
	Properties     json.RawMessage `json:"properties"`
	ObjectiveName  string          `json:"objective_name"` // of an objective's callback, with the next
	Variables      json.RawMessage `json:"output_variables"`
	Message        json.RawMessage `json:"message"` // a lone wrapper, seen in old samples
	Data           json.RawMessage `json:"data"`    // the wrapper of Daily's own events
}

// properties has the properties of all events.
type properties struct {
	Role        string   `json:"role"`
	InferenceID string   `json:"inference_id"`
	Interrupted bool     `json:"interrupted"`
	Cut         bool     `json:"is_interrupted"` // the same, of a streamed text
	Duration    *float64 `json:"duration"`       // seconds or null

	Speech         string          `json:"speech"`
	Content        string          `json:"content"`
	Text           string          `json:"text"`
	Context        string          `json:"context"` // of a client's message
	ContentIndex   json.RawMessage `json:"content_index"`
	Final          bool            `json:"final"`
	AudioAnalysis  string          `json:"user_audio_analysis"`
	VisualAnalysis string          `json:"user_visual_analysis"`
	VisualContext  string          `json:"visual_context"` // its older name
	Analysis       string          `json:"analysis"`

	Name       string            `json:"name"`
	ToolName   string            `json:"tool_name"`
	ToolCallID string            `json:"tool_call_id"`
	Arguments  json.RawMessage   `json:"arguments"`
	Modality   string            `json:"modality"`
	Frames     []json.RawMessage `json:"frames"`

	Guardrail      string          `json:"guardrail"`
	GuardrailUUID  string          `json:"guardrail_uuid"`
	ObjectiveName  string          `json:"objective_name"`
	Variables      json.RawMessage `json:"output_variables"`
	Reason         string          `json:"reason"`
	ShutdownReason string          `json:"shutdown_reason"`

	ReplicaID string          `json:"replica_id"`
	FaceID    string          `json:"face_id"`
	Attempt   json.RawMessage `json:"attempt"`
	SessionID string          `json:"session_id"`
	UserName  string          `json:"user_name"`

	Transcript []transcriptEntry `json:"transcript"`
	recording
}

// ErrNoEvent reports a message that is not an event: not JSON, or without an
// event_type.
var ErrNoEvent = errors.New("echo: not an event")

// ParseEvent parses one message from the room, or the body of one webhook. It accepts
// every spelling that the service documents or was seen to use. An unknown event_type
// or a field of the wrong type is not an error. The callbacks of guardrails and
// objectives have no event_type; ParseEvent accepts them too. The result refers to msg,
// which must not change afterwards. The error wraps ErrNoEvent.
func ParseEvent(msg []byte) (Event, error) {
	e, err := unwrap(msg)
	if err != nil {
		return Event{}, err
	}
	var p properties
	_ = json.Unmarshal(e.Properties, &p) // properties of the wrong type fill p in part
	what := kinds[e.EventType]
	switch {
	case what.kind == Unknown && p.Guardrail != "" && p.GuardrailUUID != "":
		what.kind = KindGuardrail // the event_type is not documented
	case e.EventType == "" && e.ObjectiveName != "":
		what.kind = KindObjective
	case e.EventType == "":
		return Event{}, fmt.Errorf("%w: no event_type", ErrNoEvent)
	}
	event := Event{
		Kind: what.kind, Type: e.EventType, Role: firstOf(what.role, p.Role),
		ConversationID: e.ConversationID, InferenceID: firstOf(e.InferenceID, p.InferenceID),
		Seq: integer(e.Seq), Turn: int(integer(e.Turn)), Time: eventTime(e.Timestamp),
		Interrupted: what.isInterrupted || p.Interrupted || p.Cut, Duration: seconds(p.Duration), Raw: msg,
	}
	if event.Role == "replica" {
		event.Role = RolePal
	}
	event.read(&e, &p, what)
	return event, nil
}

// unwrap reads the envelope, which may be inside a wrapper.
func unwrap(msg []byte) (envelope, error) {
	var e envelope
	if err := unmarshal(msg, &e); err != nil {
		return e, err
	}
	for _, inner := range []json.RawMessage{e.Message, e.Data} {
		var within envelope
		if e.EventType == "" && len(inner) > 0 && unmarshal(inner, &within) == nil && within.EventType != "" {
			return within, nil
		}
	}
	return e, nil
}

// unmarshal reads the fields of msg that have the right type.
func unmarshal(msg []byte, into *envelope) error {
	err := json.Unmarshal(msg, into)
	var wrongType *json.UnmarshalTypeError
	if err != nil && !errors.As(err, &wrongType) {
		return fmt.Errorf("%w: %v", ErrNoEvent, err)
	}
	return nil
}

// read sets the fields of the event's kind.
func (e *Event) read(env *envelope, p *properties, what eventMeaning) {
	switch e.Kind {
	case KindUtterance, KindUtteranceStreaming:
		e.Text = firstOf(p.Speech, p.Content, p.Text)
		e.ContentIndex, e.Final = int(integer(p.ContentIndex)), p.Final
		e.AudioAnalysis, e.VisualAnalysis = p.AudioAnalysis, firstOf(p.VisualAnalysis, p.VisualContext)
	case KindClientMessage:
		e.Role = "" // no client speaks for the replica
		e.Text = firstOf(p.Text, p.Context)
	case KindToolCall, KindPerceptionToolCall:
		e.ToolCall = &ToolCall{
			ID: p.ToolCallID, Name: firstOf(p.Name, p.ToolName), Arguments: arguments(p.Arguments),
			Modality: p.Modality, Frames: p.Frames,
		}
	case KindPerceptionAnalysis:
		e.Analysis = p.Analysis
	case KindGuardrail:
		e.Guardrail, e.Reason = &Guardrail{p.Guardrail, p.GuardrailUUID}, p.Reason
	case KindObjective:
		e.Objective = &Objective{firstOf(env.ObjectiveName, p.ObjectiveName), what.status, given(env.Variables, p.Variables)}
	case KindJoined, KindLeft, KindParticipantJoined, KindParticipantLeft:
		if who := (Participant{p.SessionID, p.UserName}); who != (Participant{}) {
			e.Participant = &who
		}
		e.Reason = p.Reason
	case ReplicaJoined:
		e.ReplicaID = firstOf(p.FaceID, p.ReplicaID)
	case ReplicaPresent:
		e.Attempt = int(integer(p.Attempt))
	case Shutdown:
		e.Reason = firstOf(p.ShutdownReason, p.Reason)
	case KindTranscriptionReady:
		e.Transcript = transcript(p.Transcript)
	case KindRecordingReady, KindRecordingCopyFailed:
		e.Recording = p.recording.event()
	}
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// given returns the first value that is neither missing nor null.
func given(values ...json.RawMessage) json.RawMessage {
	for _, value := range values {
		if len(value) > 0 && string(value) != "null" {
			return value
		}
	}
	return nil
}

// arguments unwraps JSON that comes as a JSON string. A string that holds no JSON
// stays as it is; an empty one becomes nil.
func arguments(raw json.RawMessage) json.RawMessage {
	var text string
	if given(raw) == nil || raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		return given(raw)
	}
	inner := bytes.TrimSpace([]byte(text))
	switch {
	case len(inner) == 0:
		return nil
	case !json.Valid(inner):
		return raw
	}
	return given(inner)
}

// integer reads a number or a string with one; 0 if it is neither.
func integer(raw json.RawMessage) int64 {
	n, err := strconv.ParseInt(string(bytes.Trim(raw, `"`)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// seconds converts s to a duration, which is negative if s is unknown.
func seconds(s *float64) time.Duration {
	if s == nil || !(*s >= 0 && *s < 1e9) {
		return -1
	}
	return time.Duration(math.Round(*s * float64(time.Second)))
}

// unixTime converts Unix seconds to a time. It returns the zero time for values that no
// event can have.
func unixTime(seconds float64) time.Time {
	if !(seconds > 0 && seconds < 1e11) {
		return time.Time{}
	}
	return time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC()
}

// eventTime parses the time of an event (Unix seconds with a fraction) or of a webhook
// (ISO 8601 text).
func eventTime(raw json.RawMessage) time.Time {
	raw = bytes.Trim(raw, `"`)
	if seconds, err := strconv.ParseFloat(string(raw), 64); err == nil {
		return unixTime(seconds)
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999"} {
		if t, err := time.Parse(layout, string(raw)); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
