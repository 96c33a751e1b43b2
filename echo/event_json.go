package echo

import (
	"bytes"
	"encoding/json"
	"time"
)

// eventJSON is an Event as MarshalJSON writes it.
type eventJSON struct {
	Kind           string           `json:"kind"`
	Type           string           `json:"type,omitempty"`
	Role           string           `json:"role,omitempty"`
	ConversationID string           `json:"conversation_id,omitempty"`
	InferenceID    string           `json:"inference_id,omitempty"`
	Seq            int64            `json:"seq,omitempty"`
	Turn           int              `json:"turn,omitempty"`
	Time           string           `json:"time,omitempty"`
	Interrupted    *bool            `json:"interrupted,omitempty"`
	Duration       *float64         `json:"duration_seconds,omitempty"`
	Text           string           `json:"text,omitempty"`
	ContentIndex   *int             `json:"content_index,omitempty"`
	Final          *bool            `json:"final,omitempty"`
	AudioAnalysis  string           `json:"user_audio_analysis,omitempty"`
	VisualAnalysis string           `json:"user_visual_analysis,omitempty"`
	Analysis       string           `json:"analysis,omitempty"`
	ToolCall       *toolCallJSON    `json:"tool_call,omitempty"`
	Guardrail      *Guardrail       `json:"guardrail,omitempty"`
	Objective      *Objective       `json:"objective,omitempty"`
	Participant    *Participant     `json:"participant,omitempty"`
	Transcript     []transcriptJSON `json:"transcript,omitempty"`
	Recording      *Recording       `json:"recording,omitempty"`
	ReplicaID      string           `json:"replica_id,omitempty"`
	Attempt        int              `json:"attempt,omitempty"`
	Reason         string           `json:"reason,omitempty"`
	Raw            json.RawMessage  `json:"raw,omitempty"`
}

type toolCallJSON struct {
	ToolCall
	Frames int `json:"frames,omitempty"` // how many; each may be larger than a line should be
}

type transcriptJSON struct {
	Role        string   `json:"role,omitempty"`
	Text        string   `json:"text"`
	Time        string   `json:"time,omitempty"`
	Start       *float64 `json:"start_seconds,omitempty"`
	Duration    *float64 `json:"duration_seconds,omitempty"`
	InferenceID string   `json:"inference_id,omitempty"`
}

// MarshalJSON writes the event as one flat object, the same for every spelling
// it may have arrived in:
//
//	{"kind":"stopped_speaking","type":"conversation.stopped_speaking","role":"pal","conversation_id":"c1",
//	 "inference_id":"u1","seq":60,"turn":3,"time":"2026-05-28T20:26:43.35Z","interrupted":false,"duration_seconds":2.341}
//
// kind is the name of its Kind and is always present. type is the event_type, and time
// is in RFC 3339 and UTC. Missing fields are left out. Further
// keys are text; content_index and final (of streamed text);
// user_audio_analysis, user_visual_analysis and analysis; tool_call with id,
// name, arguments, modality and the number of frames; guardrail with name and
// uuid; objective with name, status and variables; participant with id and
// name; transcript, a list of role, text, time, start_seconds, duration_seconds
// and inference_id; recording with id, bucket, key, provider, uri, error_code
// and error_message; replica_id, attempt and reason. raw is the whole message as it
// arrived. Only kinds with undocumented fields have it: unknown, joined, left and
// objective.
func (e Event) MarshalJSON() ([]byte, error) {
	out := eventJSON{
		Kind: e.Kind.String(), Type: e.Type, Role: e.Role, ConversationID: e.ConversationID, InferenceID: e.InferenceID,
		Seq: e.Seq, Turn: e.Turn, Time: timeJSON(e.Time),
		Text: e.Text, AudioAnalysis: e.AudioAnalysis, VisualAnalysis: e.VisualAnalysis, Analysis: e.Analysis,
		Guardrail: e.Guardrail, Objective: e.Objective, Participant: e.Participant, Recording: e.Recording,
		ReplicaID: e.ReplicaID, Attempt: e.Attempt, Reason: e.Reason,
	}
	if e.Interrupted || e.Kind == StoppedSpeaking {
		out.Interrupted = &e.Interrupted
	}
	if e.Duration > 0 || e.Kind == StoppedSpeaking {
		out.Duration = secondsJSON(e.Duration)
	}
	if e.Kind == KindUtteranceStreaming {
		out.ContentIndex, out.Final = &e.ContentIndex, &e.Final
	}
	if e.ToolCall != nil {
		out.ToolCall = &toolCallJSON{*e.ToolCall, len(e.ToolCall.Frames)}
	}
	for _, entry := range e.Transcript {
		out.Transcript = append(out.Transcript, transcriptJSON{entry.Role, entry.Text, timeJSON(entry.Time),
			secondsJSON(entry.Start), secondsJSON(entry.Duration), entry.InferenceID})
	}
	switch e.Kind {
	case Unknown, KindJoined, KindLeft, KindObjective:
		out.Raw = e.Raw
	}
	line, err := marshal(out)
	return bytes.ToValidUTF8(line, []byte("\uFFFD")), err // JSON in JSON is copied as it is
}

func timeJSON(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func secondsJSON(d time.Duration) *float64 {
	if d < 0 {
		return nil
	}
	s := d.Seconds()
	return &s
}
