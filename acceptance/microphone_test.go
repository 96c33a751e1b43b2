package acceptance

import (
	"math"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/pion/rtp"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc/daily/dailytest"
)

// Audio as a track: the room hears it, and no message is sent.
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
	if heard := float64(voiced.Load()) * 0.020; heard < receipt.SentSeconds/2 {
		t.Errorf("%.2f s of voice were heard, of %.2f", heard, receipt.SentSeconds)
	}
	if report := s.end(); report.Messages != 0 {
		t.Errorf("%d messages were sent", report.Messages)
	}
}
