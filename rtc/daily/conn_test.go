package daily

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"echocast/internal/testwait"
	"echocast/logs"
	"echocast/replica"
	"echocast/rtc/daily/dailytest"
)

func TestRefused(t *testing.T) {
	room := newRoom(t,
		dailytest.Options{Refuse: &dailytest.Refusal{Type: "exp-room",
			Message: "The meeting you're trying to join has ended."}})
	var log bytes.Buffer
	ctx := logs.Into(testwait.Context(t), slog.New(slog.NewTextHandler(&log, nil)))
	_, err := Join(ctx, room.URL()+"?t=secret", local(room, Options{}))
	if told := log.String(); !strings.Contains(told, `msg="not joined"`) || !strings.Contains(told, "has ended.") ||
		strings.Contains(told, "secret") {
		t.Errorf("the log says\n%s", told)
	}
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok || !errors.Is(err, ErrRefused) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if want := "daily: join " + room.URL() + ": refused: exp-room: The meeting you're trying to join " +
		"has ended."; err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if refused.Type != "exp-room" {
		t.Errorf("the type is %q", refused.Type)
	}
}

// Only the message that is too large fails.
func TestMessageLimitIsTheRooms(t *testing.T) {
	for _, limit := range []int{2048, 8192} {
		room := newRoom(t, dailytest.Options{MaxMessage: limit})
		listener := room.Enter("Ann", "")
		conn := mustJoin(t, room, Options{})
		if got := conn.MaxMessage(); got != limit {
			t.Errorf("the room takes %d, want %d", got, limit)
		}
		ascii := strings.Map(func(r rune) rune {
			if r > 127 {
				return 'x'
			}
			return r
		}, echoMessage(1, limit-20))
		full := ascii[:len(ascii)-2] + strings.Repeat(" ", limit-len(ascii)-10) + ascii[len(ascii)-2:]
		for _, message := range []string{ascii, echoMessage(2, limit+10), echoMessage(3, 1000), `{"text":"` +
			strings.Repeat("A", 300<<10) + `"}`} {
			err := conn.Send(testwait.Context(t), []byte(message))
			if tooLarge := len(message) > limit; errors.Is(err, ErrTooLarge) != tooLarge || !tooLarge && err != nil {
				t.Errorf("%d bytes of %d: %v", len(message), limit, err)
			}
		}
		if err := conn.Send(testwait.Context(t), []byte(full)); err != nil {
			t.Errorf("%d bytes, less without white space: %v", len(full), err)
		}
		expect(t, listener, ascii, echoMessage(3, 1000))
	}
}

func TestSendTakesObjectsOnly(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	listener := room.Enter("Ann", "")
	conn := mustJoin(t, room, Options{})
	for _, message := range []string{"", " ", "[1]", `"a"`, "{", `{"a":1}}`, `{"a":1},"op":"leave"`} {
		if err := conn.Send(testwait.Context(t), []byte(message)); err == nil ||
			!strings.Contains(err.Error(), "not a JSON object") {
			t.Errorf("%q: %v", message, err)
		}
	}
	if err := conn.Send(testwait.Context(t), []byte(" {\"a\": 1}\n")); err != nil {
		t.Error(err)
	}
	expect(t, listener, `{"a":1}`)
}

// Until the replica is known, all participants are heard; then only the replica.
func TestReplicaIsFoundByWhatItSends(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	ann := room.Enter("Ann", "user-1")
	conn := mustJoin(t, room, Options{})
	bob := room.Enter("Bob", "user-2")
	if err := conn.Send(testwait.Context(t), []byte(`{"to":"all"}`)); err != nil {
		t.Fatal(err)
	}
	expect(t, ann, `{"to":"all"}`)
	expect(t, bob, `{"to":"all"}`)
	ready := `{"message_type":"system","event_type":"system.replica_joined"}`
	if err := bob.Send(testwait.Context(t), []byte(ready)); err != nil {
		t.Fatal(err)
	}
	expect(t, conn,
		about(joinedEvent, ann.Person, rolePerson),
		about(joinedEvent, bob.Person, rolePerson),
		about(joinedEvent, bob.Person, roleReplica),
		ready)
	if err := conn.Send(testwait.Context(t), []byte(`{"to":"the replica"}`)); err != nil {
		t.Fatal(err)
	}
	expect(t, bob, `{"to":"the replica"}`)
	bob.Leave()
	expect(t, conn, about(leftEvent, bob.Person, roleReplica))
	if err := conn.Send(testwait.Context(t), []byte(`{"to":"all again"}`)); err != nil {
		t.Fatal(err)
	}
	expect(t, ann, ready, `{"to":"all again"}`)
}

// crash makes a page die, as it would for lack of memory.
func crash(t *testing.T, p *page) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, testwait.Limit)
	defer cancel()
	go func() {
		if !testwait.Came(t, p.Ended()) {
			return
		}
		cancel()
	}()
	began := time.Now()
	_, _ = chromedp.Call(ctx, cdppage.Navigate, cdppage.NavigateParams{URL: "chrome://crash"})
	testwait.Receive(t, p.Ended())
	t.Logf("a crash is noticed after %v", time.Since(began).Round(time.Millisecond))
}

// now is the page of a connection.
func (c *Conn) now(t *testing.T) *page {
	t.Helper()
	p, _, err := c.current(testwait.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	return p.(*page)
}

func TestPageCrashIsJoinedAgainOnce(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	ann := room.Enter("Ann", "tavus-replica")
	conn := mustJoin(t, room, Options{})
	expect(t, conn, about(joinedEvent, ann.Person, roleReplica))

	crash(t, conn.now(t))
	if err := conn.Send(testwait.Context(t), []byte(`{"n":1}`)); err != nil {
		t.Fatal(err)
	}
	expect(t, ann, `{"n":1}`)
	expect(t, conn, `{"message_type":"room","event_type":"room.rejoined","properties":{"reason":"connection `+
		`lost: the page has crashed"}}`)
	if err := ann.Send(testwait.Context(t), []byte(`{"n":2}`)); err != nil {
		t.Fatal(err)
	}
	expect(t, conn, `{"n":2}`)

	crash(t, conn.now(t))
	if _, err := conn.Receive(testwait.Context(t)); !errors.Is(err, ErrLost) ||
		!strings.Contains(err.Error(), "the page has crashed") {
		t.Errorf("receive: %v, want %v", err, ErrLost)
	}
	if err := conn.Send(testwait.Context(t), []byte(`{"n":3}`)); !errors.Is(err, ErrLost) {
		t.Errorf("send: %v, want %v", err, ErrLost)
	}
}

// After a rejoin, the changes in the room are reported, not all participants again.
func TestChangesWhileThePageIsGone(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	ann, bob := room.Enter("Ann", "tavus-replica"), room.Enter("Bob", "")
	conn := mustJoin(t, room, Options{})
	expect(t, conn, about(joinedEvent, ann.Person, roleReplica), about(joinedEvent, bob.Person, rolePerson))
	p := conn.now(t)
	conn.mu.Lock() // holds up the page's events
	ann.Leave()
	cleo := room.Enter("Cleo", "tavus-replica")
	crash(t, p)
	conn.mu.Unlock()
	got := map[string]int{}
	for range 3 {
		message, err := conn.Receive(testwait.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		got[string(message)]++
	}
	for _, want := range []string{about(leftEvent, ann.Person, roleReplica),
		about(joinedEvent, cleo.Person, roleReplica)} {
		if got[want] != 1 {
			t.Errorf("received %v, want %s once", got, want)
		}
	}
	if err := conn.Send(testwait.Context(t), []byte(`{"n":1}`)); err != nil {
		t.Fatal(err)
	}
	expect(t, cleo, `{"n":1}`)
}

func TestEjected(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	conn := mustJoin(t, room, Options{})
	people, _ := room.People()
	room.Fail(people[0].SessionID, dailytest.Refusal{Type: "ejected", Message: "The meeting has ended."})
	_, err := conn.Receive(testwait.Context(t))
	if !errors.Is(err, ErrPeerGone) || !strings.Contains(err.Error(), "ejected: The meeting has ended.") {
		t.Errorf("got %v, want %v", err, ErrPeerGone)
	}
}

func TestBrokenConnectionIsJoinedAgain(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	conn := mustJoin(t, room, Options{})
	people, _ := room.People()
	room.Fail(people[0].SessionID, dailytest.Refusal{Type: "connection-error", Message: "no answer"})
	expect(t, conn, `{"message_type":"room","event_type":"room.rejoined","properties":{"reason":"connection `+
		`lost: no answer"}}`)
}

func TestCloseLeavesTheRoom(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	conn := mustJoin(t, room, Options{})
	received := make(chan error, 1)
	go func() {
		_, err := conn.Receive(testwait.Context(t))
		received <- err
	}()
	_, changed := room.People()
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	testwait.Receive(t, changed)
	if people, _ := room.People(); len(people) > 0 {
		t.Errorf("still in the room: %v", people)
	}
	if got := room.Leaves(); got != 1 {
		t.Errorf("the page has left %d times in good order, want once", got)
	}
	if err := testwait.Receive(t, received); !errors.Is(err, net.ErrClosed) {
		t.Errorf("receive: %v, want %v", err, net.ErrClosed)
	}
	if err := conn.Send(testwait.Context(t), []byte(`{}`)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("send: %v, want %v", err, net.ErrClosed)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

func TestContextEndsOneCallOnly(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	ann := room.Enter("Ann", "")
	conn := mustJoin(t, room, Options{})
	expect(t, conn, about(joinedEvent, ann.Person, rolePerson))
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	cancel(cause)
	if _, err := conn.Receive(ctx); !errors.Is(err, cause) {
		t.Errorf("receive: %v, want %v", err, cause)
	}
	if err := conn.Send(ctx, []byte(`{}`)); !errors.Is(err, cause) {
		t.Errorf("send: %v, want %v", err, cause)
	}
	if err := conn.Send(testwait.Context(t), []byte(`{"n":1}`)); err != nil {
		t.Error(err)
	}
	expect(t, ann, `{"n":1}`)
}

func TestSeveralConversationsInOneBrowser(t *testing.T) {
	var browser Browser
	var conns []*Conn
	var people []*dailytest.Participant
	for range 3 {
		room := newRoom(t, dailytest.Options{})
		people = append(people, room.Enter("Ann", ""))
		conns = append(conns, mustJoin(t, room, Options{Browser: &browser}))
	}
	first := browser.running
	crash(t, conns[1].now(t))
	for i, conn := range conns {
		if err := conn.Send(testwait.Context(t), []byte(echoMessage(i, 1000))); err != nil {
			t.Fatal(err)
		}
		expect(t, people[i], echoMessage(i, 1000))
	}
	if browser.running != first {
		t.Error("the crash of one page took the browser with it")
	}
	for _, conn := range conns {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if browser.running != nil {
		t.Error("the browser still runs")
	}
}

func TestNoBrowser(t *testing.T) {
	for path, want := range map[string]string{
		"/nowhere/chromium": "no Chromium at /nowhere/chromium: install it (apt-get install chromium), or " +
			"correct --chromium PATH",
		"nowhere": "no Chromium at nowhere: install it (apt-get install chromium), or correct --chromium PATH",
	} {
		_, err := Join(testwait.Context(t), "https://example.org/room", &Options{Chromium: path})
		if !errors.Is(err, ErrNoBrowser) || err.Error() != "daily: join https://example.org/room: "+want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestJoinRefusals(t *testing.T) {
	for _, address := range []string{"", "room", "ftp://example.org/room", "https:///room", "%"} {
		if _, err := Join(testwait.Context(t), address, nil); err == nil ||
			!strings.Contains(err.Error(), "not an http or https address of a room") {
			t.Errorf("%q: %v", address, err)
		}
	}
	missing := filepath.Join(t.TempDir(), "daily.js")
	if _, err := Join(testwait.Context(t), "https://example.org/room", &Options{DailyJS: missing}); err == nil ||
		!strings.Contains(err.Error(), missing) {
		t.Errorf("no daily-js: %v", err)
	}
}

func TestJoinIsBounded(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	_, err := Join(testwait.Context(t), room.URL(), local(room, Options{JoinTimeout: time.Millisecond}))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not in the room within 1ms") {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	cancel(cause)
	if _, err := Join(ctx, room.URL(), local(room, Options{})); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
}

// The stand-in replica joins the room and hears an utterance.
func TestReplicaInTheRoom(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	seat := room.Enter("Ann", "tavus-replica")
	conn := mustJoin(t, room, Options{})
	reports := make(chan replica.Report, 1)
	go func() {
		report, _ := replica.New(seat, nil).Run(testwait.Context(t))
		reports <- report
	}()
	message := `{"message_type":"conversation","event_type":"conversation.echo","conversation_id":"c1",` +
		`"properties":{"modality":"audio","audio":"` +
		strings.Repeat("AAAA", 600) + `","sample_rate":24000,"inference_id":"utterance-1","done":true}}`
	if err := conn.Send(testwait.Context(t), []byte(message)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{joinedEvent, "system.replica_joined", "system.pal_joined",
		"conversation.started_speaking",
		"conversation.started_speaking", "conversation.stopped_speaking", "conversation.stopped_speaking"} {
		got, err := conn.Receive(testwait.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(got), `"`+want+`"`) {
			t.Errorf("got %s, want a %s", got, want)
		}
	}
	seat.Leave()
	if report := testwait.Receive(t, reports); len(report.Complaints) > 0 {
		t.Errorf("the replica complains: %v", report.Complaints)
	}
}

// Of two conversations in one room, each hears only its own replica.
func TestTwoConversationsInOneRoom(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	ann, bob := room.Enter("Ann", "tavus-replica-1"), room.Enter("Bob", "tavus-replica-2")
	conn := mustJoin(t, room, Options{Conversation: "c2"})
	event := func(conversation string) string {
		return `{"message_type":"conversation","event_type":"conversation.replica_present","conversation_id":"` +
			conversation + `"}`
	}
	if err := conn.Send(testwait.Context(t), []byte(`{"to":"both"}`)); err != nil {
		t.Fatal(err)
	}
	expect(t, ann, `{"to":"both"}`)
	expect(t, bob, `{"to":"both"}`)
	for _, one := range []struct {
		p    *dailytest.Participant
		says string
	}{{ann, event("c1")}, {bob, event("c2")}, {ann, event("c1")}, {bob, event("c2")}} {
		if err := one.p.Send(testwait.Context(t), []byte(one.says)); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, conn,
		about(joinedEvent, ann.Person, roleReplica), about(joinedEvent, bob.Person, rolePerson),
		about(joinedEvent, bob.Person, roleReplica), event("c2"), event("c2"))
	if err := conn.Send(testwait.Context(t), []byte(`{"to":"ours"}`)); err != nil {
		t.Fatal(err)
	}
	expect(t, bob, event("c1"), event("c1"), `{"to":"ours"}`)
	expect(t, ann, event("c2"), event("c2"))
}

// A hidden participant still counts as present, and an interruption of the signalling is
// reported and waited for.
func TestHiddenParticipantAndSignallingInterruption(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	ann := room.Enter("Ann", "tavus-replica-1")
	conn := mustJoin(t, room, Options{})
	people, _ := room.People()
	self := people[1].SessionID
	expect(t, conn, about(joinedEvent, ann.Person, roleReplica))
	room.Hide(ann.SessionID)
	room.Network(self, "interrupted", true) // of media
	room.Network(self, "interrupted", false)
	expect(t, conn, `{"message_type":"room","event_type":"room.network_interrupted","properties":{}}`)
	sent := make(chan error, 1)
	go func() { sent <- conn.Send(testwait.Context(t), []byte(`{"n":1}`)) }()
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	given := errors.New("given up")
	go func() { cancel(given) }()
	if err := conn.Send(ctx, []byte(`{"n":2}`)); !errors.Is(err, given) {
		t.Errorf("Send while the signalling is interrupted: %v", err)
	}
	room.Network(self, "connected", false)
	if err := testwait.Receive(t, sent); err != nil {
		t.Error(err)
	}
	expect(t, ann, `{"n":1}`)
	expect(t, conn, `{"message_type":"room","event_type":"room.network_connected","properties":{}}`)
}

// Errors of Daily may contain the meeting token, but ours do not.
func TestErrorsHideToken(t *testing.T) {
	const token = "eyJhbGciOi.canary-token"
	room := newRoom(t,
		dailytest.Options{Refuse: &dailytest.Refusal{Type: "not-allowed", Message: "the token " + token + " has expired"}})
	_, err := Join(testwait.Context(t), room.URL(), local(room, Options{Token: token}))
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok || strings.Contains(err.Error(), "canary") || strings.Contains(refused.Message, "canary") {
		t.Errorf("the error is %v (%+v)", err, refused)
	}
	room = newRoom(t, dailytest.Options{})
	conn := mustJoin(t, room, Options{Token: token})
	people, _ := room.People()
	room.Fail(people[0].SessionID, dailytest.Refusal{Type: "ejected", Message: "the token " + token + " was withdrawn"})
	if _, err = conn.Receive(testwait.Context(t)); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("the end of the call is %v", err)
	}
}
