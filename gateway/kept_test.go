package gateway

import (
	"context"
	"testing"
	"time"
)

// keptOwner is an Ownership of a conversation that another node has held.
type keptOwner struct{ Ownership }

func (keptOwner) Before() string                                 { return "the node before" }
func (keptOwner) MaySpeak() bool                                 { return true }
func (keptOwner) DropAudio(context.Context, string) error        { return nil }
func (keptOwner) SaveRecord(context.Context, []byte) error       { return nil }
func (keptOwner) AddAudio(context.Context, string, []byte) error { return nil }

// The first utterance of the queue may have begun on the node before, and so may the
// second, where the end of the first was not kept. So their takeovers say that they may be
// heard twice.
func TestUtterancesThatMayHaveBegun(t *testing.T) {
	pieces := [][]byte{
		append([]byte{pieceBegin}, fmtJSON(keptHeader{Kind: keptAudio, Encoding: "s16le", Rate: 24000, Channels: 1})...),
		append([]byte{pieceData}, make([]byte, 48000)...), {pieceEnd},
	}
	var audio []SavedAudio
	for _, name := range []string{"first", "second", "third"} {
		audio = append(audio, SavedAudio{Utterance: name, Pieces: pieces})
	}
	kept := func(utterance string) []byte {
		return fmtJSON(progress{Utterance: utterance, At: time.Now().Add(-time.Hour), Heard: 0.25, Sent: 0.5})
	}
	for name, test := range map[string]struct {
		progress []byte
		heard    float64
		atLeast  float64 // that may be heard twice
	}{
		"nothing was kept":               {nil, 0, 60},
		"of the one before it":           {kept("before"), 0, 3600},
		"of it: it continues from there": {kept("first"), 0.25, 0.25},
	} {
		g := New(&Options{Rehearse: true})
		c := newConversation(g, Spec{To: Rehearsal})
		c.own, c.Created = keptOwner{}, time.Now().Add(-time.Minute)
		if err := c.restoreAudio(&Saved{Audio: audio, Progress: test.progress}); err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		first, second, third := c.queue[0].before, c.queue[1].before, c.queue[2].before
		c.mu.Unlock()
		if first == nil || first.Utterance != "first" || first.Heard != test.heard || first.Sent-first.Heard < test.atLeast {
			t.Errorf("%s: %+v", name, first)
		}
		if second == nil || second.Heard > 0 {
			t.Errorf("%s: the second may have begun: %+v", name, second)
		}
		if third != nil {
			t.Errorf("%s: the third cannot have begun: %+v", name, third)
		}
		c.end(&joinedRoom{})
		g.Close(t.Context())
	}
}
