package hear

import (
	"slices"
	"testing"
	"time"
)

// Mu-law is heard at every rate, interpolated across packets. An oversized packet becomes
// silence.
func TestMuLaw(t *testing.T) {
	now := time.Unix(0, 0)
	codes := []byte{0xff, 0x80, 0x00, 0xef, 0x6f} // 0, 32124, -32124, 132, -132
	for rate, want := range map[int][]int16{
		8000:  {0, 0, 32124, -32124, 132, -132, 0, 32124, -32124, 132},
		16000: {0, 0, 0, 16062, 32124, 0, -32124, -15996, 132, 0, -132, -66, 0, 16062, 32124, 0, -32124, -15996, 132, 0},
	} {
		m, err := NewMixer(rate, now)
		if err != nil {
			t.Fatal(err)
		}
		track := m.Track(now)
		for n := range 2 {
			track.Push(Packet{SSRC: 1, Sequence: uint16(n), Timestamp: uint32(n * 30), Payload: codes, Coding: MuLaw}, now)
		}
		track.Push(Packet{SSRC: 1, Sequence: 2, Timestamp: 60, Payload: make([]byte, 8*maxFrame+1), Coding: MuLaw}, now)
		if got := m.Drain(); !slices.Equal(got, want) {
			t.Errorf("at %d Hz: %v, want %v", rate, got, want)
		}
		if broken := m.Stats().Broken; broken != 1 {
			t.Errorf("at %d Hz %d packets are broken, want 1", rate, broken)
		}
	}
}
