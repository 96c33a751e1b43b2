package serve

import (
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/opus"
	"github.com/pion/rtp"

	"echocast/internal/opusencoder"
)

// packetRecorder stores the packets that it gets.
type packetRecorder struct{ packets []*rtp.Packet }

func (e *packetRecorder) Play(_ string, packet *rtp.Packet) error {
	e.packets = append(e.packets, packet)
	return nil
}

// loudest is how loud each packet becomes.
func (e *packetRecorder) loudest(t *testing.T) (all []int) {
	decoder, err := opus.NewDecoderWithOutput(24000, 1)
	if err != nil {
		t.Fatal(err)
	}
	samples := make([]int16, 24000/50)
	for _, packet := range e.packets {
		if _, err := decoder.DecodeToInt16(packet.Payload, samples); err != nil {
			t.Fatal(err)
		}
		all = append(all, int(max(slices.Max(samples), -slices.Min(samples))))
	}
	return all
}

// say plays half a second of a tone, or of silence, when it is due.
func say(sound *soundOut, size float64) {
	piece := make([]int16, 240)
	for n := range 50 {
		for i := range piece {
			piece[i] = int16(size * math.Sin(2*math.Pi*500*float64(240*n+i)/24000))
		}
		sound.play(time.Now(), 24000, piece)
		time.Sleep(10 * time.Millisecond)
	}
	sound.pause()
}

// silentEncoder encodes everything as nothing.
type silentEncoder struct{}

func (silentEncoder) Encode([]int16) ([]byte, error) { return nil, nil }

func (silentEncoder) Close() error { return nil }

// A rate that cannot be encoded does not change the time of what follows at another rate.
func TestTimeAfterAnUnknownRate(t *testing.T) {
	unknown := errors.New("unknown rate")
	v := voice{open: func(rate int) (encoder, error) {
		if rate == 11025 {
			return nil, unknown
		}
		return silentEncoder{}, nil
	}}
	var last uint32
	send := func(p *rtp.Packet) { last = p.Timestamp }
	start := time.Now()
	for n, rate := range []int{24000, 11025, 8000, 11025, 24000} {
		p := piece{at: start.Add(time.Duration(n) * time.Second), rate: rate, samples: make([]int16, rate)}
		if err := v.add(p, start, send); (rate == 11025) != errors.Is(err, unknown) {
			t.Fatalf("at %d Hz: %v", rate, err)
		}
		if want := uint32((n+1)*opusClock - opusClock/50); rate != 11025 && last != want {
			t.Errorf("the last packet of second %d has the timestamp %d, want %d", n+1, last, want)
		}
	}
}

// The end of an utterance is played with it, not with the next one. Utterances without a pause
// between them play without one.
func TestEndIsHeardAtOnce(t *testing.T) {
	if !opusencoder.Available {
		t.Skip("mu-law holds nothing back")
	}
	synctest.Test(t, func(t *testing.T) {
		sound, heard := newSoundOut(), &packetRecorder{}
		defer sound.close()
		sound.add(heard)
		say(sound, 9000)
		say(sound, 9000)
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(heard.packets); n != 51 {
			t.Fatalf("%d packets, want those of a second and one more", n)
		}
		say(sound, 0)
		time.Sleep(time.Second)
		synctest.Wait()
		loud := heard.loudest(t)
		if loud[50] < 5000 {
			t.Errorf("the last packet of the utterance has %d", loud[50])
		}
		if next := heard.packets[51]; loud[51] > 1000 || !next.Marker || next.Timestamp != 2*opusClock {
			t.Errorf("the next utterance begins with %d, at %d, marked: %v", loud[51], next.Timestamp, next.Marker)
		}
		if n := len(heard.packets); n != 51+26 {
			t.Errorf("%d packets in all", n)
		}
	})
}
