package room_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pion/rtp"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/room"
	"echocast/room/daily"
	"echocast/room/livekit"
	"echocast/room/peer"
	"echocast/room/roomtest"
)

// The backend of each kind of address is found by its scheme or its domain.
func TestLookup(t *testing.T) {
	for address, want := range map[string]func(room.Backend) bool{
		"http://127.0.0.1:8870":             is[*peer.Backend],
		"https://studio.example.org":        is[*peer.Backend],
		"https://daily.com.example.org":     is[*peer.Backend],
		"https://notdaily.co/c1":            is[*peer.Backend],
		"https://daily.co/c1":               is[*daily.Backend],
		"https://tavus.daily.co/c1?t=x":     is[*daily.Backend],
		"daily+https://rooms.example.org/r": is[*daily.Backend],
		"livekit+wss://h/r":                 is[livekit.Backend],
		"LIVEKIT+ws://h/r":                  is[livekit.Backend],
	} {
		if b, err := room.Lookup(address); err != nil || !want(b) {
			t.Errorf("%s: %T, %v", address, b, err)
		}
	}
}

func is[B room.Backend](b room.Backend) bool { _, ok := b.(B); return ok }

func TestLookupRefuses(t *testing.T) {
	for _, address := range []string{"", "nonsense", "127.0.0.1:8870", "ftp://user:canary@h/r?t=canary#canary", "%zz"} {
		_, err := room.Lookup(address)
		if _, ok := errors.AsType[*room.UnknownSchemeError](err); !ok || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// An address of a known kind that is malformed is not of an unknown kind.
func TestMalformedAddresses(t *testing.T) {
	for _, address := range []string{"http://h:99999", "https://u:canary@h:port/", "livekit+wss://h:99999/r?t=canary",
		"http://a b/", "https://%zz/?t=canary", "http://", "https:///r", "http:/r", "daily+https://", "daily+https:"} {
		_, err := room.Join(t.Context(), address, nil)
		if _, ok := errors.AsType[*room.AddressError](err); !ok || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// join opens a room in memory and joins it.
func join(t *testing.T, o *replica.Options) (*room.Room, *roomtest.Room) {
	t.Helper()
	r := roomtest.Open(o)
	joined, err := room.Join(t.Context(), r.Address, &room.Options{Conversation: "c1"})
	if err != nil {
		t.Fatal(err)
	}
	return joined, r
}

func TestJoinSpeaksInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		joined, r := join(t, &replica.Options{ConversationID: "c1"})
		session, err := echo.NewSession(joined.Stage(), &echo.Options{Redial: joined.Rejoin})
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := session.Speak(t.Context(), echo.Speech{Samples: &samples{left: 24000}})
		if err != nil || receipt.Outcome != echo.Finished {
			t.Errorf("%+v, %v", receipt, err)
		}
		_ = session.Close()
		_ = joined.Close()
		reports := r.Close()
		if len(reports) != 1 || reports[0].ComplaintCount != 0 || reports[0].PlayedSeconds != 1 {
			t.Errorf("%+v", reports)
		}
	})
}

// samples is a source of silence.
type samples struct{ left int }

func (s *samples) ReadSamples(p []float32) (int, error) {
	n := min(len(p), s.left)
	if n == 0 {
		return 0, io.EOF
	}
	clear(p[:n])
	s.left -= n
	return n, nil
}

// fakeConnection is one connection of a fakeBackend.
type fakeConnection struct {
	number int
	heard  chan string // what Hear was asked for
	lost   chan error  // ends Hear
	closed bool
}

func (s *fakeConnection) Hear(ctx context.Context, from string, _ func(string, *rtp.Packet), _ func(string)) error {
	s.heard <- from
	select {
	case err := <-s.lost:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fakeBackend is a backend that keeps all its connections.
type fakeBackend struct {
	stays []*fakeConnection
	full  error
}

func (h *fakeBackend) Join(context.Context, string, *room.Options) (*room.Connection, error) {
	if h.full != nil {
		return nil, h.full
	}
	s := &fakeConnection{number: len(h.stays), heard: make(chan string, 1), lost: make(chan error)}
	h.stays = append(h.stays, s)
	return &room.Connection{Stage: echo.NewMessages(nil, "", 100+s.number), Hearer: s, Close: func() error {
		s.closed = true
		return nil
	}}, nil
}

func TestRejoin(t *testing.T) {
	h := &fakeBackend{}
	r, err := room.Join(testwait.Context(t), "any", &room.Options{Backend: h})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Rejoin(testwait.Context(t)); err != nil || r.Limits().MaxMessage != 101 || !h.stays[0].closed ||
		h.stays[1].closed {
		t.Errorf("%v, limit %d", err, r.Limits().MaxMessage)
	}
	h.full = errors.New("full")
	if _, err := r.Rejoin(testwait.Context(t)); !errors.Is(err, h.full) || r.Stage() != nil || !h.stays[1].closed {
		t.Error(err)
	}
	h.full = nil
	_ = r.Close()
	if _, err := r.Rejoin(testwait.Context(t)); !errors.Is(err, room.ErrClosed) || !h.stays[2].closed {
		t.Errorf("after Close: %v", err)
	}
}

// HearOn hears each connection once, and ends at Close.
func TestHearOn(t *testing.T) {
	h := &fakeBackend{}
	r, err := room.Join(testwait.Context(t), "any", &room.Options{Backend: h})
	if err != nil {
		t.Fatal(err)
	}
	why, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		r.HearOn(testwait.Context(t), room.User, nil, nil, func(err error) { why <- err })
	}()
	if from := testwait.Receive(t, h.stays[0].heard); from != room.User {
		t.Error(from)
	}
	lost := errors.New("lost")
	h.stays[0].lost <- lost
	if err := testwait.Receive(t, why); !errors.Is(err, lost) {
		t.Error(err)
	}
	if _, err := r.Rejoin(testwait.Context(t)); err != nil {
		t.Fatal(err)
	}
	testwait.Receive(t, h.stays[1].heard)
	h.stays[1].lost <- lost
	testwait.Receive(t, why)
	_ = r.Close()
	testwait.Receive(t, ended)
}

func TestHearRefuses(t *testing.T) {
	joined, r := join(t, nil)
	if err := joined.Hear(testwait.Context(t), room.All, nil, nil); !errors.Is(err, room.ErrNoHearing) {
		t.Error(err)
	}
	_ = joined.Close()
	if err := joined.Hear(testwait.Context(t), room.All, nil, nil); !errors.Is(err, room.ErrClosed) {
		t.Error(err)
	}
	r.Close()
}

// A named conversation counts, otherwise that of the room. A real room never has the id of the
// local one.
func TestConversation(t *testing.T) {
	for named, want := range map[string]string{"": "c1", "local": "c1", "c2": "c2"} {
		o := &room.Options{Conversation: named}
		if got := o.Messages(nil, "c1", 0).Limits().ConversationID; got != want {
			t.Errorf("%q: %q, not %q", named, got, want)
		}
	}
}
