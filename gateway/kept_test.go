package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echocast/echo"
)

// keptOwner is an Ownership of a conversation that another node has held.
type keptOwner struct{ Ownership }

func (keptOwner) Before() string                                 { return "the node before" }
func (keptOwner) MaySpeak() bool                                 { return true }
func (keptOwner) DropAudio(context.Context, string) error        { return nil }
func (keptOwner) SaveRecord(context.Context, []byte) error       { return nil }
func (keptOwner) AddAudio(context.Context, string, []byte) error { return nil }
func (keptOwner) SaveProgress(context.Context, []byte) error     { return nil }

// lostOwner is an Ownership that is lost while the conversation is loaded. Loading ends with
// the context only.
type lostOwner struct {
	keptOwner
	loading, lost, left chan struct{}
}

func (o lostOwner) Lost() <-chan struct{} { return o.lost }
func (o lostOwner) Give(context.Context)  { close(o.left) }
func (o lostOwner) Load(ctx context.Context) (*Saved, error) {
	close(o.loading)
	<-ctx.Done()
	return nil, ctx.Err()
}

// A node that loses a conversation while it loads it leaves it at once. If it has taken it
// over again in the meantime, that one stays, until loading it takes too long.
func TestConversationLostWhileLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(&Options{Rehearse: true, Cluster: struct{ Cluster }{}})
		var owners []lostOwner
		for range 2 {
			own := lostOwner{loading: make(chan struct{}), lost: make(chan struct{}), left: make(chan struct{})}
			g.Adopt("c1", own, false)
			<-own.loading
			owners = append(owners, own)
		}
		again, err := g.Get("c1")
		if err != nil {
			t.Fatal(err)
		}
		close(owners[0].lost)
		time.Sleep(loadTimeout / 2)
		select {
		case <-owners[0].left:
		default:
			t.Error("the node has not left the conversation that it lost")
		}
		if now, err := g.Get("c1"); now != again {
			t.Errorf("the conversation that was taken over again is gone: %v", err)
		}
		time.Sleep(loadTimeout)
		if _, err := g.Get("c1"); err == nil {
			t.Error("a conversation that cannot be loaded is still here")
		}
	})
}

// A client is told the end of an utterance only after it was stored. Until then at most one
// more utterance has begun, so that the next node knows which ones may have begun.
func TestUtteranceEndsOnceStored(t *testing.T) {
	broken := errors.New("NATS is away")
	for _, err := range []error{nil, broken} {
		synctest.Test(t, func(t *testing.T) {
			c := newConversation(New(&Options{Rehearse: true, Cluster: struct{ Cluster }{}}), Spec{To: Rehearsal})
			c.own, c.state, c.session = keptOwner{}, Open, new(echo.Session)
			var all []*Utterance
			for range 3 {
				u := &Utterance{do: func(u *Utterance) (echo.Receipt, error) {
					return echo.Receipt{Outcome: echo.Finished}, u.await()
				}}
				if _, err := c.speakInTurn(t.Context(), u, func() error { return nil }); err != nil {
					t.Fatal(err)
				}
				all = append(all, u)
			}
			synctest.Wait()
			for i, want := range []Phase{Speaking, Speaking, Waiting} {
				if info := all[i].Info(); info.Phase != want || info.Receipt != nil {
					t.Errorf("utterance %d is told to be %+v before that is kept", i, info)
				}
			}
			go func() { _ = c.history.run(func([]Entry) error { return err }) }()
			synctest.Wait()
			receipt, told := all[1].Wait(t.Context())
			switch {
			case err == nil && (told != nil || receipt.Outcome != echo.Finished || all[2].Info().Phase != Over):
				t.Errorf("when it is kept: %+v, %v; the next: %+v", receipt, told, all[2].Info())
			case err != nil && (!errors.Is(told, errMoved) || all[1].Info().Phase == Over):
				t.Errorf("when it cannot be kept: %+v, %v", all[1].Info(), told)
			}
			c.history.abandon()
			c.running.Wait()
		})
	}
}

// The first utterance of the queue may have begun on the earlier node. So may the second, if
// the end of the first was not stored. So their takeovers say that they may be heard twice.
func TestUtterancesThatMayHaveBegun(t *testing.T) {
	pieces := [][]byte{
		append([]byte{pieceBegin}, fmtJSON(keptHeader{Kind: keptAudio, Encoding: "s16le", Rate: 24000, Channels: 1})...),
		append([]byte{pieceData}, make([]byte, 48000)...), {pieceEnd},
	}
	var audio []SavedAudio
	for _, name := range []string{"first", "second", "third"} {
		audio = append(audio, SavedAudio{Utterance: name, Pieces: pieces, Age: time.Minute})
	}
	kept := func(utterance string) []byte {
		return fmtJSON(progress{Utterance: utterance, At: time.Now().Add(-time.Hour), Heard: 0.25, Sent: 0.5})
	}
	for name, test := range map[string]struct {
		progress []byte
		age      time.Duration // of the progress
		heard    float64
		atLeast  float64 // that may be heard twice
	}{
		"nothing was kept":               {nil, 0, 0, 60.5}, // until the replica has stopped
		"of the one before it":           {kept("before"), time.Hour, 0, 60.5},
		"it may be of it, unread":        {[]byte(`{"utterance":1}`), time.Second, 0, 60.5},
		"of it: it continues from there": {kept("first"), time.Hour, 0.25, 0.25},
		"of the next: it had ended": {
			fmtJSON(progress{Utterance: "second", At: time.Now(), Heard: 0, Sent: 0}), 0, 0, 60,
		},
	} {
		g := New(&Options{Rehearse: true})
		c := newConversation(g, Spec{To: Rehearsal})
		c.own = keptOwner{}
		saved := &Saved{Audio: audio, Progress: test.progress, ProgressAge: test.age}
		if err := c.restoreAudio(saved); err != nil {
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
		c.end()
		g.Close(t.Context())
	}
}

// How much may be heard twice does not depend on the clock of a node, which may jump, and not on
// how many nodes were lost without a word.
func TestClocksThatJump(t *testing.T) { synctest.Test(t, testClocksThatJump) }

func testClocksThatJump(t *testing.T) {
	for clock, want := range map[time.Duration]float64{
		3 * time.Second: 3, 3300 * time.Millisecond: 3.3, -time.Hour: 3.5, time.Hour: 3.5, // behind At
	} {
		p := progress{At: time.Now().Add(-clock), Sent: 1}
		if got := p.since(3 * time.Second).Seconds(); math.Abs(got-want) > 0.001 {
			t.Errorf("%v after it was written, by the clock, it is %v s old, want %v", clock, got, want)
		}
	}
	var kept []byte
	g := New(&Options{Rehearse: true})
	defer g.Close(t.Context())
	for node := range 3 {
		c := newConversation(g, Spec{To: Rehearsal})
		var again []byte
		c.own = savingOwner{saved: &again}
		if kept == nil {
			kept = fmtJSON(progress{Utterance: "first", At: time.Now().Add(-3 * time.Second), Heard: 1, Sent: 2})
		}
		if err := c.restoreAudio(&Saved{Progress: kept, ProgressAge: 3 * time.Second}); err != nil {
			t.Fatal(err)
		}
		var p progress
		if kept = again; json.Unmarshal(kept, &p) != nil || p.Old < float64(3*node+3) || p.Old > float64(3*node+5) ||
			p.Sent != 2 || p.Heard != 1 {
			t.Errorf("node %d has kept %s", node, kept)
		}
		c.end()
	}
}

// savedOwner is an Ownership of a conversation of which something was stored.
type savedOwner struct {
	keptOwner
	saved Saved
}

func (o savedOwner) Load(context.Context) (*Saved, error) { return &o.saved, nil }

// storedByLater reads what a node of the next version may store: this one's records, with more
// in each of them, and entries and pieces of kinds that this one does not know.
func storedByLater(t *testing.T) (saved Saved) {
	t.Helper()
	text, err := os.ReadFile("testdata/stored-by-a-later-version.json")
	var stored struct {
		Record, Progress json.RawMessage
		Events           []json.RawMessage
		Audio            []struct {
			Utterance string
			Pieces    []string
		}
	}
	if err == nil {
		err = json.Unmarshal(text, &stored)
	}
	if err != nil {
		t.Fatal(err)
	}
	saved.Record, saved.Progress = stored.Record, stored.Progress
	for _, batch := range stored.Events {
		saved.Events = append(saved.Events, batch)
	}
	for _, u := range stored.Audio {
		its := SavedAudio{Utterance: u.Utterance}
		for _, piece := range u.Pieces {
			its.Pieces = append(its.Pieces, []byte(piece))
		}
		saved.Audio = append(saved.Audio, its)
	}
	return saved
}

// A node continues what a node of the next version has stored: it skips what it does not know,
// and hands the events on as they are.
func TestTakeoverFromALaterVersion(t *testing.T) {
	g := New(&Options{Rehearse: true})
	c := newConversation(g, Spec{})
	c.own = savedOwner{saved: storedByLater(t)}
	if err := c.restore(); err != nil {
		t.Fatal(err)
	}
	if c.Spec.To != Rehearsal || c.Spec.Label != "interview" || c.by.Key != "k1" ||
		c.tokenHash != sha256.Sum256([]byte("test")) {
		t.Errorf("of the record it knows %+v, %+v", c.Spec, c.by)
	}
	entries, missed, _ := c.history.since(0)
	if len(entries) < 3 || missed != 0 || entries[1].Type != "later" ||
		string(entries[0].Data) != `{"state": "open", "later": 1}` {
		t.Errorf("of the events it shows %+v", entries)
	}
	c.mu.Lock()
	queue := slices.Clone(c.queue)
	c.mu.Unlock()
	if len(queue) != 1 || queue[0].ID != "u1" || queue[0].name != "first" || queue[0].before.Heard != .25 {
		t.Errorf("it continues %+v", queue)
	}
	saved := storedByLater(t)
	if kept, err := parseKept(&saved.Audio[0]); err != nil || kept.data.String() != "ababababcdcdcdcd" || !kept.hasEnded {
		t.Errorf("of the audio it knows %+v, %v", kept, err)
	}
	c.end()
	g.Close(t.Context())
}

// Pieces that arrive after their utterance was removed are known by the first one, which is no
// header, also where it is of a later version.
func TestPiecesWithoutAHeader(t *testing.T) {
	t.Parallel()
	for _, first := range []byte{pieceData, pieceEnd, pieceLater} {
		if _, err := parseKept(&SavedAudio{Pieces: [][]byte{{first, 0, 0}, {pieceEnd}}}); !errors.Is(err, errNoHeader) {
			t.Errorf("the first is %c: %v", first, err)
		}
	}
}

// leavingOwner stores nothing once the context has ended.
type leavingOwner struct{ keptOwner }

func (leavingOwner) AddAudio(ctx context.Context, _ string, _ []byte) error { return ctx.Err() }

// Audio that arrives while a node hands its conversation over is for the next node, and not an
// error of the store.
func TestAudioDuringHandover(t *testing.T) {
	t.Parallel()
	c, _, _ := openConversation()
	c.own = leavingOwner{}
	c.cancel(errMoved)
	u := &Utterance{ID: "u1", conversation: c}
	if err := u.keepHeader(); !errors.Is(err, errMoved) || problemOf(err).Status != http.StatusServiceUnavailable {
		t.Errorf("it is refused with %v", err)
	}
}

// savingOwner stores the progress.
type savingOwner struct {
	keptOwner
	saved *[]byte
}

func (o savingOwner) SaveProgress(_ context.Context, text []byte) error {
	*o.saved = text
	return nil
}

// A node that is lost after a takeover passes on where the utterance was heard before, and its
// takeovers, also its own as soon as it begins to speak: the receipt names all of them.
func TestReceiptNamesAllTakeovers(t *testing.T) {
	t.Parallel()
	header := fmtJSON(keptHeader{Kind: keptAudio, Encoding: "s16le", Rate: 24000, Channels: 1})
	pieces := [][]byte{append([]byte{pieceBegin}, header...), {pieceData, 0, 0}, {pieceEnd}}
	first := Takeover{From: "a", Utterance: "u1", AtSeconds: 1, RepeatedSeconds: 2}
	saved := fmtJSON((&Utterance{ID: "u1", takeovers: []Takeover{first}}).progress(&echo.Progress{Played: time.Second}))
	g := New(&Options{Rehearse: true})
	c := newConversation(g, Spec{To: Rehearsal})
	var again []byte
	c.own = savingOwner{saved: &again}
	err := c.restoreAudio(&Saved{Audio: []SavedAudio{{Utterance: "u1", Pieces: pieces}}, Progress: saved})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := c.Utterance("u1")
	if info := u.Info(); u.before == nil || u.before.Heard != 1 || !slices.Equal(info.Takeovers, []Takeover{first}) {
		t.Errorf("restored: %+v, %+v", u.before, info)
	}
	var left progress
	if err := json.Unmarshal(again, &left); err != nil || left.Heard != 1 ||
		!slices.Equal(left.Takeovers, []Takeover{first}) {
		t.Errorf("left to the next node: %s, %v", again, err)
	}
	own := u.addTakeover(time.Second)
	if err := json.Unmarshal(again, &left); err != nil || left.Utterance != "u1" || left.Heard != 1 ||
		!slices.Equal(left.Takeovers, []Takeover{first, *own}) {
		t.Errorf("left to the next node: %s, %v", again, err)
	}
	c.end()
	g.Close(t.Context())
}

// The event of a takeover, as its receipt, counts what the earlier node may have said since it
// stored how far it was.
func TestEventOfTakeoverCountsTheTimeSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		header := fmtJSON(keptHeader{Kind: keptAudio, Encoding: "s16le", Rate: 24000, Channels: 1})
		pieces := [][]byte{append([]byte{pieceBegin}, header...), {pieceData, 0, 0}, {pieceEnd}}
		saved := &Saved{
			Audio:       []SavedAudio{{Utterance: "u1", Pieces: pieces}},
			Progress:    fmtJSON(progress{Utterance: "u1", At: time.Now().Add(-3 * time.Second), Heard: 1, Sent: 2}),
			ProgressAge: 3 * time.Second,
		}
		g := New(&Options{Rehearse: true})
		c := newConversation(g, Spec{To: Rehearsal})
		c.own = keptOwner{}
		if err := c.restoreAudio(saved); err != nil {
			t.Fatal(err)
		}
		u, _ := c.Utterance("u1")
		want := u.addTakeover(time.Second)
		entries, _, _ := c.history.since(0)
		i := slices.IndexFunc(entries, func(e Entry) bool { return e.Type == "takeover" })
		if i < 0 {
			t.Fatalf("no event tells the takeover: %v", entries)
		}
		var told Takeover
		if json.Unmarshal(entries[i].Data, &told) != nil || told != *want || told.RepeatedSeconds < 4 {
			t.Errorf("the event says %s, the receipt %+v", entries[i].Data, want)
		}
		c.end()
		g.Close(t.Context())
	})
}

// journalOwner records what is stored and removed.
type journalOwner struct {
	keptOwner
	stored, removed *[]string
}

func (o journalOwner) AddAudio(_ context.Context, _ string, piece []byte) error {
	*o.stored = append(*o.stored, string(piece[:1]))
	return nil
}

func (o journalOwner) DropAudio(_ context.Context, utterance string) error {
	*o.removed = append(*o.removed, utterance)
	return nil
}

// openConversation returns a conversation of a cluster that speaks nothing, and what its
// owner notes.
func openConversation() (c *Conversation, stored, removed *[]string) {
	c = newConversation(New(&Options{Rehearse: true, Cluster: struct{ Cluster }{}}), Spec{To: Rehearsal})
	stored, removed = new([]string), new([]string)
	c.own, c.state, c.session = journalOwner{stored: stored, removed: removed}, Open, new(echo.Session)
	return c, stored, removed
}

// The progress of one utterance is never stored as that of the next one: the next node would
// skip what nobody heard.
func TestProgressOfAnotherUtterance(t *testing.T) {
	c, _, _ := openConversation()
	first, second := &Utterance{ID: "u1"}, &Utterance{ID: "u2"}
	at := &echo.Progress{State: echo.Speaking, Played: time.Minute}
	c.queue = []*Utterance{first, second}
	if p, ok := c.progressOf(first, at); !ok || p.Utterance != "u1" || p.Heard != 60 {
		t.Errorf("of the current one: %+v, %v", p, ok)
	}
	c.queue = c.queue[1:] // the first ended while the session was asked
	if p, ok := c.progressOf(first, at); ok {
		t.Errorf("it is stored as %+v", p)
	}
}

// An utterance that was never acknowledged is not passed to the next node: its client sends it
// again.
func TestUnacknowledgedUtteranceIsRemoved(t *testing.T) {
	c, _, removed := openConversation()
	begin := append([]byte{pieceBegin}, fmtJSON(keptHeader{Kind: keptAudio, Key: "1", IsWhole: true})...)
	err := c.restoreAudio(&Saved{Audio: []SavedAudio{
		{Utterance: "incomplete", Pieces: [][]byte{begin, {pieceData, 0, 0}}},
		{Utterance: "removed", Pieces: [][]byte{{pieceData, 0, 0}, {pieceEnd}}},
	}})
	if err != nil || len(c.queue) > 0 || !slices.Equal(*removed, []string{"incomplete", "removed"}) {
		t.Errorf("%v, %d utterances are left, and removed are %v", err, len(c.queue), *removed)
	}
}

// A client that lost its connection repeats its request while its audio is still being stored.
// The audio is stored once, so that the next node cannot speak it twice.
func TestConcurrentRequestsWithOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stored, _ := openConversation()
		var all [2]*Utterance
		var requests sync.WaitGroup
		for i := range all {
			requests.Go(func() {
				u := &Utterance{key: "1", do: func(u *Utterance) (echo.Receipt, error) { return echo.Receipt{}, u.await() }}
				all[i], _ = c.speakInTurn(t.Context(), u, func() error {
					time.Sleep(time.Second)
					return nil
				})
			})
		}
		requests.Wait()
		if all[0] == nil || all[0] != all[1] || len(*stored) != 1 {
			t.Errorf("%v was stored for two requests with one key", *stored)
		}
		c.history.abandon()
		c.running.Wait()
	})
}

// What a node has stored of an utterance stays for the next node when it loses the
// conversation.
func TestStoredUtteranceStaysForNextNode(t *testing.T) {
	c, _, removed := openConversation()
	_, err := c.speakInTurn(t.Context(), &Utterance{}, func() error {
		c.move()
		return nil
	})
	if !errors.Is(err, errMoved) || len(*removed) > 0 {
		t.Errorf("%v, and removed are %v", err, *removed)
	}
}

// unansweredCluster is a Cluster with a store that does not answer.
type unansweredCluster struct{ Cluster }

func (unansweredCluster) Failure() error                    { return nil }
func (unansweredCluster) Owner(string) (string, bool, bool) { return "", false, false }
func (unansweredCluster) Record(context.Context, string) ([]byte, error) {
	return nil, context.DeadlineExceeded
}

// If the store does not say whether a conversation exists, the client should repeat the
// request.
func TestUnansweredStoreIsBusy(t *testing.T) {
	t.Parallel()
	g := New(&Options{Rehearse: true, Cluster: unansweredCluster{}})
	for _, path := range []string{"/v1/conversations/c1", "/openai/c1.secret/models"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost"+path, nil)
		r.Header.Set("Authorization", "Bearer secret") // only the store knows whether it is right
		g.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: status %d, %s", path, w.Code, w.Body)
		}
	}
}

// cutOffOwner is an Ownership that was lost before the end was stored.
type cutOffOwner struct{ keptOwner }

func (cutOffOwner) SaveRecord(context.Context, []byte) error { return errMoved }
func (cutOffOwner) End(context.Context) error                { return errMoved }

// Who ends a conversation is told if the other nodes cannot know that it has ended: one of them
// continues it.
func TestUnstoredEndIsTold(t *testing.T) {
	t.Parallel()
	ends := map[error]func(*Conversation){errNoOwner: (*Conversation).endOwnership, errMoved: (*Conversation).move}
	for want, end := range ends {
		c := newConversation(New(nil), Spec{To: Rehearsal})
		c.own = cutOffOwner{}
		end(c)
		close(c.over)
		err := c.End(t.Context())
		if p := problemOf(err); !errors.Is(err, want) || p.Status != http.StatusServiceUnavailable {
			t.Errorf("%v: %+v, want %v", err, p, want)
		}
	}
}

// movedCluster is a Cluster in which another node holds everything.
type movedCluster struct {
	Cluster
	address string
}

func (movedCluster) Failure() error                      { return nil }
func (c movedCluster) Owner(string) (string, bool, bool) { return c.address, false, true }

// A node to which a request comes back, since it has taken the conversation over in the
// meantime, reads the whole body.
func TestForwardedRequestComesBackWhole(t *testing.T) {
	var g *Gateway
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		g.mu.Lock()
		c := newConversation(g, Spec{})
		c.own, g.all["c1"] = keptOwner{}, c // it is this node's now
		g.mu.Unlock()
		w.Header().Set(movedHeader, "1")
	}))
	defer other.Close()
	g = New(&Options{Rehearse: true, Cluster: movedCluster{address: other.URL}})
	a := &api{gateway: g, transport: &http.Transport{DisableKeepAlives: true}}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/conversations/c1/speech", strings.NewReader("all of it"))
	isDone, err := a.forward(httptest.NewRecorder(), r, "c1")
	if isDone || err != nil {
		t.Fatalf("it was answered elsewhere: %v, %v", isDone, err)
	}
	if text, err := io.ReadAll(r.Body); string(text) != "all of it" || err != nil {
		t.Errorf("this node reads %q, %v", text, err)
	}
}

func (c movedCluster) Place(context.Context) (string, bool) { return c.address, false }

// A node reads the whole body of a creation that another node has begun to read, and did not
// take.
func TestRefusedCreationIsReadWhole(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set(movedHeader, "1")
	}))
	defer other.Close()
	g := New(&Options{Rehearse: true, Cluster: movedCluster{address: other.URL}})
	a := &api{gateway: g, transport: &http.Transport{DisableKeepAlives: true}}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/conversations", strings.NewReader(`{"to":"rehearsal"}`))
	if a.forwardCreation(httptest.NewRecorder(), r) {
		t.Fatal("it was answered elsewhere")
	}
	if text, err := io.ReadAll(r.Body); string(text) != `{"to":"rehearsal"}` || err != nil {
		t.Errorf("this node reads %q, %v", text, err)
	}
}

// What an abandoned reader of a body still gets from the client is not lost to the next reader.
func TestAbandonedReaderTakesNothingAway(t *testing.T) {
	for _, test := range []struct {
		name string
		more int // bytes that the abandoned reader gets
		err  error
	}{
		{"a little", 3, nil},
		{"more than is kept", maxRepeated, io.ErrUnexpectedEOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from, client := io.Pipe()
				body := &repeatable{from: from}
				first, read := body.reader(), make(chan struct{})
				go func() {
					defer close(read)
					_, _ = io.CopyN(io.Discard, first, 3)
					_, _ = first.Read(make([]byte, test.more)) // as a transport that does not know yet
				}()
				_, _ = client.Write([]byte("abc"))
				synctest.Wait() // it waits for more
				if !body.canRepeat() {
					t.Error("three bytes cannot be read again")
				}
				first.isAbandoned.Store(true)
				next := body.reader()
				go func() {
					_, _ = client.Write(make([]byte, test.more))
					_ = client.Close()
				}()
				text, err := io.ReadAll(next)
				if !errors.Is(err, test.err) || err == nil && (len(text) != 3+test.more || string(text[:3]) != "abc") {
					t.Errorf("the next reader gets %d bytes, %v", len(text), err)
				}
				_ = from.Close()
				<-read
				if _, err := first.Read(make([]byte, 1)); !errors.Is(err, errMoved) {
					t.Errorf("the abandoned reader reads on: %v", err)
				}
			})
		})
	}
}

// A node that holds the conversation keeps nothing of the body for another.
func TestBodyForThisNodeIsNotKept(t *testing.T) {
	t.Parallel()
	g := New(&Options{Rehearse: true, Cluster: movedCluster{}})
	c := newConversation(g, Spec{})
	c.own, g.all["c1"] = keptOwner{}, c
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/conversations/c1/speech", strings.NewReader("all of it"))
	body := r.Body
	isDone, err := (&api{gateway: g}).forward(httptest.NewRecorder(), r, "c1")
	if isDone || err != nil || r.Body != body {
		t.Errorf("forwarded: %t, %v; the body is read through %T", isDone, err, r.Body)
	}
}

// recordingOwner keeps the records in the order in which they are stored.
type recordingOwner struct {
	keptOwner
	records *[]record
}

func (o recordingOwner) SaveRecord(_ context.Context, text []byte) error {
	var r record
	err := json.Unmarshal(text, &r)
	*o.records = append(*o.records, r)
	return err
}

func (recordingOwner) End(context.Context) error { return nil }

// A request that is served while the conversation ends does not replace the record of its end.
func TestNoRecordFollowsTheEnd(t *testing.T) {
	t.Parallel()
	var records []record
	c := newConversation(New(nil), Spec{To: Rehearsal})
	c.own = recordingOwner{records: &records}
	if err := c.saveRecord(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	c.endOwnership()
	if err := c.saveRecord(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if len(records) != 2 || records[0].Ended != nil || records[1].Ended == nil {
		t.Errorf("the records are %+v", records)
	}
}
