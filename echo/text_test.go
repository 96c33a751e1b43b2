package echo

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// spokenText is what a far end reads of a message of text.
type spokenText struct {
	Properties struct {
		Modality, Text string
		InferenceID    string `json:"inference_id"`
		Done           *bool
	}
}

// inTextRoom runs f with a session in a room that says texts, and returns what arrived, in
// order.
func inTextRoom(t *testing.T, limit int, f func(t *testing.T, r *room, s *Session)) (texts []spokenText) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom()
		conn := &textConn{room: r}
		s, err := NewSession(NewMessages(conn, "c1", limit), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r.raw = conn.read
		r.join()
		f(t, r, s)
		texts = conn.texts
	})
	return texts
}

// textConn keeps the texts, and says each utterance in a second.
type textConn struct {
	*room
	texts []spokenText
}

func (c *textConn) read(msg []byte) {
	var m spokenText
	if json.Unmarshal(msg, &m) != nil || m.Properties.Modality != "text" {
		return
	}
	c.texts = append(c.texts, m)
	id := m.Properties.InferenceID
	if *m.Properties.Done {
		time.AfterFunc(100*time.Millisecond, func() { c.started(id) })
		time.AfterFunc(1100*time.Millisecond, func() { c.stopped(id, 1, false) })
	}
}

func pieces(list ...string) Text {
	return Text{Pieces: func(yield func(string, error) bool) {
		for _, piece := range list {
			if !yield(piece, nil) {
				return
			}
		}
	}}
}

func TestSay(t *testing.T) {
	long := strings.Repeat(`word "quoted" <emotion value="excited"/> wörd `, 40)
	for name, c := range map[string]struct {
		pieces   []string
		messages int
	}{
		"one piece":        {[]string{"Hello"}, 1},
		"streamed":         {[]string{"Hel", "", "lo ", "there"}, 3},
		"longer than fits": {[]string{long}, 5},
		"no gap in it":     {[]string{strings.Repeat("ö", 900)}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			texts := inTextRoom(t, 700, func(t *testing.T, r *room, s *Session) {
				receipt, err := s.Say(t.Context(), pieces(c.pieces...))
				whole := strings.Join(c.pieces, "")
				if err != nil || receipt.Outcome != Finished || receipt.SpokenSeconds != 1 ||
					receipt.Characters != len([]rune(whole)) {
					t.Errorf("%v, %+v", err, receipt)
				}
			})
			var all strings.Builder
			for i, m := range texts {
				all.WriteString(m.Properties.Text)
				if done := *m.Properties.Done; done != (i == len(texts)-1) ||
					m.Properties.InferenceID != texts[0].Properties.InferenceID {
					t.Errorf("message %d of %d: done %v, id %s", i+1, len(texts), done, m.Properties.InferenceID)
				}
				if strings.Count(m.Properties.Text, "<") != strings.Count(m.Properties.Text, ">") {
					t.Errorf("a tag was cut: %q", m.Properties.Text)
				}
			}
			if all.String() != strings.Join(c.pieces, "") || len(texts) != c.messages {
				t.Errorf("%d messages say %q", len(texts), all.String())
			}
		})
	}
}

func TestSayNothing(t *testing.T) {
	broke := errors.New("the pipe broke")
	texts := inTextRoom(t, 0, func(t *testing.T, r *room, s *Session) {
		for _, list := range [][]string{nil, {""}, {" \n"}} {
			if _, err := s.Say(t.Context(), pieces(list...)); !errors.Is(err, ErrNoText) {
				t.Errorf("%q: %v, want ErrNoText", list, err)
			}
		}
	})
	if len(texts) != 0 {
		t.Errorf("%d messages were sent", len(texts))
	}
	texts = inTextRoom(t, 0, func(t *testing.T, r *room, s *Session) {
		text := Text{Pieces: func(yield func(string, error) bool) {
			_ = yield("one ", nil) && yield("two ", nil) && yield("", broke)
		}}
		if _, err := s.Say(t.Context(), text); !errors.Is(err, broke) {
			t.Errorf("%v", err)
		}
		if m := r.messages(); len(m) != 2 || !m[1].interrupts() {
			t.Errorf("%d messages, want a piece and an interrupt", len(m))
		}
	})
	for _, m := range texts {
		if *m.Properties.Done {
			t.Error("a text that broke off says done")
		}
	}
}

func TestSayUnsupported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom()
		s, err := NewSession(struct{ Stage }{NewMessages(r, "c1", 0)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r.join()
		if _, err := s.Say(t.Context(), Words("Hello")); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v", err)
		}
		if err := s.Send(t.Context(), Respond{"Hello"}); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v", err)
		}
	})
}

func TestSend(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		if err := s.Send(t.Context(), Respond{"What time is it?"}); err != nil {
			t.Fatal(err)
		}
		if err := s.Send(t.Context(), Respond{}); err == nil {
			t.Error("an empty text was sent")
		}
		if m := r.messages(); len(m) != 1 || m[0].EventType != "conversation.respond" {
			t.Errorf("%+v", m)
		}
		r.hangUp()
		synctest.Wait()
		if err := s.Send(t.Context(), Respond{"Anybody?"}); !errors.Is(err, ErrLost) {
			t.Errorf("%v", err)
		}
	})
}

// When a replica leaves, its utterance is lost. The replica may return.
func TestReplicaLeavesDuringUtterance(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		time.AfterFunc(time.Second, func() {
			r.say(`{"message_type":"room","event_type":"room.participant_left","properties":{"role":"replica"}}`)
		})
		r.playReceived(sameID)
		time.AfterFunc(10*time.Second, r.join)
		if _, err := s.Speak(t.Context(), Speech{Samples: silence(5)}); !errors.Is(err, ErrLost) {
			t.Errorf("%v, want ErrLost", err)
		}
		if receipt, err := s.Speak(t.Context(), Speech{Samples: &silent{testRate, io.EOF}}); err != nil ||
			receipt.Outcome != Finished {
			t.Errorf("the next: %v, %+v", err, receipt)
		}
	})
}
