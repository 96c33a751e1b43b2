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
	"echocast/rtc/daily"
)

// toldEars hear 20 ms of one value, and then nothing, or fail.
type toldEars struct {
	value uint16
	fails error
}

func (e *toldEars) Hear(ctx context.Context, _ string, packet func(string, *rtp.Packet), _ func(string)) error {
	p := &rtp.Packet{Header: rtp.Header{PayloadType: daily.PayloadL16, SSRC: uint32(e.value)}}
	for range asrRate / 50 {
		p.Payload = binary.BigEndian.AppendUint16(p.Payload, e.value)
	}
	packet("track", p)
	if e.fails != nil {
		return e.fails
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// awaited takes samples until one value has come.
type awaited struct {
	mu    sync.Mutex
	all   bytes.Buffer
	value []byte
	came  chan struct{}
}

func (a *awaited) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all.Write(p)
	if a.value != nil && bytes.Contains(a.all.Bytes(), a.value) {
		a.value = nil
		close(a.came)
	}
	return len(p), nil
}

// After a loss the room that is joined next is heard, into the same stream.
func TestHearAlongFollowsTheConnection(t *testing.T) {
	var people bytes.Buffer
	settings := &settings{quiet: true}
	rooms := make(chan ears, 1)
	rooms <- &toldEars{0x1111, errors.New("lost")}
	to := &awaited{value: []byte{0x22, 0x22, 0x22, 0x22}, came: make(chan struct{})}
	stop, err := hearAlong(testwait.Context(t), rooms, hearUser, to, settings.newReporter(io.Discard, &people))
	if err != nil {
		t.Fatal(err)
	}
	rooms <- &toldEars{0x2222, nil}
	testwait.Receive(t, to.came)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if !bytes.Contains(to.all.Bytes(), []byte{0x11, 0x11, 0x11, 0x11}) {
		t.Error("the first room was not heard")
	}
	if !strings.Contains(people.String(), "nothing is heard now: lost") {
		t.Error(people.String())
	}
}

// A recogniser that reads nothing does not keep the conversation from ending.
func TestRecogniserThatReadsNothing(t *testing.T) {
	settings := &settings{quiet: true}
	rooms := make(chan ears, 1)
	rooms <- &toldEars{0x1111, nil}
	heard := make(chan heardUser, 10)
	r, err := recognise(testwait.Context(t), "echo ready; exec sleep 600", rooms, settings.newReporter(io.Discard, io.Discard), func(next heardUser) { heard <- next })
	if err != nil {
		t.Fatal(err)
	}
	if next := testwait.Receive(t, heard); next.text != "ready" {
		t.Errorf("%+v", next)
	}
	r.close()
	if next := testwait.Receive(t, heard); next.err == nil {
		t.Errorf("%+v", next)
	}
}

func TestHearAllInADailyRoom(t *testing.T) {
	t.Setenv("TAVUS_API_KEY", "key")
	for _, arguments := range [][]string{
		{"hear", "--to", "https://x.daily.co/r", "--from", "all"},
		{"send", "--to", "https://x.daily.co/r", "--hear", "x.wav", "--hear-from", "all", "../testdata/speech.wav"},
		{"send", "--pal", "p1", "--hear", "x.wav", "--hear-from", "all", "../testdata/speech.wav"},
	} {
		if code, _, stderr := run(testwait.Context(t), arguments...); code != 2 || !strings.Contains(stderr, "all: in a Daily room one participant at a time is heard") {
			t.Errorf("%v: code %d, %s", arguments, code, stderr)
		}
	}
}
