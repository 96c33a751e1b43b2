package gateway

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"echocast/echo"
	"echocast/room"
	"echocast/tavus"
	"echocast/tavus/tavustest"
)

// endedOwner is an Ownership of a conversation whose node was lost while it ended it.
type endedOwner struct {
	savedOwner
	appended *[]Entry
	hasEnded chan struct{}
}

func (o endedOwner) Lost() <-chan struct{} { return nil }
func (o endedOwner) Append(_ context.Context, batch []byte) error {
	*o.appended = append(*o.appended, entriesOf([][]byte{batch})...)
	return nil
}

func (o endedOwner) End(context.Context) error {
	close(o.hasEnded)
	return nil
}

// A conversation whose node is lost while it ends is ended by the next node, and not joined
// again. If clients have been told its end, nothing follows.
func TestTakeoverOfEndedConversation(t *testing.T) {
	pieces := [][]byte{
		append([]byte{pieceBegin}, fmtJSON(keptHeader{Kind: keptAudio, Encoding: "s16le", Rate: 24000, Channels: 1})...),
		append([]byte{pieceData}, make([]byte, 48000)...), {pieceEnd},
	}
	state := func(s State, why string) Entry {
		return Entry{ID: 1, Type: "state", Data: fmtJSON(Info{State: s, Error: why})}
	}
	for name, test := range map[string]struct {
		record record
		last   Entry
		states []State // that are told after the last
		err    string
	}{
		"it was ending":             {record{}, state(Ending, ""), []State{Ending, Ended}, ""},
		"it had ended":              {record{}, state(Ended, "the room is gone"), nil, "the room is gone"},
		"its end was in the record": {record{Ended: &Info{State: Ended}}, state(Ended, ""), nil, ""},
		"only its record has ended": {
			record{Ended: &Info{State: Ended, Error: "the room is gone"}}, state(Open, ""), []State{Ending, Ended},
			"the room is gone",
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := New(&Options{Rehearse: true, Cluster: loneCluster{}})
			test.record.Spec.To = Rehearsal
			own := endedOwner{appended: &[]Entry{}, hasEnded: make(chan struct{})}
			own.saved = Saved{
				Record: fmtJSON(test.record), Events: [][]byte{fmtJSON([]Entry{test.last})},
				Audio: []SavedAudio{{Utterance: "u1", Pieces: pieces}},
			}
			g.Adopt("c1", own, false)
			c, err := g.Get("c1")
			if err != nil {
				t.Fatal(err)
			}
			<-c.over
			<-own.hasEnded
			if c.wasOpen.Load() || c.Info().Error != test.err {
				t.Errorf("%s: it was joined: %v; it ended with %q", name, c.wasOpen.Load(), c.Info().Error)
			}
			var states []State
			ids := map[int64]bool{1: true}
			for _, e := range *own.appended {
				if ids[e.ID] {
					t.Errorf("%s: two events have the id %d", name, e.ID)
				}
				ids[e.ID] = true
				if e.Type == "state" {
					states = append(states, stateOf(t, e))
				}
			}
			if len(states) != len(test.states) || len(test.states) == 0 && len(*own.appended) > 0 {
				t.Errorf("%s: it told %v; want the states %v", name, *own.appended, test.states)
			}
		})
	}
}

func stateOf(t *testing.T, e Entry) State {
	t.Helper()
	events := []Entry{e}
	switch hasEnded, why := endOf(events); {
	case hasEnded:
		return Ended
	case why != nil:
		return Ending
	}
	return Open
}

// slowOwner is an Ownership whose store takes its time for events.
type slowOwner struct {
	savedOwner
	store chan error
}

func (o slowOwner) Lost() <-chan struct{}                { return nil }
func (o slowOwner) Append(context.Context, []byte) error { return <-o.store }
func (o slowOwner) Give(context.Context)                 {}
func (o slowOwner) End(context.Context) error            { return nil }

// A node joins the room of the node before only once its takeover is stored: until then, what
// that node has sent to the store may still arrive, such as the end of an utterance.
func TestTakeoverIsStoredBeforeItSpeaks(t *testing.T) {
	for _, err := range []error{nil, errors.New("another node has written")} {
		synctest.Test(t, func(t *testing.T) {
			g := New(&Options{Rehearse: true, Cluster: loneCluster{}})
			own := slowOwner{store: make(chan error)}
			own.saved.Record = fmtJSON(record{Spec: Spec{To: Rehearsal}})
			g.Adopt("c1", own, false)
			c, getErr := g.Get("c1")
			if getErr != nil {
				t.Fatal(getErr)
			}
			time.Sleep(time.Minute)
			if state := c.State(); state != Starting {
				t.Errorf("before the takeover is stored, the conversation is %s", state)
			}
			own.store <- err
			if err == nil {
				own.store <- nil // the next state
				synctest.Wait()
			} else {
				<-c.over
			}
			if c.wasOpen.Load() != (err == nil) {
				t.Errorf("after %v: the room was joined: %v", err, c.wasOpen.Load())
			}
			close(own.store)
			g.Close(t.Context())
		})
	}
}

// recordCluster is a Cluster with one record.
type recordCluster struct {
	Cluster
	record []byte
}

func (recordCluster) Failure() error                                   { return nil }
func (c recordCluster) Record(context.Context, string) ([]byte, error) { return c.record, nil }

// unstoredOwner is an Ownership that is lost while a record is stored.
type unstoredOwner struct{ keptOwner }

func (unstoredOwner) SaveRecord(context.Context, []byte) error { return errMoved }
func (unstoredOwner) Give(context.Context)                     {}

// A node that creates a paid conversation and is lost before it has stored which leaves it to
// the next node if that can know it. Otherwise it ends it.
func TestPaidConversationThatNobodyKnows(t *testing.T) {
	key, err := tavus.NewKey("any")
	if err != nil {
		t.Fatal(err)
	}
	for _, isKnown := range []bool{false, true} {
		service := &tavustest.Server{Key: "any"}
		service.AddPAL("p1", "r1", "echo", nil)
		server := httptest.NewServer(service)
		cluster := &recordCluster{}
		g := New(&Options{Client: &tavus.Client{Key: key, BaseURL: server.URL}, Cluster: cluster})
		c := newConversation(g, Spec{PAL: "p1", Via: viaREST})
		c.own = unstoredOwner{}
		p := &joinedRoom{}
		if _, err := g.create(t.Context(), p, c, &room.Options{}); !errors.Is(err, errMoved) {
			t.Fatalf("it creates: %v", err)
		}
		if isKnown {
			cluster.record = fmtJSON(record{Tavus: p.tavus.ID})
		}
		c.handOver(p)
		if open := len(service.Open()); (open == 1) != isKnown {
			t.Errorf("the next node knows it: %v; %d are left open", isKnown, open)
		}
		server.Close()
		service.Close()
	}
}

// When a conversation that was taken over ends, what an earlier node has created without
// storing it ends too.
func TestStrayPaidConversationsEnd(t *testing.T) {
	key, err := tavus.NewKey("any")
	if err != nil {
		t.Fatal(err)
	}
	service := &tavustest.Server{Key: "any"}
	server := httptest.NewServer(service)
	defer func() { server.Close(); service.Close() }()
	g := New(&Options{Client: &tavus.Client{Key: key, BaseURL: server.URL}, Cluster: &recordCluster{}})
	c := newConversation(g, Spec{PAL: "p1"})
	c.isAdopted = true
	service.Add(sharedName + c.ID + "-0123456789abcdef")
	service.Add(sharedName + "other-0123456789abcdef")
	c.endStrays()
	if open := service.Open(); len(open) != 1 {
		t.Errorf("these are open: %+v", open)
	}
}

// A conversation that was paused is still paused on the next node, and knows what was heard.
func TestPauseSurvivesTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored := []byte(nil)
		adopt := func(saved []byte) (*Gateway, *Conversation) {
			g := New(&Options{Rehearse: true, Cluster: loneCluster{}})
			own := pausedOwner{slowOwner: slowOwner{store: make(chan error)}, record: &stored}
			close(own.store)
			own.saved.Record = saved
			g.Adopt("c1", own, false)
			c, err := g.Get("c1")
			if err == nil {
				err = c.WaitJoined(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			return g, c
		}
		first, c := adopt(fmtJSON(record{Spec: Spec{To: Rehearsal}}))
		if err := c.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		second, again := adopt(stored)
		if !again.isPaused() {
			t.Errorf("the next node has %s", stored)
		}
		if err := again.Resume(); err != nil {
			t.Fatal(err)
		}
		third, last := adopt(stored)
		if last.isPaused() {
			t.Errorf("after it was resumed: %s", stored)
		}
		u := &Utterance{ID: "u1"}
		last.queue = []*Utterance{u}
		if p, ok := last.progressOf(u, &echo.Progress{State: echo.Paused}); ok {
			t.Errorf("a session that is paused has the progress %+v", p)
		}
		last.queue = nil
		for _, g := range []*Gateway{first, second, third} {
			g.Close(t.Context())
		}
	})
}

// pausedOwner is an Ownership that keeps the record.
type pausedOwner struct {
	slowOwner
	record *[]byte
}

func (o pausedOwner) SaveRecord(_ context.Context, text []byte) error {
	*o.record = text
	return nil
}
