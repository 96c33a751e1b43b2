package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"echocast/agent"
	"echocast/echo"
	"echocast/internal/pcm"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/room"
	"echocast/room/roomtest"
)

func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }

// vendor is a vendor's end of a WebSocket in memory, and what it was sent. When it leaves, Write
// fails a little before Read tells the goodbye, as with the library.
type vendor struct {
	t      *testing.T
	toUs   chan []byte
	closed chan struct{}
	close  func()

	mu    sync.Mutex
	got   []map[string]any // but for the user's voice
	voice []byte
}

func newVendor(t *testing.T) *vendor {
	v := &vendor{t: t, toUs: make(chan []byte, 1000), closed: make(chan struct{})}
	v.close = sync.OnceFunc(func() { close(v.closed) })
	return v
}

func (v *vendor) Read(context.Context) (websocket.MessageType, []byte, error) {
	select {
	case data, ok := <-v.toUs:
		if ok {
			return websocket.MessageText, data, nil
		}
		return 0, nil, websocket.CloseError{Code: websocket.StatusNormalClosure}
	case <-v.closed:
		time.Sleep(time.Millisecond)
		return 0, nil, websocket.CloseError{Code: websocket.StatusNormalClosure}
	}
}

func (v *vendor) Write(_ context.Context, _ websocket.MessageType, data []byte) error {
	select {
	case <-v.closed:
		return net.ErrClosed
	default:
	}
	var m struct {
		Audio []byte `json:"audio"`
		Chunk []byte `json:"user_audio_chunk"`
	}
	all := map[string]any{}
	if json.Unmarshal(data, &m) != nil || json.Unmarshal(data, &all) != nil {
		v.t.Errorf("the agent was sent %q", data)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.voice = append(append(v.voice, m.Audio...), m.Chunk...); m.Audio == nil && m.Chunk == nil {
		v.got = append(v.got, all)
	}
	return nil
}

func (v *vendor) Close(websocket.StatusCode, string) error {
	v.close()
	return nil
}

func (v *vendor) send(format string, args ...any) { v.toUs <- fmt.Appendf(nil, format, args...) }

func (v *vendor) types() (types []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, m := range v.got {
		types = append(types, fmt.Sprint(m["type"]))
	}
	return types
}

// audio is a second of audio at a rate, in base64.
func audio(rate int) string {
	data, _ := json.Marshal(make([]byte, 2*rate))
	return strings.Trim(string(data), `"`)
}

// talk lets a vendor act in a room with a stand-in replica, in fake time, while the
// user says something. It returns what was said, the receipts and the warnings.
func talk(t *testing.T, kind string, act func(v *vendor)) (v *vendor, said []string, receipts []echo.Receipt,
	warnings []string) {
	v = newVendor(t)
	place := roomtest.Open(&replica.Options{})
	joined, err := room.Join(t.Context(), place.Address, nil)
	if err != nil {
		t.Fatal(err)
	}
	session, err := echo.NewSession(joined.Stage(), &echo.Options{
		OnReceipt: func(r echo.Receipt) { receipts = append(receipts, r) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- agent.Talk(t.Context(), v, agent.Options{
			Kind: kind, Speaker: session, Instructions: "Be brief.",
			Hear: func(_ context.Context, rate int, to io.Writer) error {
				voice := []byte{}
				for i := range 10 { // a second
					voice = append(voice, bytes.Repeat([]byte{byte(i)}, rate/5)...)
				}
				for part := range slices.Chunk(voice, 7777) {
					_, _ = to.Write(part)
				}
				return nil
			},
			Say:  func(who, text string) { said = append(said, who+": "+text) },
			Warn: func(text string) { warnings = append(warnings, text) },
		})
	}()
	act(v)
	v.close()
	if err := <-ended; err != nil {
		t.Errorf("the conversation ended with %v", err)
	}
	_ = session.Close()
	_ = joined.Close()
	place.Close()
	return v, said, receipts, warnings
}

// checkInterrupted checks that three seconds were spoken, of which about one was heard.
func checkInterrupted(t *testing.T, receipts []echo.Receipt) {
	t.Helper()
	if len(receipts) != 1 || receipts[0].Outcome != echo.Interrupted ||
		receipts[0].SpokenSeconds < 0.8 || receipts[0].SpokenSeconds > 1.1 {
		t.Errorf("the receipts are %+v", receipts)
	}
}

// An agent of OpenAI hears the user, speaks through the replica, and learns in milliseconds
// what was heard when the user interrupts.
func TestOpenAI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, said, receipts, warnings := talk(t, agent.OpenAI, func(v *vendor) {
			v.send(`{"type":"session.created","session":{"type":"realtime"}}`)
			v.send(`{"type":"session.updated","session":{"audio":{"output":{"format":{"type":"audio/pcm","rate":24000}}}}}`)
			time.Sleep(time.Second)
			v.send(`{"type":"conversation.item.input_audio_transcription.completed","transcript":"Hello?"}`)
			v.send(`{"type":"response.created","response":{"id":"r"}}`)
			for range 3 {
				v.send(`{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":%q}`, audio(24000))
			}
			v.send(`{"type":"response.output_audio_transcript.done","item_id":"i","transcript":"Good morning."}`)
			v.send(`{"type":"response.output_audio.done","response_id":"r","item_id":"i","content_index":0}`)
			v.send(`{"type":"response.done","response":{"id":"r"}}`)
			v.send(`{"type":"error","error":{"message":"out of credit"}}`)
			time.Sleep(1100 * time.Millisecond)
			v.send(`{"type":"input_audio_buffer.speech_started"}`)
			time.Sleep(3 * time.Second)
		})
		if got, want := v.types(), []string{"session.update", "conversation.item.truncate"}; !slices.Equal(got, want) {
			t.Fatalf("the agent was sent %q, want %q", got, want)
		}
		session, _ := v.got[0]["session"].(map[string]any)
		told, _ := v.got[1]["audio_end_ms"].(float64)
		if session["instructions"] != "Be brief." || v.got[1]["item_id"] != "i" ||
			told != float64(int(receipts[0].SpokenSeconds*1000+0.5)) {
			t.Errorf("the agent was sent %v, and the receipts are %+v", v.got, receipts)
		}
		checkInterrupted(t, receipts)
		if len(v.voice) != 48000 || v.voice[47999] != 9 {
			t.Errorf("the agent heard %d bytes", len(v.voice))
		}
		if want := []string{"user: Hello?", "agent: Good morning."}; !slices.Equal(said, want) {
			t.Errorf("said was %q", said)
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0], "out of credit") {
			t.Errorf("warnings: %q", warnings)
		}
	})
}

// An OpenAI response that the service cut short is a warning, and the conversation continues.
// One that the user cut short, or a complete one, is not.
func TestOpenAIWarnsOfAnIncompleteResponse(t *testing.T) {
	for details, want := range map[string]string{
		`"status":"incomplete","status_details":{"reason":"content_filter"}`:                  "incomplete: content_filter",
		`"status":"failed","status_details":{"type":"failed","error":{"code":"rate_limit"}}`:  "failed: rate_limit",
		`"status":"failed","status_details":{"error":{"code":"x","message":"it broke"}}`:      "failed: it broke",
		`"status":"failed","status_details":null`:                                             "failed: no reason given",
		`"status":"cancelled","status_details":{"type":"cancelled","reason":"turn_detected"}`: "",
		`"status":"completed","status_details":null`:                                          "",
	} {
		synctest.Test(t, func(t *testing.T) {
			_, _, _, warnings := talk(t, agent.OpenAI, func(v *vendor) {
				v.send(`{"type":"session.created","session":{"type":"realtime"}}`)
				v.send(`{"type":"session.updated","session":{}}`)
				v.send(`{"type":"response.done","response":{"id":"r",%s}}`, details)
				time.Sleep(time.Second)
			})
			if got := strings.Join(warnings, "\n"); (got == "") != (want == "") || !strings.HasSuffix(got, want) {
				t.Errorf("%s: warnings %q, want %q", details, warnings, want)
			}
		})
	}
}

// An agent of ElevenLabs hears the user, speaks through the replica, gets answers to its
// pings, and learns in words what was heard when the user interrupts.
func TestElevenLabs(t *testing.T) {
	// A sample of mu-law is one byte. The agent hears a second of the user.
	for format, c := range map[string]struct{ rate, heard int }{
		"pcm_16000": {16000, 32000}, "pcm_24000": {24000, 48000}, "ulaw_8000": {4000, 8000},
	} {
		rate := c.rate
		synctest.Test(t, func(t *testing.T) {
			v, said, receipts, warnings := talk(t, agent.ElevenLabs, func(v *vendor) {
				v.send(`{"type":"conversation_initiation_metadata","conversation_initiation_metadata_event":{`+
					`"agent_output_audio_format":%[1]q,"user_input_audio_format":%[1]q}}`, format)
				time.Sleep(time.Second)
				v.send(`{"type":"ping","ping_event":{"event_id":7,"ping_ms":20}}`)
				v.send(`{"type":"user_transcript","user_transcription_event":{"user_transcript":"Hello?"}}`)
				v.send(`{"type":"agent_response","agent_response_event":{"agent_response":%q}}`,
					"Good morning, this is a long answer to a short question.")
				v.send(`{"type":"client_tool_call","client_tool_call":{"tool_name":"weather","tool_call_id":"t1"}}`)
				for i := range 3 {
					v.send(`{"type":"audio","audio_event":{"audio_base_64":%q,"event_id":%d}}`, audio(rate), i+1)
				}
				time.Sleep(1100 * time.Millisecond)
				v.send(`{"type":"interruption","interruption_event":{"event_id":3}}`)
				v.send(`{"type":"audio","audio_event":{"audio_base_64":%q,"event_id":3}}`, audio(rate)) // was on its way
				time.Sleep(3 * time.Second)
			})
			want := []string{"conversation_initiation_client_data", "pong", "client_tool_result", "contextual_update"}
			if got := v.types(); !slices.Equal(got, want) {
				t.Fatalf("%s: the agent was sent %q, want %q", format, got, want)
			}
			text := fmt.Sprint(v.got[3]["text"])
			if v.got[1]["event_id"] != 7.0 || !strings.Contains(text, `"Good morning`) || strings.Contains(text, "question") {
				t.Errorf("%s: the agent was sent %v", format, v.got)
			}
			checkInterrupted(t, receipts)
			if len(v.voice) != c.heard || format == "ulaw_8000" && v.voice[c.heard-1] != pcm.EncodeMuLaw(0x0909) {
				t.Errorf("%s: the agent heard %d bytes", format, len(v.voice))
			}
			if len(said) != 2 || said[0] != "user: Hello?" || len(warnings) != 1 {
				t.Errorf("%s: said was %q, warnings %q", format, said, warnings)
			}
		})
	}
}

// Invalid messages are reported, and an agent that cannot be reached has its own error.
func TestInvalidMessagesAndUnreachableAgent(t *testing.T) {
	for _, kind := range agent.Kinds() {
		synctest.Test(t, func(t *testing.T) {
			_, _, _, warnings := talk(t, kind, func(v *vendor) {
				v.send(`{`)
				v.send(`{"type":"conversation_initiation_metadata",` +
					`"conversation_initiation_metadata_event":{"agent_output_audio_format":"mp3_44100"}}`)
				v.send(`{"type":"audio","audio_event":{"audio_base_64":"AAAA","event_id":1}}`)
				v.send(`{"type":"interruption","interruption_event":{"event_id":1}}`)
				time.Sleep(time.Second)
			})
			if len(warnings) == 0 {
				t.Errorf("%s: no warnings", kind)
			}
		})
		err := agent.Run(t.Context(), agent.Options{Kind: kind, URL: "ws://127.0.0.1:1/?signature=secret"})
		if _, ok := errors.AsType[*agent.DialError](err); !ok || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: nobody answers: %v", kind, err)
		}
	}
	if err := agent.Run(t.Context(), agent.Options{Kind: "hal"}); err == nil || !strings.Contains(err.Error(), "hal") {
		t.Errorf("an unknown kind: %v", err)
	}
}

// When an agent ends the conversation, its last answer is spoken in full. If OpenAI ends it
// within a response, there is a warning.
func TestAgentEndsConversation(t *testing.T) {
	for _, c := range []struct {
		kind, end, want string
	}{
		{agent.OpenAI, `{"type":"response.done","response":{"id":"r"}}`, ""},
		{agent.OpenAI, `{"type":"response.output_audio.done","response_id":"r","item_id":"i"}`,
			"in the middle of a response"},
		{agent.ElevenLabs, `{"type":"ping"}`, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, _, receipts, warnings := talk(t, c.kind, func(v *vendor) {
				v.send(`{"type":"session.created","session":{}}`)
				v.send(`{"type":"conversation_initiation_metadata","conversation_initiation_metadata_event":{` +
					`"agent_output_audio_format":"pcm_24000","user_input_audio_format":"pcm_16000"}}`)
				time.Sleep(time.Second)
				v.send(`{"type":"response.created","response":{"id":"r"}}`)
				v.send(`{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":%q}`, audio(24000))
				v.send(`{"type":"audio","audio_event":{"audio_base_64":%q,"event_id":1}}`, audio(24000))
				v.send(`%s`, c.end)
				synctest.Wait()
			})
			if len(receipts) != 1 || receipts[0].Outcome != echo.Finished || receipts[0].Samples != 24000 {
				t.Errorf("%s: the receipts are %+v", c.kind, receipts)
			}
			if got := strings.Join(warnings, "\n"); (got == "") != (c.want == "") || !strings.HasSuffix(got, c.want) {
				t.Errorf("%s %s: warnings %q, want %q", c.kind, c.end, warnings, c.want)
			}
		})
	}
}

// An agent that says goodbye while it is sent the user's voice has ended the conversation.
func TestAgentLeavesWhileItIsSentTheVoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVendor(t)
		v.send(`{"type":"conversation_initiation_metadata","conversation_initiation_metadata_event":{` +
			`"agent_output_audio_format":"pcm_24000","user_input_audio_format":"pcm_16000"}}`)
		err := agent.Talk(t.Context(), v, agent.Options{
			Kind: agent.ElevenLabs, Speaker: quiet{},
			Hear: func(_ context.Context, rate int, to io.Writer) error {
				v.close()
				_, err := to.Write(make([]byte, 2*rate))
				return err
			},
		})
		if err != nil {
			t.Errorf("the conversation ended with %v", err)
		}
	})
}
