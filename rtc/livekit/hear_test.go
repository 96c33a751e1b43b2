//go:build cgo

package livekit

import (
	"context"
	"errors"
	"math"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"echocast/hear"
	"echocast/internal/testwait"
	"echocast/internal/tonetest"
	"echocast/rtc/livekit/livekittest"
)

// hums joins a participant. Its microphone hears a tone until the test ends, and nothing, for
// which nothing is sent, in the frames of pause.
func hums(t *testing.T, room, identity string, hertz float64, pause func(frame int) bool) {
	t.Helper()
	leave, err := livekittest.Hum(testwait.Context(t), serverURL(t), room, identity, hertz, pause)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leave)
}

func never(int) bool { return false }

// heardFrom returns the samples of a number of packets, at 48 kHz.
func heardFrom(t *testing.T, name, from string, packets int) ([]int16, hear.Stats) {
	t.Helper()
	room, err := Join(testwait.Context(t), Address{URL: serverURL(t), Room: name},
		Credentials{Key: testKey, Secret: testSecret},
		&Options{Identity: DefaultListenerIdentity, ConnectTimeout: testwait.Limit})
	if err != nil {
		t.Fatal(err)
	}
	mixer, err := hear.NewMixer(48000, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	var track *hear.Track
	came := 0
	err = room.Hear(ctx, from, func(_ string, p *rtp.Packet) {
		now := time.Now()
		if track == nil {
			track = mixer.Track(now)
		}
		track.Push(hear.Packet{SSRC: p.SSRC, Sequence: p.SequenceNumber, Timestamp: p.Timestamp, Payload: p.Payload}, now)
		if came++; came == packets {
			cancel(enough)
		}
	}, func(string) {})
	if !errors.Is(err, enough) {
		t.Fatalf("hear: %v", err)
	}
	_ = room.Close()
	return mixer.Drain(), mixer.Stats()
}

// heardWhole returns what heardFrom does, of a time in which nothing was lost and no packet was
// so late that its time was changed. On a busy machine the system drops and delays packets.
func heardWhole(t *testing.T, name, from string, packets int) ([]int16, hear.Stats) {
	t.Helper()
	for try := 0; ; try++ {
		pcm, stats := heardFrom(t, name, from, packets)
		if try == 4 || stats.Lost == 0 && stats.Shifted == 0 && stats.Packets >= packets {
			return pcm, stats
		}
		t.Logf("once more after %+v", stats)
	}
}

// heardFor returns how many packets to hear: ECHOCAST_HEAR_LONG makes it 30 s.
func heardFor() int {
	if os.Getenv("ECHOCAST_HEAR_LONG") != "" {
		return 1500
	}
	return 200
}

// The avatar and the other participants are heard through the server.
func TestHear(t *testing.T) {
	t.Parallel()
	hums(t, "hear", DefaultAvatar, 440, never)
	hums(t, "hear", "ann", 1000, never)
	for from, hertz := range map[string]float64{"replica": 440, "user": 1000} {
		pcm, stats := heardWhole(t, "hear", from, heardFor())
		if got := tonetest.Hertz(pcm[len(pcm)-960*(heardFor()-100):], 48000); math.Abs(got-hertz) > hertz/1000 {
			t.Errorf("the %s hums %v Hz, want %v (%+v)", from, got, hertz, stats)
		}
		if stats.Lost != 0 || stats.Packets < heardFor() {
			t.Errorf("%+v", stats)
		}
		t.Logf("%s: %.3f Hz, %+v", from, tonetest.Hertz(pcm[len(pcm)-960*(heardFor()-100):], 48000), stats)
	}
}

// A pause of 3 s, in which no packets are sent, becomes 3 s of silence.
func TestHearPause(t *testing.T) {
	t.Parallel()
	const second = 50 // frames
	hums(t, t.Name(), "ann", 440, func(n int) bool { return n%(6*second) >= 3*second })
	pcm, stats := heardWhole(t, t.Name(), "user", 4*second) // of two stretches of 3 s, or three
	var pauses []int
	quiet := 0
	for _, v := range pcm {
		if v > -300 && v < 300 {
			quiet++
			continue
		}
		if quiet > 24000 {
			pauses = append(pauses, quiet)
		}
		quiet = 0
	}
	for _, length := range pauses {
		if math.Abs(float64(length)/48000-3) > 0.03 {
			t.Errorf("a pause of 3 s is heard as %v s", float64(length)/48000)
		}
	}
	if len(pauses) == 0 || stats.Lost != 0 || stats.Shifted != 0 {
		t.Errorf("%d pauses, %+v", len(pauses), stats)
	}
}

// A listener to all is told which tracks are the avatar's.
func TestHearAllTellsTheAvatar(t *testing.T) {
	t.Parallel()
	hums(t, t.Name(), DefaultAvatar, 440, never)
	hums(t, t.Name(), "ann", 1000, never)
	room, err := Join(testwait.Context(t), Address{URL: serverURL(t), Room: t.Name()},
		Credentials{Key: testKey, Secret: testSecret},
		&Options{Identity: DefaultListenerIdentity, ConnectTimeout: testwait.Limit})
	if err != nil {
		t.Fatal(err)
	}
	defer room.Close()
	mixers, tracks := map[bool]*hear.Mixer{}, map[bool]*hear.Track{}
	for _, side := range []bool{true, false} {
		if mixers[side], err = hear.NewMixer(48000, time.Now()); err != nil {
			t.Fatal(err)
		}
		tracks[side] = mixers[side].Track(time.Now())
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	var mu sync.Mutex
	came := map[bool]int{}
	err = room.Hear(ctx, "all", func(track string, p *rtp.Packet) {
		mu.Lock()
		defer mu.Unlock()
		side := room.IsReplica(track)
		tracks[side].Push(hear.Packet{SSRC: p.SSRC, Sequence: p.SequenceNumber, Timestamp: p.Timestamp, Payload: p.Payload},
			time.Now())
		if came[side]++; came[true] >= 100 && came[false] >= 100 {
			cancel(enough)
		}
	}, func(string) {})
	if !errors.Is(err, enough) {
		t.Fatalf("hear: %v", err)
	}
	for side, hertz := range map[bool]float64{true: 440, false: 1000} {
		pcm := mixers[side].Drain()
		if got := tonetest.Hertz(pcm[len(pcm)-960*50:], 48000); math.Abs(got-hertz) > hertz/100 {
			t.Errorf("avatar %v hums %v Hz, want %v", side, got, hertz)
		}
	}
}
