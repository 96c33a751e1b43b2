package echo

import (
	"encoding/json"
)

// Message and event types of the Interactions Protocol.
const (
	typeConversation = "conversation"

	eventEcho      = "conversation.echo"
	eventInterrupt = "conversation.interrupt"
)

// AudioMessage is one chunk of an utterance as it stands on the wire. The
// Encoder builds the same bytes without it; it is here for those who read the
// messages, and for the test that compares the two.
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
	SampleRate  int    `json:"sample_rate"`  // Hz; the service assumes 16000 where it is missing
	InferenceID string `json:"inference_id"` // the same on all chunks of an utterance
	Done        bool   `json:"done"`         // true on the last chunk only
}

// Interrupt is the message that stops the replica at once.
type Interrupt struct {
	MessageType    string `json:"message_type"`    // "conversation"
	EventType      string `json:"event_type"`      // "conversation.interrupt"
	ConversationID string `json:"conversation_id"` // id of the conversation
}

// AppendInterrupt appends the message that interrupts whatever the replica
// says in the conversation.
func AppendInterrupt(dst []byte, conversationID string) []byte {
	msg, _ := json.Marshal(Interrupt{typeConversation, eventInterrupt, conversationID}) // strings always marshal
	return append(dst, msg...)
}

// Message is one interaction.
type Message interface {
	EventType() string
	AppendTo(dst []byte, conversationID string) ([]byte, error)
}
