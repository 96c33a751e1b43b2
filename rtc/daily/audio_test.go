package daily

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/opus"

	"echocast/internal/testwait"
	"echocast/rtc/daily/dailytest"
)

// hertz decodes packets and counts the waves of the tone in a second of them.
func hertz(t *testing.T, a *Audio) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(testwait.Context(t), time.Minute)
	defer cancel()
	decoder, err := opus.NewDecoderWithOutput(48000, 1)
	if err != nil {
		t.Fatal(err)
	}
	var pcm []float32
	buffer := make([]float32, 5760)
	for len(pcm) < 72000 { // the first half second is not counted: the codec settles
		packet, err := a.ReadRTP(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(packet.Payload) == 0 {
			continue
		}
		n, err := decoder.DecodeToFloat32(packet.Payload, buffer)
		if err != nil {
			t.Fatal(err)
		}
		pcm = append(pcm, buffer[:n]...)
	}
	waves := 0
	for i := 24000; i < 72000; i++ {
		if pcm[i-1] < 0 && pcm[i] >= 0 {
			waves++
		}
	}
	return waves
}

// checkHum checks the frequency of a hum. On a busy machine a browser makes a
// tone that clicks, so the best of three tries counts.
func checkHum(t *testing.T, sound *Audio, want int) {
	t.Helper()
	var got [3]int
	for i := range got {
		got[i] = hertz(t, sound)
		if off := got[i] - want; -want/200 <= off && off <= want/200 {
			return
		}
	}
	t.Errorf("a hum of %d Hz has %v Hz", want, got)
}

func TestAudioOfTheReplica(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	conn := mustJoin(t, room, Options{})
	if _, err := conn.Audio(testwait.Context(t), ""); err == nil ||
		!strings.Contains(err.Error(), "the replica is not in the room") {
		t.Errorf("without a replica: %v", err)
	}
	if _, err := conn.Audio(testwait.Context(t), "nobody"); err == nil ||
		!strings.Contains(err.Error(), "no participant nobody") {
		t.Errorf("nobody: %v", err)
	}
	ann, bob := room.Enter("Ann", "tavus-replica"), room.Enter("Bob", "")
	expect(t, conn, about(joinedEvent, ann.Person, roleReplica), about(joinedEvent, bob.Person, rolePerson))
	ann.Hum(440)
	first, err := conn.Audio(testwait.Context(t), "")
	if err != nil {
		t.Fatal(err)
	}
	checkHum(t, first, 440)
	second, err := conn.Audio(testwait.Context(t), bob.SessionID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.ReadRTP(testwait.Context(t)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the first ends with %v, want %v", err, net.ErrClosed)
	}
	bob.Hum(1000) // only now: the microphone comes on later
	checkHum(t, second, 1000)
	crash(t, conn.now(t))
	for err = nil; err == nil; _, err = second.ReadRTP(testwait.Context(t)) {
	}
	if !errors.Is(err, ErrLost) && !errors.Is(err, net.ErrClosed) {
		t.Errorf("after a crash: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}
