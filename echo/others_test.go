package echo

import (
	"errors"
	"io"
	"testing"
	"time"
)

// Two senders share the room: the messages of both arrive, and the replica plays one utterance
// after the other. The wait for our utterance is extended while the other plays, and events of
// the other never count for ours.
func TestTwoSenders(t *testing.T) {
	const other, other2 = "their-1", "their-2"
	relay := func(r *room, id string) {
		r.say(`{"message_type":"conversation","event_type":"conversation.echo","conversation_id":"c",`+
			`"properties":{"modality":"audio","audio":"AAAA","sample_rate":24000,"inference_id":%q,"done":false}}`, id)
	}
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		var ours string
		r.hook = func(m sentMessage) {
			if ours == "" {
				ours = m.Properties.InferenceID
				relay(r, other)
				relay(r, other2)
				r.started(other)
			}
		}
		time.AfterFunc(20*time.Second, func() { r.stopped(other, 20, false); r.started(other2) })
		time.AfterFunc(40*time.Second, func() { r.stopped(other2, 20, false); r.started(ours) })
		time.AfterFunc(41*time.Second, func() { r.stopped(ours, 1, false) })
		begin := time.Now()
		receipt, err := s.Speak(t.Context(), Speech{Samples: &silent{testRate, io.EOF}})
		if err != nil || receipt.Outcome != Finished || receipt.SpokenSeconds != 1 || time.Since(begin) < 40*time.Second {
			t.Errorf("after %v: %+v, %v", time.Since(begin), receipt, err)
		}
	})
	// If no event names ours after the other's end, ours is not confirmed.
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		first := true
		r.hook = func(sentMessage) {
			if first {
				first = false
				relay(r, other)
			}
		}
		time.AfterFunc(20*time.Second, func() { r.stopped(other, 20, false) })
		begin := time.Now()
		_, err := s.Speak(t.Context(), Speech{Samples: &silent{testRate, io.EOF}})
		if took := time.Since(begin); !errors.Is(err, ErrUnverified) || took < 20*time.Second || took > 30*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
	})
}
