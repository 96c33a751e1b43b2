package cli

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/pion/rtp"

	"echocast/internal/testwait"
	"echocast/room"
	"echocast/rtc/daily"
)

// fakeHearer hears 20 ms of one value, and then silence, or an error.
type fakeHearer struct {
	value uint16
	fails error
	heard chan struct{} // closed after the packet; may be nil
}

func (e *fakeHearer) Hear(ctx context.Context, _ string, packet func(string, *rtp.Packet), _ func(string)) error {
	p := &rtp.Packet{Header: rtp.Header{PayloadType: daily.PayloadL16, SSRC: uint32(e.value)}}
	for range asrRate / 50 {
		p.Payload = binary.BigEndian.AppendUint16(p.Payload, e.value)
	}
	packet("track", p)
	if e.heard != nil {
		close(e.heard)
	}
	if e.fails != nil {
		return e.fails
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// fakeRoom is joined once for each of its hearers.
type fakeRoom struct{ hearers []room.Hearer }

func (f *fakeRoom) Join(context.Context, string, *room.Options) (*room.Connection, error) {
	h := f.hearers[0]
	f.hearers = f.hearers[1:]
	return &room.Connection{Hearer: h, Close: func() error { return nil }}, nil
}

func heardRoom(t *testing.T, hearers ...room.Hearer) *room.Room {
	t.Helper()
	r, err := room.Join(testwait.Context(t), "", &room.Options{Backend: &fakeRoom{hearers}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// valueReader stores samples and reports when a value is among them.
type valueReader struct {
	mu    sync.Mutex
	all   bytes.Buffer
	value []byte
	came  chan struct{}
}

func (a *valueReader) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all.Write(p)
	if a.value != nil && bytes.Contains(a.all.Bytes(), a.value) {
		a.value = nil
		close(a.came)
	}
	return len(p), nil
}

// After a reconnect, the new room is heard into the same stream.
func TestHearAfterReconnect(t *testing.T) {
	var people bytes.Buffer
	settings := &settings{quiet: true}
	first := &fakeHearer{0x1111, errors.New("lost"), make(chan struct{})}
	from := heardRoom(t, first, &fakeHearer{0x2222, nil, nil})
	to := &valueReader{value: []byte{0x22, 0x22, 0x22, 0x22}, came: make(chan struct{})}
	out := settings.newReporter(Streams{Out: io.Discard, Err: &people})
	stop, err := hearAlongside(testwait.Context(t), from, room.User, asrRate, to, out)
	if err != nil {
		t.Fatal(err)
	}
	testwait.Receive(t, first.heard)
	if _, err := from.Rejoin(testwait.Context(t)); err != nil {
		t.Fatal(err)
	}
	testwait.Receive(t, to.came)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if !bytes.Contains(to.all.Bytes(), []byte{0x11, 0x11, 0x11, 0x11}) {
		t.Error("the first room was not heard")
	}
	if !strings.Contains(people.String(), "hearing the room has ended: lost") {
		t.Error(people.String())
	}
}

func TestHearAllInADailyRoom(t *testing.T) {
	t.Setenv("TAVUS_API_KEY", "key")
	for _, arguments := range [][]string{
		{"hear", "--to", "https://x.daily.co/r", "--from", "all"},
		{"send", "--to", "https://x.daily.co/r", "--hear", "x.wav", "--hear-from", "all", "../testdata/speech.wav"},
		{"send", "--pal", "p1", "--hear", "x.wav", "--hear-from", "all", "../testdata/speech.wav"},
	} {
		if code, _, stderr := run(testwait.Context(t), arguments...); code != 2 ||
			!strings.Contains(stderr, "all: in a Daily room one participant at a time is heard") {
			t.Errorf("%v: code %d, %s", arguments, code, stderr)
		}
	}
}
