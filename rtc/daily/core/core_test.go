//go:build (linux || darwin) && (amd64 || arm64) && (cgo || daily_core)

package core_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"echocast/internal/testwait"
	"echocast/rtc/daily"
	"echocast/rtc/daily/core"
	"echocast/rtc/daily/dailytest"
)

// library is the path of the stand-in, which is compiled once.
var library string

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	if library, err = dailytest.BuildLibrary(folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		_ = os.RemoveAll(folder)
		os.Exit(1)
	}
	testwait.RunAndFindLeaks(m, func() { _ = os.RemoveAll(folder) })
}

func load(t testing.TB) daily.Library {
	t.Helper()
	l, err := core.Load(library)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// newRoom opens a room. At the end of the test it checks that the room complained of nothing.
func newRoom(t testing.TB, o dailytest.Options) *dailytest.Room {
	t.Helper()
	room, err := dailytest.NewRoom(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		room.Close()
		for _, complaint := range room.Complaints() {
			t.Error("complaint:", complaint)
		}
	})
	return room
}

// patient returns options with the library and the timeouts of tests.
func patient(t testing.TB, o daily.Options) *daily.Options {
	t.Helper()
	o.Library, o.JoinTimeout, o.LeaveTimeout = load(t), testwait.Limit, testwait.Limit
	return &o
}

func join(t testing.TB, room *dailytest.Room, o daily.Options) *daily.Conn {
	t.Helper()
	conn, err := daily.Join(testwait.Context(t), room.URL(), patient(t, o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// expect receives messages and checks that they contain these texts.
func expect(t testing.TB, from interface {
	Receive(ctx context.Context) ([]byte, error)
}, want ...string) {
	t.Helper()
	ctx := testwait.Context(t)
	for _, text := range want {
		message, err := from.Receive(ctx)
		if err != nil {
			t.Fatalf("%v, want %s", err, text)
		}
		if !strings.Contains(string(message), text) {
			t.Fatalf("got %s\nwant %s", message, text)
		}
	}
}

// The participants are reported, the replica is found, and messages pass unchanged in both
// directions.
func TestConversation(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	ann := room.Enter("Ann", "tavus-replica-1")
	conn := join(t, room, daily.Options{Token: "secret"})
	expect(t, conn, `"user_name":"Ann","role":"replica"`)
	bob := room.Enter("Bob", "")
	expect(t, conn, `"user_name":"Bob","role":"person"`)
	message := `{"a":"` + strings.Repeat("é€\\u0000\\t", 300) + `","n":1}`
	if err := conn.Send(testwait.Context(t), []byte(message)); err != nil {
		t.Fatal(err)
	}
	expect(t, ann, message)
	if err := ann.Send(testwait.Context(t), []byte(message)); err != nil {
		t.Fatal(err)
	}
	expect(t, conn, message)
	bob.Leave()
	expect(t, conn, `"event_type":"room.participant_left","properties":{"session_id":"`+bob.SessionID)
	if joins := room.Joins(); len(joins) != 1 ||
		joins[0] != (dailytest.Join{URL: room.URL(), UserName: "echocast", Token: "secret"}) {
		t.Errorf("%+v", joins)
	}
	if err := conn.Close(); err != nil || room.Leaves() != 1 {
		t.Errorf("%v, %d leaves", err, room.Leaves())
	}
	if err := conn.Send(testwait.Context(t), []byte("{}")); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	room := newRoom(t, dailytest.Options{Refuse: &dailytest.Refusal{Message: "the meeting is full"}})
	_, err := daily.Join(testwait.Context(t), room.URL(), patient(t, daily.Options{}))
	if !errors.Is(err, daily.ErrRefused) || !strings.Contains(err.Error(), "the meeting is full") {
		t.Error(err)
	}
	_, err = daily.Join(testwait.Context(t), "http://127.0.0.1:1/room", patient(t, daily.Options{}))
	if err == nil || !strings.Contains(err.Error(), "no way to the room") {
		t.Error(err)
	}
}

// A message that is too large for the room fails, and only that one.
func TestTooLarge(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	ann := room.Enter("Ann", "tavus-replica-1")
	conn := join(t, room, daily.Options{})
	if conn.MaxMessage() != daily.DefaultMaxMessage {
		t.Error(conn.MaxMessage())
	}
	large := `{"a":"` + strings.Repeat("x", 5000) + `"}`
	if err := conn.Send(testwait.Context(t), []byte(large)); !errors.Is(err, daily.ErrTooLarge) {
		t.Error(err)
	}
	if err := conn.Send(testwait.Context(t), []byte(`{"b":1}`)); err != nil {
		t.Error(err)
	}
	expect(t, ann, `{"b":1}`)
}

// The library does not report the room's limit. If Daily refuses a message, a later Send or
// Close returns the error.
func TestRefusedMessage(t *testing.T) {
	for _, more := range []bool{true, false} {
		room := newRoom(t, dailytest.Options{MaxMessage: 1000})
		room.Enter("Ann", "tavus-replica-1")
		conn, err := daily.Join(testwait.Context(t), room.URL(), patient(t, daily.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		err = conn.Send(testwait.Context(t), []byte(`{"a":"`+strings.Repeat("x", 2000)+`"}`))
		for more && err == nil {
			err = conn.Send(testwait.Context(t), []byte(`{"b":1}`))
		}
		if closed := conn.Close(); !more {
			err = closed
		}
		if err == nil || !strings.Contains(err.Error(), "of at most 1000") {
			t.Errorf("%v: %v", more, err)
		}
	}
}

// A broken connection is restored once.
func TestRejoins(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	ann := room.Enter("Ann", "tavus-replica-1")
	conn := join(t, room, daily.Options{})
	expect(t, conn, `"role":"replica"`)
	room.Fail(session(t, room), dailytest.Refusal{Message: "connection closed"})
	expect(t, conn, `"event_type":"room.rejoined","properties":{"reason":"connection lost: connection closed"}`)
	if err := conn.Send(testwait.Context(t), []byte(`{"c":1}`)); err != nil {
		t.Fatal(err)
	}
	expect(t, ann, `{"c":1}`)
	room.Fail(session(t, room), dailytest.Refusal{Message: "connection closed"})
	if _, err := conn.Receive(testwait.Context(t)); !errors.Is(err, daily.ErrLost) {
		t.Error(err)
	}
}

// Messages do not wait for each other. After a broken connection, the next one sends the
// unsent messages in order.
func TestUnsentMessagesAreSentAgain(t *testing.T) {
	room := newRoom(t, dailytest.Options{SwallowAfter: 3})
	ann := room.Enter("Ann", "tavus-replica-1")
	conn := join(t, room, daily.Options{})
	var want []string
	for n := range 15 {
		want = append(want, fmt.Sprintf(`{"n":%d}`, n))
		if err := conn.Send(testwait.Context(t), []byte(want[n])); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, ann, want[:3]...)
	room.Fail(session(t, room), dailytest.Refusal{Message: "connection closed"})
	expect(t, ann, want[3:]...)
	if err := conn.Send(testwait.Context(t), []byte(`{"n":15}`)); err != nil {
		t.Fatal(err)
	}
	expect(t, ann, `{"n":15}`)
}

// While the library sends nothing, Send waits no longer than its context, and the connection
// stays.
func TestSendWaitsForTheLibrary(t *testing.T) {
	room := newRoom(t, dailytest.Options{SwallowAfter: 1})
	ann := room.Enter("Ann", "tavus-replica-1")
	conn := join(t, room, daily.Options{})
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	ended := make(chan error)
	sent := make(chan struct{}, 100)
	go func() {
		for {
			if err := conn.Send(ctx, []byte(`{"d":1}`)); err != nil {
				ended <- err
				return
			}
			sent <- struct{}{}
		}
	}()
	for range 17 { // one is delivered, and sixteen are on their way
		testwait.Receive(t, sent)
	}
	cancel(why)
	if err := testwait.Receive(t, ended); !errors.Is(err, why) {
		t.Errorf("Send: %v, want the cause of its context", err)
	}
	room.Fail(session(t, room), dailytest.Refusal{Message: "connection closed"})
	expect(t, ann, slices.Repeat([]string{`{"d":1}`}, 17)...)
	expect(t, conn, `"role":"replica"`, `"reason":"connection lost: connection closed"`) // and for no other reason
}

// A participant that was ejected does not join again.
func TestEjected(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *dailytest.Room){
		"ejected": func(t *testing.T, room *dailytest.Room) {
			room.Fail(session(t, room), dailytest.Refusal{Message: "Ejected by Ann"})
		},
		"the room closes": func(_ *testing.T, room *dailytest.Room) { room.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			room := newRoom(t, dailytest.Options{})
			conn := join(t, room, daily.Options{})
			end(t, room)
			if _, err := conn.Receive(testwait.Context(t)); !errors.Is(err, daily.ErrPeerGone) {
				t.Error(err)
			}
			if joins := room.Joins(); len(joins) != 1 {
				t.Errorf("%d joins", len(joins))
			}
		})
	}
}

// session returns the session id of the library's client in the room.
func session(t *testing.T, room *dailytest.Room) string {
	t.Helper()
	people, _ := room.People()
	for _, p := range people {
		if p.UserName == "echocast" {
			return p.SessionID
		}
	}
	t.Fatal("nobody came by the library")
	return ""
}

// The replica's voice arrives as samples, with a time for each packet.
func TestAudio(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	ann := room.Enter("Ann", "tavus-replica-1")
	conn := join(t, room, daily.Options{})
	ann.Hum(440)
	sound, err := conn.Audio(testwait.Context(t), "")
	if err != nil {
		t.Fatal(err)
	}
	defer sound.Close()
	crossings, last, next := 0, int16(0), uint16(0)
	const packets = 50
	ctx := testwait.Context(t)
	for i := 0; i < packets; i++ {
		p, err := sound.ReadRTP(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if p.PayloadType != daily.PayloadL16 || len(p.Payload) != 2*480 {
			t.Fatalf("%+v, %d bytes", p.Header, len(p.Payload))
		}
		if p.SequenceNumber != next { // of a reader that was late, packets were dropped: count again
			crossings, last, i = 0, 0, 0
		}
		next = p.SequenceNumber + 1
		for j := 0; j < len(p.Payload); j += 2 {
			v := int16(binary.BigEndian.Uint16(p.Payload[j:]))
			if last < 0 && v >= 0 {
				crossings++
			}
			last = v
		}
	}
	if want := 440 * packets / 100; crossings < want-1 || crossings > want+1 {
		t.Errorf("%d periods in %d ms, want %d", crossings, 10*packets, want)
	}
}

// Conversations in one process do not hear each other.
func TestManyConversations(t *testing.T) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			room := newRoom(t, dailytest.Options{})
			ann := room.Enter("Ann", "tavus-replica-1")
			conn := join(t, room, daily.Options{})
			for j := range 50 {
				message := fmt.Sprintf(`{"room":%d,"n":%d}`, i, j)
				if err := conn.Send(testwait.Context(t), []byte(message)); err != nil {
					t.Error(err)
					return
				}
				if got, err := ann.Receive(testwait.Context(t)); err != nil || string(got) != message {
					t.Errorf("%s, %v, want %s", got, err, message)
					return
				}
			}
		})
	}
	all.Wait()
}

// A process loads the library once.
func TestLoadedOnce(t *testing.T) {
	load(t)
	if _, err := core.Load("other.so"); err == nil || err.Error() != "other.so: "+library+" is loaded already" {
		t.Error(err)
	}
}

// A call after Close, or after a loss has freed the client, does nothing.
func TestCallsAfterClose(t *testing.T) {
	c, err := load(t).Open(func(event []byte) { t.Errorf("an event: %s", event) }, func(daily.Sound) {})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	c.SetUserName(1, "Ann")
	c.UpdateSubscriptionProfiles(2, "{}")
	c.Join(3, "http://127.0.0.1:1/room", "", "{}")
	c.SendAppMessage(4, "{}", "")
	c.SetParticipantAudioRenderer(5, 1, "p", 16000)
	c.Leave(6)
	if list := c.Participants(); list != nil {
		t.Errorf("there are %s", list)
	}
	c.Close()
}
