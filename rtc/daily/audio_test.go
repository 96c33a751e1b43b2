package daily

import (
	"context"
	"errors"
	"math"
	"net"
	"strings"
	"testing"

	"github.com/pion/opus"
	"github.com/pion/rtp"

	"echocast/internal/testwait"
	"echocast/internal/tonetest"
	"echocast/rtc/daily/dailytest"
)

// hertz decodes packets and returns the frequency of the tone in a second of them, once there is
// a tone.
func hertz(t *testing.T, a *Audio) float64 {
	t.Helper()
	ctx := testwait.Context(t)
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
		if len(pcm) == 0 && loudness(buffer[:n]) < 0.01 {
			continue
		}
		pcm = append(pcm, buffer[:n]...)
	}
	return tonetest.Hertz(pcm[24000:], 48000)
}

// checkHum checks the frequency of a hum. On a busy machine a browser makes a
// tone that clicks, so the best of three tries counts.
func checkHum(t *testing.T, sound *Audio, want float64) {
	t.Helper()
	var got [3]float64
	for i := range got {
		got[i] = hertz(t, sound)
		if math.Abs(got[i]-want) <= want/200 {
			return
		}
	}
	t.Errorf("a hum of %v Hz has %v Hz", want, got)
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

// An Audio that has ended returns no packet, however many still wait.
func TestAudioEndsBeforeWaitingPackets(t *testing.T) {
	gone := errors.New("gone")
	for name, c := range map[string]struct {
		end  func(a *Audio, broken chan struct{}, cancel context.CancelCauseFunc)
		want error
	}{
		"closed":    {func(a *Audio, _ chan struct{}, _ context.CancelCauseFunc) { _ = a.Close() }, net.ErrClosed},
		"broken":    {func(_ *Audio, broken chan struct{}, _ context.CancelCauseFunc) { close(broken) }, ErrLost},
		"cancelled": {func(_ *Audio, _ chan struct{}, cancel context.CancelCauseFunc) { cancel(gone) }, gone},
	} {
		t.Run(name, func(t *testing.T) {
			broken := make(chan struct{})
			a := newAudio(broken)
			ctx, cancel := context.WithCancelCause(testwait.Context(t))
			defer cancel(nil)
			for range audioBacklog + 1 { // one more than fits
				a.put(&rtp.Packet{})
			}
			if _, err := a.ReadRTP(ctx); err != nil {
				t.Fatalf("before the end: %v", err)
			}
			c.end(a, broken, cancel)
			for range audioBacklog {
				if _, err := a.ReadRTP(ctx); !errors.Is(err, c.want) {
					t.Fatalf("after the end: %v, want %v", err, c.want)
				}
			}
		})
	}
}
