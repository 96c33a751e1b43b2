package serve

import (
	"math"
	"testing"
	"time"

	"echocast/hear"
)

// carried is a second of a tone, sent in mu-law and heard at 16 kHz.
func carried(t *testing.T, rate int, hertz float64) []int16 {
	t.Helper()
	encoder, err := newMuLaw(rate)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(0, 0)
	mixer, err := hear.NewMixer(16000, start)
	if err != nil {
		t.Fatal(err)
	}
	track := mixer.Track(start)
	frame := make([]int16, rate/50)
	for n := range 50 {
		for i := range frame {
			frame[i] = int16(9000 * math.Sin(2*math.Pi*hertz*float64(n*len(frame)+i)/float64(rate)))
		}
		payload, err := encoder.Encode(frame)
		if err != nil || len(payload) != 160 {
			t.Fatalf("%d bytes, %v", len(payload), err)
		}
		now := start.Add(time.Duration(n) * frameTime)
		track.Push(hear.Packet{SSRC: 1, Sequence: uint16(n), Timestamp: uint32(960 * n), Payload: payload,
			Coding: hear.MuLaw}, now)
	}
	return mixer.Drain()
}

// amplitude is how much of a tone there is, after its beginning.
func amplitude(pcm []int16, hertz float64) float64 {
	var re, im float64
	pcm = pcm[1600:]
	for i, sample := range pcm {
		sin, cos := math.Sincos(2 * math.Pi * hertz * float64(i) / 16000)
		re, im = re+float64(sample)*cos, im+float64(sample)*sin
	}
	return 2 * math.Hypot(re, im) / float64(len(pcm))
}

// Without libopus a tone is unchanged, and what 8 kHz cannot carry does not become another
// tone.
func TestMuLaw(t *testing.T) {
	for _, rate := range []int{8000, 12000, 16000, 22050, 24000, 48000} {
		pcm := carried(t, rate, 440)
		if len(pcm) != 16000 {
			t.Errorf("%d Hz: a second is %d samples", rate, len(pcm))
		}
		if got := amplitude(pcm, 440); math.Abs(got-9000) > 200 {
			t.Errorf("%d Hz: a tone of 9000 is heard as %.0f", rate, got)
		}
		if got := amplitude(pcm, 450); got > 20 {
			t.Errorf("%d Hz: another tone of %.0f", rate, got)
		}
	}
	if got := amplitude(carried(t, 24000, 6000), 2000); got > 90 {
		t.Errorf("a tone of 6 kHz is heard at 2 kHz, %.0f of 9000", got)
	}
	if _, err := newMuLaw(7999); err == nil {
		t.Error("a rate below 8 kHz")
	}
}
