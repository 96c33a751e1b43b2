package echo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Message and event types of the Interactions Protocol.
const (
	typeConversation = "conversation"

	eventEcho             = "conversation.echo"
	eventRespond          = "conversation.respond"
	eventInterrupt        = "conversation.interrupt"
	eventOverwriteContext = "conversation.overwrite_llm_context"
	eventAppendContext    = "conversation.append_llm_context"
	eventSensitivity      = "conversation.sensitivity"
	eventToolResult       = "conversation.tool_result"
	eventSetEmotion       = "conversation.set_emotion"
)

// Message is an interaction other than audio that a client sends; see Encoder for
// audio. The service does not acknowledge messages.
type Message interface {
	// EventType returns the event_type of the message on the wire.
	EventType() string
	// AppendTo appends the message's JSON, one line without a newline, for the
	// conversation. A message that the service would not understand is an error; then
	// dst is returned unchanged. Its size is not checked.
	AppendTo(dst []byte, conversationID string) ([]byte, error)
}

// AudioMessage is one chunk of an utterance on the wire, for programs that read
// messages. The Encoder builds the same bytes without it.
type AudioMessage struct {
	MessageType    string          `json:"message_type"`    // "conversation"
	EventType      string          `json:"event_type"`      // "conversation.echo"
	ConversationID string          `json:"conversation_id"` // id of the conversation
	Properties     AudioProperties `json:"properties"`
}

// AudioProperties is the audio of an AudioMessage.
type AudioProperties struct {
	Modality    string `json:"modality"`     // "audio"
	Audio       []byte `json:"audio"`        // s16le mono; base64 on the wire
	SampleRate  int    `json:"sample_rate"`  // Hz; the service assumes 16000 if it is missing
	InferenceID string `json:"inference_id"` // the same on all chunks of an utterance
	Done        bool   `json:"done"`         // true on the last chunk only
}

// TextEcho makes the replica say a text word for word, in its own voice. A text that is
// still being written can be sent in pieces: all pieces have the same InferenceID, and all
// but the last have More set.
type TextEcho struct {
	Text        string // never empty; Phoenix-4 faces take <emotion value="…"/> in it
	InferenceID string // empty: the service chooses one
	More        bool   // another piece of the same utterance follows
}

// EventType returns conversation.echo.
func (TextEcho) EventType() string { return eventEcho }

// AppendTo appends the message, always with modality and done.
func (m TextEcho) AppendTo(dst []byte, conversationID string) ([]byte, error) {
	if err := checkText("text", m.Text, false); err != nil {
		return dst, invalid(m, err)
	}
	if err := checkText("inference_id", m.InferenceID, !m.More); err != nil {
		return dst, invalid(m, err)
	}
	return appendMessage(dst, m, conversationID, struct {
		Modality    string `json:"modality"`
		Text        string `json:"text"`
		InferenceID string `json:"inference_id,omitempty"`
		Done        bool   `json:"done"`
	}{"text", m.Text, m.InferenceID, !m.More})
}

// Respond is a text that the replica answers as if the user had said it. It
// needs a language model, which echo mode does not have.
type Respond struct {
	Text string // never empty
}

// EventType returns conversation.respond.
func (Respond) EventType() string { return eventRespond }

// AppendTo appends the message.
func (m Respond) AppendTo(dst []byte, conversationID string) ([]byte, error) {
	if err := checkText("text", m.Text, false); err != nil {
		return dst, invalid(m, err)
	}
	return appendMessage(dst, m, conversationID, struct {
		Text string `json:"text"`
	}{m.Text})
}

// Interrupt stops the replica at once, whatever it says.
type Interrupt struct{}

// EventType returns conversation.interrupt.
func (Interrupt) EventType() string { return eventInterrupt }

// AppendTo appends the message. It never fails.
func (m Interrupt) AppendTo(dst []byte, conversationID string) ([]byte, error) {
	return appendMessage(dst, m, conversationID, nil)
}

// AppendInterrupt appends the message that interrupts whatever the replica
// says in the conversation.
func AppendInterrupt(dst []byte, conversationID string) []byte {
	dst, _ = Interrupt{}.AppendTo(dst, conversationID) // strings always marshal
	return dst
}

// OverwriteContext replaces the context of the conversation that the language model has.
type OverwriteContext struct {
	Context string // may be empty: that clears it
}

// EventType returns conversation.overwrite_llm_context.
func (OverwriteContext) EventType() string { return eventOverwriteContext }

// AppendTo appends the message.
func (m OverwriteContext) AppendTo(dst []byte, conversationID string) ([]byte, error) {
	if err := checkText("context", m.Context, true); err != nil {
		return dst, invalid(m, err)
	}
	return appendMessage(dst, m, conversationID, struct {
		Context string `json:"context"`
	}{m.Context})
}

// JobCompleted is the JobStatus of a finished job outside the conversation.
const JobCompleted = "completed"

// AppendContext adds to the language model's context. The replica does not speak because
// of it; to make it speak, send a Respond afterwards.
type AppendContext struct {
	Context   string // never empty
	JobStatus string // empty or JobCompleted
}

// EventType returns conversation.append_llm_context.
func (AppendContext) EventType() string { return eventAppendContext }

// AppendTo appends the message.
func (m AppendContext) AppendTo(dst []byte, conversationID string) ([]byte, error) {
	if err := checkText("context", m.Context, false); err != nil {
		return dst, invalid(m, err)
	}
	if m.JobStatus != "" && m.JobStatus != JobCompleted {
		return dst, invalid(m, fmt.Errorf("job_status %q; it may be %s or missing", m.JobStatus, JobCompleted))
	}
	return appendMessage(dst, m, conversationID, struct {
		Context   string `json:"context"`
		JobStatus string `json:"job_status,omitempty"`
	}{m.Context, m.JobStatus})
}

// SensitivityLevel is how quickly the replica reacts to the user.
type SensitivityLevel string

// The levels of sensitivity, from the lowest. Older services know only low, medium
// and high.
const (
	SensitivitySuperLow SensitivityLevel = "superlow"
	SensitivityVeryLow  SensitivityLevel = "verylow"
	SensitivityLow      SensitivityLevel = "low"
	SensitivityMedium   SensitivityLevel = "medium"
	SensitivityHigh     SensitivityLevel = "high"
	SensitivityAuto     SensitivityLevel = "auto" // the service decides
)

// SensitivityLevels lists the levels.
func SensitivityLevels() []SensitivityLevel {
	return []SensitivityLevel{SensitivitySuperLow, SensitivityVeryLow, SensitivityLow, SensitivityMedium,
		SensitivityHigh, SensitivityAuto}
}

// Sensitivity sets how quickly the replica reacts to the user. Set exactly one of the two
// fields. It has no effect in echo mode, in which the replica does not listen.
type Sensitivity struct {
	Pause     SensitivityLevel // how soon the replica answers when the user pauses
	Interrupt SensitivityLevel // how soon the replica falls silent when the user speaks
}

// EventType returns conversation.sensitivity.
func (Sensitivity) EventType() string { return eventSensitivity }

// AppendTo appends the message.
func (m Sensitivity) AppendTo(dst []byte, conversationID string) ([]byte, error) {
	if (m.Pause == "") == (m.Interrupt == "") {
		return dst, invalid(m, errors.New("set the sensitivity to pauses or to interrupts, not both"))
	}
	if level := m.Pause + m.Interrupt; !slices.Contains(SensitivityLevels(), level) {
		return dst, invalid(m, fmt.Errorf("level %q; it may be %s", level, join(SensitivityLevels())))
	}
	return appendMessage(dst, m, conversationID, struct {
		Pause     SensitivityLevel `json:"participant_pause_sensitivity,omitempty"`
		Interrupt SensitivityLevel `json:"participant_interrupt_sensitivity,omitempty"`
	}{m.Pause, m.Interrupt})
}

// Emotion is an emotion that a face expresses.
type Emotion string

// Emotions lists the emotions that faces are known to accept. The list comes from LiveKit's
// plugin for Tavus.
func Emotions() []Emotion {
	return []Emotion{"neutral", "happiness", "sadness", "anger", "fear", "surprise", "disgust", "contempt"}
}

// SetEmotion sets the emotion that the face expresses until the next SetEmotion. The service
// documents only the name of the message; the name of its property comes from LiveKit's
// plugin.
type SetEmotion struct{ Emotion Emotion }

// EventType returns conversation.set_emotion.
func (SetEmotion) EventType() string { return eventSetEmotion }

// AppendTo appends the message.
func (m SetEmotion) AppendTo(dst []byte, conversationID string) ([]byte, error) {
	if !slices.Contains(Emotions(), m.Emotion) {
		return dst, invalid(m, fmt.Errorf("emotion %q; it may be %s", m.Emotion, join(Emotions())))
	}
	return appendMessage(dst, m, conversationID, struct {
		Emotion Emotion `json:"emotion"`
	}{m.Emotion})
}

// ToolStatus is how a tool call ended.
type ToolStatus string

// The possible results of a tool call.
const (
	ToolSuccess ToolStatus = "success"
	ToolError   ToolStatus = "error" // the replica says that the tool failed
)

// ToolResult answers a tool call.
type ToolResult struct {
	ToolCallID string          // id of the call in the event; never empty
	Output     json.RawMessage // a JSON object or string (ToolText); may be missing
	Status     ToolStatus      // empty: ToolSuccess
}

// ToolText returns the Output of a tool that answers with text.
func ToolText(text string) json.RawMessage { return quote(text) }

// ToolOutput returns the Output for a text: a JSON object unchanged, any other text as
// a JSON string, and nil for an empty one.
func ToolOutput(text string) json.RawMessage {
	object := strings.TrimSpace(text)
	switch {
	case text == "":
		return nil
	case strings.HasPrefix(object, "{") && json.Valid([]byte(object)):
		return json.RawMessage(object)
	}
	return ToolText(text)
}

// EventType returns conversation.tool_result.
func (ToolResult) EventType() string { return eventToolResult }

// AppendTo appends the message.
func (m ToolResult) AppendTo(dst []byte, conversationID string) ([]byte, error) {
	if err := checkText("tool_call_id", m.ToolCallID, false); err != nil {
		return dst, invalid(m, err)
	}
	output := bytes.TrimSpace(m.Output)
	if len(output) > 0 && (!json.Valid(output) || output[0] != '{' && output[0] != '"') {
		return dst, invalid(m, errors.New("output is neither a JSON object nor a JSON string"))
	}
	if m.Status == "" {
		m.Status = ToolSuccess
	}
	if m.Status != ToolSuccess && m.Status != ToolError {
		return dst, invalid(m, fmt.Errorf("status %q; it may be %s or %s", m.Status, ToolSuccess, ToolError))
	}
	return appendMessage(dst, m, conversationID, struct {
		ToolCallID string          `json:"tool_call_id"`
		Output     json.RawMessage `json:"output,omitempty"`
		Status     ToolStatus      `json:"status"`
	}{m.ToolCallID, output, m.Status})
}

// Raw is a message written by the caller, a JSON object. It is sent without its white
// space; a missing conversation_id is added.
type Raw json.RawMessage

// EventType returns the event_type in the message; empty if there is none.
func (m Raw) EventType() string {
	fields, _ := m.fields()
	var eventType string
	_ = json.Unmarshal(fields["event_type"], &eventType)
	return eventType
}

// AppendTo appends the message.
func (m Raw) AppendTo(dst []byte, conversationID string) ([]byte, error) {
	fields, err := m.fields()
	if err != nil {
		return dst, fmt.Errorf("echo: a message must be one JSON object: %v", err)
	}
	line := bytes.NewBuffer(dst)
	_ = json.Compact(line, m) // cannot fail: fields has parsed it
	msg := line.Bytes()
	if _, has := fields["conversation_id"]; has || conversationID == "" {
		return msg, nil
	}
	msg = msg[:len(msg)-1]
	if len(fields) > 0 {
		msg = append(msg, ',')
	}
	msg = append(msg, `"conversation_id":`...)
	return append(append(msg, quote(conversationID)...), '}'), nil
}

// fields reads the object, one level deep.
func (m Raw) fields() (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	err := json.Unmarshal(m, &fields)
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType):
		return nil, fmt.Errorf("found %s", wrongType.Value)
	case err != nil:
		return nil, err
	case fields == nil:
		return nil, errors.New("found null")
	case !utf8.Valid(m):
		return nil, errors.New("not valid UTF-8")
	}
	return fields, nil
}

// checkText returns an error for text that JSON cannot carry and, unless emptyToo is
// set, for empty text.
func checkText(name, text string, emptyToo bool) error {
	if text == "" && !emptyToo {
		return fmt.Errorf("%s is empty", name)
	}
	if !utf8.ValidString(text) {
		return fmt.Errorf("%s is not valid UTF-8", name)
	}
	return nil
}

func invalid(m Message, err error) error { return fmt.Errorf("echo: %s: %v", m.EventType(), err) }

func join[T ~string](values []T) string {
	words := make([]string, len(values))
	for i, value := range values {
		words[i] = string(value)
	}
	return strings.Join(words, ", ")
}

// appendMessage appends m with its properties; nil leaves them out.
func appendMessage(dst []byte, m Message, conversationID string, properties any) ([]byte, error) {
	msg, err := marshal(struct {
		MessageType    string `json:"message_type"`
		EventType      string `json:"event_type"`
		ConversationID string `json:"conversation_id"`
		Properties     any    `json:"properties,omitempty"`
	}{typeConversation, m.EventType(), conversationID, properties})
	if err != nil {
		return dst, invalid(m, err)
	}
	return append(dst, msg...), nil
}

// marshal is json.Marshal without HTML escapes, which make a tag in a text six times
// as long.
func marshal(v any) ([]byte, error) {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(line.Bytes(), []byte("\n")), err
}
