package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"echocast/openai"
)

// openAIRate is the rate of audio in Hz, both ways.
const openAIRate = 24000

// realtime is a session of OpenAI's Realtime API.
type realtime struct {
	talk        *talk
	speaker     *openai.Voice
	isAnswering bool // a response of the agent is under way
}

func newOpenAI(ctx context.Context, t *talk) *realtime {
	return &realtime{talk: t, speaker: openai.NewVoice(ctx, openai.VoiceOptions{
		Speaker: t.options.Speaker, SpeakerRate: t.options.SpeakerRate, Send: t.sendRaw,
		OnFailed: func(err error) { t.warn(fmt.Sprintf("the replica says nothing more: %v", err)) },
	})}
}

func (r *realtime) drain() {
	if r.isAnswering {
		r.talk.warn("the agent has ended the conversation in the middle of a response")
	}
	r.speaker.Drain()
}

func (r *realtime) close() { r.speaker.Close() }

func (r *realtime) encodeVoice(pcm []byte) []byte {
	data, _ := json.Marshal(struct {
		Type  string `json:"type"`
		Audio []byte `json:"audio"`
	}{"input_audio_buffer.append", pcm})
	return data
}

func (r *realtime) read(data []byte) (int, error) {
	if r.speaker.HandleServiceEvent(data) {
		return 0, nil // an error about the speaker's own event, such as a truncation that came too late
	}
	var e struct {
		Type       string `json:"type"`
		Transcript string `json:"transcript"`
		Error      struct {
			Message string `json:"message"`
		} `json:"error"`
		Response openai.Response `json:"response"`
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return 0, fmt.Errorf("the agent sent no event: %w", err)
	}
	switch e.Type {
	case "session.created":
		r.talk.send(map[string]any{"type": "session.update", "session": r.sessionUpdate()})
	case "session.updated":
		return openAIRate, nil
	case "response.output_audio_transcript.done", "response.audio_transcript.done":
		r.talk.say("agent", e.Transcript)
	case "conversation.item.input_audio_transcription.completed":
		r.talk.say("user", e.Transcript)
	case "response.created":
		r.isAnswering = true
	case "response.done":
		r.isAnswering = false
		if err := e.Response.Problem(); err != nil && e.Response.Status != "cancelled" { // the user cuts in
			return 0, fmt.Errorf("the agent reports: %w", err)
		}
	case "error":
		return 0, errors.New("the agent reports: " + e.Error.Message)
	}
	return 0, nil
}

// sessionUpdate returns the session settings: audio both ways, and barge-in by the
// user.
func (r *realtime) sessionUpdate() map[string]any {
	format := map[string]any{"type": "audio/pcm", "rate": openAIRate}
	session := map[string]any{
		"type": "realtime", "output_modalities": []string{"audio"},
		"audio": map[string]any{
			"input": map[string]any{
				"format": format,
				"turn_detection": map[string]any{
					"type": "server_vad", "create_response": true, "interrupt_response": true,
				},
			},
			"output": map[string]any{"format": format},
		},
	}
	if r.talk.options.Instructions != "" {
		session["instructions"] = r.talk.options.Instructions
	}
	return session
}
