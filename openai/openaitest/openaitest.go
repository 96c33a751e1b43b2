// Package openaitest is a stand-in for OpenAI's Realtime service for tests, written from its
// published events.
//
// https://platform.openai.com/docs/api-reference/realtime-server-events
package openaitest

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"testing"

	"github.com/coder/websocket"

	"echocast/internal/testwait"
)

// session is the description of a session: it speaks samples at 24 kHz.
const session = `"session":{"type":"realtime","audio":{"output":{"format":{"type":"audio/pcm","rate":24000}}}}`

// Session is the service's side of a Realtime session.
type Session struct {
	t    testing.TB
	ctx  context.Context //nolint:containedctx // of the test
	conn *websocket.Conn
}

// Event is an event of the client.
type Event struct {
	Type     string `json:"type"`
	ItemID   string `json:"item_id"`      // of conversation.item.truncate
	AudioEnd int    `json:"audio_end_ms"` // of conversation.item.truncate
	Audio    []byte `json:"audio"`        // of input_audio_buffer.append
}

// Realtime holds a session with each client, until the client leaves. It calls answer for each
// response.create.
func Realtime(t testing.TB, answer func(s *Session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := Accept(t, w, r)
		if s == nil {
			return
		}
		for e := range s.Events() {
			if e.Type == "response.create" {
				answer(s)
			}
		}
	}
}

// Accept begins a session. It returns nil if the client asks for none; this fails the test.
func Accept(t testing.TB, w http.ResponseWriter, r *http.Request) *Session {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		t.Error(err)
		return nil
	}
	s := &Session{t: t, ctx: testwait.Context(t), conn: conn}
	s.Send(`{"type":"session.created","event_id":"event_1",` + session + `}`)
	return s
}

// Send sends an event.
func (s *Session) Send(format string, args ...any) {
	_ = s.conn.Write(s.ctx, websocket.MessageText, fmt.Appendf(nil, format, args...)) // Events notices a failure
}

// Events yields the events of the client, until it leaves. The session answers updates and
// truncations itself.
func (s *Session) Events() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for {
			_, data, err := s.conn.Read(s.ctx)
			if err != nil {
				return
			}
			var e Event
			if err := json.Unmarshal(data, &e); err != nil {
				s.t.Errorf("%s: %v", data, err)
			}
			switch e.Type {
			case "session.update":
				s.Send(`{"type":"session.updated",` + session + `}`)
			case "conversation.item.truncate":
				s.Send(`{"type":"conversation.item.truncated","item_id":%q,"content_index":0,"audio_end_ms":%d}`,
					e.ItemID, e.AudioEnd)
			}
			if !yield(e) {
				return
			}
		}
	}
}

// Answer sends a whole response at once. Its audio is the samples, repeated the given number
// of times.
func (s *Session) Answer(samples []byte, times int) {
	const of = `"response_id":"resp_1","item_id":"item_1","output_index":0,"content_index":0`
	s.Send(`{"type":"response.created","response":{"id":"resp_1","status":"in_progress"}}`)
	delta, _ := json.Marshal(samples) // base64
	for range times {
		s.Send(`{"type":"response.output_audio.delta",`+of+`,"delta":%s}`, delta)
	}
	s.Send(`{"type":"response.output_audio.done",` + of + `}`)
	s.Send(`{"type":"response.output_item.done","response_id":"resp_1","item":{"id":"item_1","status":"completed"}}`)
	s.Send(`{"type":"response.done","response":{"id":"resp_1","status":"completed"}}`)
}

// Close ends the session.
func (s *Session) Close() { _ = s.conn.Close(websocket.StatusNormalClosure, "") }
