package acceptance

import (
	"math"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc/daily/dailytest"
)

// With --as microphone the room hears an audio track, and no message is sent.
func TestAsMicrophone(t *testing.T) {
	t.Parallel()
	needBrowser(t)
	awaitBrowser(t)
	var voiced atomic.Int64 // packets of Opus, 20 ms each, that are not silent
	room, err := dailytest.NewRoom(dailytest.Options{Voice: func(packet *rtp.Packet) {
		if len(packet.Payload) > 10 {
			voiced.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	participant := room.Enter("Ann", "tavus-replica-1")
	library, err := filepath.Abs(dailyJS)
	if err != nil {
		t.Fatal(err)
	}
	s := enter(t, &replica.Options{}, room, participant,
		"--to", "daily+"+room.URL(), "--daily-js", library, "--daily-call-machine", room.CallMachine(), "--as", "microphone")
	o := send(testwait.Context(t), t, s, nil, speech)
	if o.code != 0 || len(o.receipts) != 1 {
		t.Fatal(o)
	}
	receipt := o.receipts[0]
	if receipt.Outcome != echo.Sent || receipt.SpokenBy != echo.ByClock ||
		math.Abs(receipt.SpokenSeconds-receipt.SentSeconds) > 0.001 {
		t.Errorf("%+v", receipt)
	}
	if voiced.Load() == 0 { // how many is a matter of speed: a browser that comes too late skips them
		t.Error("no voice was heard")
	}
	if report := s.end(); report.Messages != 0 {
		t.Errorf("%d messages were sent", report.Messages)
	}
}

// If the replica leaves in mid-utterance, a microphone says the rest to the people in the
// room.
func TestFallbackToTheMicrophone(t *testing.T) {
	t.Parallel()
	needBrowser(t)
	awaitBrowser(t)
	var voiced atomic.Int64 // packets of Opus, 20 ms each, that are not silent
	room, err := dailytest.NewRoom(dailytest.Options{Quiet: 1, Voice: func(packet *rtp.Packet) {
		if len(packet.Payload) > 10 {
			voiced.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	participant := room.Enter("Ann", "tavus-replica-1")
	library, err := filepath.Abs(dailyJS)
	if err != nil {
		t.Fatal(err)
	}
	var leave sync.Once
	options := &replica.Options{OnEvent: func(e replica.Event) {
		if e.Kind == replica.EventStarted {
			leave.Do(func() { time.AfterFunc(time.Second, participant.Leave) })
		}
	}}
	s := enter(t, options, room, participant, "--to", "daily+"+room.URL(), "--daily-js", library,
		"--daily-call-machine", room.CallMachine(), "--fallback", "microphone")
	o := send(testwait.Context(t), t, s, nil, speech)
	if o.code != 0 || len(o.receipts) != 2 {
		t.Fatal(o)
	}
	first, second := o.receipts[0], o.receipts[1]
	if first.Outcome != echo.Failed || second.Outcome != echo.Sent ||
		first.HeardSamples+second.Samples < int64(len(encoded(t, speech))/2) {
		t.Errorf("%+v\n%+v", first, second)
	}
	if voiced.Load() == 0 { // as above
		t.Error("no voice was heard by the microphone")
	}
	s.end()
}
