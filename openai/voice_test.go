package openai_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"echocast/echo"
	"echocast/openai"
	"echocast/playout"
)

// stuckSpeaker is a speaker that reads nothing until it is interrupted.
type stuckSpeaker struct{ counter }

func (*stuckSpeaker) Speak(ctx context.Context, _ echo.Speech) (echo.Receipt, error) {
	<-ctx.Done()
	return echo.Receipt{Outcome: echo.Interrupted, SpokenBy: echo.ByEvent}, context.Cause(ctx)
}

// voice returns a Voice, to which a test passes events.
func voice(t *testing.T, speaker playout.Speaker) (v *openai.Voice, sent *[]string) {
	sent = &[]string{}
	v = openai.NewVoice(t.Context(),
		openai.VoiceOptions{Speaker: speaker, Send: func(event []byte) { *sent = append(*sent, string(event)) }})
	return v, sent
}

// Audio is decoded as the session says, by the current and by the earlier names.
func TestFormats(t *testing.T) {
	for session, want := range map[string]int{
		`{}`: 12000,
		`{"audio":{"output":{"format":{"type":"audio/pcm","rate":24000}}}}`: 12000,
		`{"audio":{"output":{"format":{"type":"audio/pcmu"}}}}`:             72000,
		`{"audio":{"output":{"format":{"type":"audio/pcma"}}}}`:             72000,
		`{"output_audio_format":"pcm16"}`:                                   12000,
		`{"output_audio_format":"g711_ulaw"}`:                               72000,
		`{"output_audio_format":"g711_alaw"}`:                               72000,
	} {
		synctest.Test(t, func(t *testing.T) {
			speaker := &counter{}
			v, _ := voice(t, speaker)
			v.HandleServiceEvent([]byte(`{"type":"session.created","session":` + session + `}`))
			v.HandleServiceEvent(fmt.Appendf(nil, `{"type":"response.output_audio.delta","item_id":"i","delta":"%s"}`,
				base64.StdEncoding.EncodeToString(make([]byte, 24000))))
			v.HandleServiceEvent([]byte(`{"type":"response.output_audio.done","item_id":"i"}`))
			v.Drain()
			v.Close()
			if len(speaker.spoken) != 1 || speaker.spoken[0].samples != want {
				t.Errorf("with %s the replica said %+v, want %d samples", session, speaker.spoken, want)
			}
		})
	}
}

// The user's speech stops nothing if the session says so. The client does not see the
// service's errors about our own events.
func TestOwnEventsAreHiddenFromClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		speaker := &stuckSpeaker{}
		v, sent := voice(t, speaker)
		delta := []byte(`{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"AAAAAAAA"}`)
		v.HandleServiceEvent([]byte(`{"type":"session.updated","session":{"audio":{"input":{"turn_detection":{"type":"server_vad",` +
			`"interrupt_response":false}}}}}`))
		v.HandleServiceEvent([]byte(`{"type":"response.created","response":{"id":"r"}}`))
		v.HandleServiceEvent(delta)
		v.HandleServiceEvent([]byte(`{"type":"input_audio_buffer.speech_started"}`))
		synctest.Wait()
		if len(*sent) != 0 {
			t.Errorf("the service was told %q", *sent)
		}
		v.HandleServiceEvent([]byte(`{"type":"session.updated","session":{"audio":{"input":{"turn_detection":{"type":"server_vad",` +
			`"interrupt_response":true}}}}}`))
		v.HandleServiceEvent([]byte(`{"type":"input_audio_buffer.speech_started"}`))
		synctest.Wait() // another goroutine interrupts the replica
		v.Cancel()
		var cancel, truncate struct {
			Type    string `json:"type"`
			EventID string `json:"event_id"`
		}
		if len(*sent) != 2 || json.Unmarshal([]byte((*sent)[0]), &truncate) != nil ||
			json.Unmarshal([]byte((*sent)[1]), &cancel) != nil {
			t.Fatalf("the service was told %q", *sent)
		}
		if cancel.Type != "response.cancel" || truncate.Type != "conversation.item.truncate" {
			t.Errorf("the service was told %q", *sent)
		}
		for id, want := range map[string]bool{cancel.EventID: true, truncate.EventID: true,
			"event_of_the_client": false, "": false} {
			if got := v.HandleServiceEvent([]byte(`{"type":"error","error":{"event_id":"` + id + `"}}`)); got != want {
				t.Errorf("an error about %q is ours: %t", id, got)
			}
		}
		v.Close()
	})
}

// If a client truncates an item itself, the Voice does not.
func TestClientTruncates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, sent := voice(t, &stuckSpeaker{})
		v.HandleServiceEvent([]byte(`{"type":"response.created","response":{"id":"r"}}`))
		v.HandleServiceEvent([]byte(`{"type":"response.audio.delta","response_id":"r","item_id":"i","delta":"AAAAAAAA"}`))
		v.HandleClientEvent([]byte(`{"type":"conversation.item.truncate","item_id":"i","content_index":0,"audio_end_ms":0}`))
		synctest.Wait()
		v.HandleServiceEvent([]byte(`{"type":"response.audio.delta","response_id":"r","item_id":"j","delta":"AAAAAAAA"}`))
		synctest.Wait()
		if len(*sent) != 1 || !strings.Contains((*sent)[0], `"item_id":"j"`) ||
			!strings.Contains((*sent)[0], `"audio_end_ms":0`) {
			t.Errorf("the service was told %q", *sent)
		}
		v.Close()
	})
}

// A finished response ends its audio, even if no event says that the audio is done.
func TestResponseDoneEndsAudio(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		speaker := &counter{}
		v, _ := voice(t, speaker)
		v.HandleServiceEvent([]byte(`{"type":"response.created","response":{"id":"r"}}`))
		v.HandleServiceEvent([]byte(`{"type":"response.audio.delta","response_id":"r","item_id":"i","delta":"AAAAAAAA"}`))
		v.HandleServiceEvent([]byte(`{"type":"response.done","response":{"id":"other"}}`))
		synctest.Wait()
		if len(speaker.spoken) != 0 {
			t.Errorf("another response ended %+v", speaker.spoken)
		}
		v.HandleServiceEvent([]byte(`{"type":"response.done","response":{"id":"r"}}`))
		synctest.Wait()
		if want := []spoken{{samples: 3}}; !slices.Equal(speaker.spoken, want) {
			t.Errorf("the replica said %+v, want %+v", speaker.spoken, want)
		}
		v.Close()
	})
}

// Audio that was cut short is never finished as if it were complete: its utterance ends when
// the item or the response says how it ended, not when the service says that no more audio
// follows.
func TestCutShortAudioIsInterrupted(t *testing.T) {
	const done = `{"type":"response.output_audio.done","response_id":"r","item_id":"i"}`
	ended := func(status string) string {
		return `{"type":"response.done","response":{"id":"r",` + status + `}}`
	}
	item := func(status string) string {
		return `{"type":"response.output_item.done","response_id":"r","item":{"id":"i","status":"` + status + `"}}`
	}
	incomplete := ended(`"status":"incomplete","status_details":{"reason":"max_output_tokens"}`)
	for name, c := range map[string]struct {
		events []string
		want   string // of the error
	}{
		"completed":       {[]string{done, item("completed"), ended(`"status":"completed"`)}, ""},
		"item completed":  {[]string{done, item("completed")}, ""},
		"no status":       {[]string{done, ended(`"object":"realtime.response"`)}, ""},
		"incomplete":      {[]string{done, incomplete}, "the response is incomplete: max_output_tokens"},
		"incomplete item": {[]string{done, item("incomplete"), incomplete}, "the response is incomplete: max_output_tokens"},
		"cancelled": {[]string{done, ended(`"status":"cancelled","status_details":{"reason":"turn_detected"}`)},
			"the response is cancelled: turn_detected"},
		"failed": {[]string{ended(`"status":"failed","status_details":{"error":{"code":"server_error"}}`)},
			"the response is failed: server_error"},
	} {
		synctest.Test(t, func(t *testing.T) {
			speaker := &counter{}
			v, _ := voice(t, speaker)
			v.HandleServiceEvent([]byte(`{"type":"response.created","response":{"id":"r"}}`))
			v.HandleServiceEvent([]byte(`{"type":"response.audio.delta","response_id":"r","item_id":"i","delta":"AAAAAAAA"}`))
			for i, event := range c.events {
				synctest.Wait()
				if i == 0 && event == done && len(speaker.spoken) > 0 {
					t.Errorf("%s: the utterance has ended already", name)
				}
				v.HandleServiceEvent([]byte(event))
			}
			synctest.Wait()
			if len(speaker.spoken) != 1 || speaker.spoken[0].samples != 3 ||
				(c.want == "") != (speaker.spoken[0].err == nil) || c.want != "" && speaker.spoken[0].err.Error() != c.want {
				t.Errorf("%s: the replica said %+v, want the error %q", name, speaker.spoken, c.want)
			}
			v.Close()
		})
	}
}

// closedSpeaker is a speaker that has been closed.
type closedSpeaker struct{ counter }

func (*closedSpeaker) Speak(context.Context, echo.Speech) (echo.Receipt, error) {
	return echo.Receipt{Outcome: echo.Failed}, echo.ErrClosed
}

// A replica that can no longer speak is reported once.
func TestLostReplicaIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := []error{}
		v := openai.NewVoice(t.Context(), openai.VoiceOptions{Speaker: &closedSpeaker{}, Send: func([]byte) {},
			OnFailed: func(err error) { failures = append(failures, err) }})
		for range 2 {
			v.HandleServiceEvent([]byte(`{"type":"response.audio.delta","response_id":"r","item_id":"i","delta":"AAAAAAAA"}`))
			synctest.Wait()
		}
		if len(failures) != 1 || !errors.Is(failures[0], echo.ErrClosed) {
			t.Errorf("reported were %v", failures)
		}
		v.Close()
	})
}

// When the service ends the session, the audio that has arrived is spoken: in full if the
// service had said that it is complete, otherwise it is cut short.
func TestServiceEndsSession(t *testing.T) {
	for _, isDone := range []bool{true, false} {
		relayWhatCame(t, isDone)
	}
}

func relayWhatCame(t *testing.T, isDone bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		speaker := &counter{}
		client, clientEnd := newPipe()
		serviceEnd, service := newPipe()
		over := make(chan struct{})
		go func() {
			defer close(over)
			openai.Relay(t.Context(), clientEnd, serviceEnd,
				openai.RelayOptions{VoiceOptions: openai.VoiceOptions{Speaker: speaker}})
		}()
		_ = service.Write(t.Context(), 0,
			[]byte(`{"type":"response.audio.delta","response_id":"r","item_id":"i","delta":"AAAAAAAA"}`))
		if isDone {
			_ = service.Write(t.Context(), 0, []byte(`{"type":"response.audio.done","response_id":"r","item_id":"i"}`))
		}
		synctest.Wait()
		service.close()
		<-over
		if len(speaker.spoken) != 1 || speaker.spoken[0].samples != 3 || (speaker.spoken[0].err == nil) != isDone {
			t.Errorf("the replica said %+v, and the service was done: %t", speaker.spoken, isDone)
		}
		client.close()
	})
}

// When the room's user begins to speak, the replica is interrupted, and the service is asked
// to cancel its response.
func TestRoomUserInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		speaks := make(chan struct{})
		client, clientEnd := newPipe()
		serviceEnd, service := newPipe()
		over := make(chan struct{})
		go func() {
			defer close(over)
			openai.Relay(t.Context(), clientEnd, serviceEnd, openai.RelayOptions{
				VoiceOptions: openai.VoiceOptions{Speaker: &stuckSpeaker{}},
				Cuts: func(ctx context.Context, cut func()) {
					<-speaks
					cut()
					<-ctx.Done()
				},
			})
		}()
		for _, event := range []string{`{"type":"response.created","response":{"id":"r"}}`,
			`{"type":"response.audio.delta","response_id":"r","item_id":"i","delta":"AAAAAAAA"}`} {
			_ = service.Write(t.Context(), 0, []byte(event))
		}
		synctest.Wait()
		close(speaks)
		synctest.Wait()
		types := []string{}
		for len(service.in) > 0 {
			var e struct{ Type string }
			_ = json.Unmarshal(<-service.in, &e)
			types = append(types, e.Type)
		}
		slices.Sort(types)
		if want := []string{"conversation.item.truncate", "response.cancel"}; !slices.Equal(types, want) {
			t.Errorf("the service got %q, want %q", types, want)
		}
		client.close()
		<-over
	})
}
