package hear

import (
	"encoding/binary"
	"testing"
	"time"
)

// Any packets of a room's participants are accepted. The length of the stream follows the
// clock only.
func FuzzPackets(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 20, 3, 0xff, 0xff, 0xff})
	f.Add([]byte{1, 0, 0xff, 0xff, 0xff, 0xff, 200, 2, 1, 2, 0, 0, 1, 0x7f, 0, 0, 0, 250, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		m, err := NewMixer(24000, began)
		if err != nil {
			t.Fatal(err)
		}
		track := m.Track(began)
		now, samples := began, 0
		for len(data) >= 8 {
			p := Packet{SSRC: uint32(data[0] & 1), Coding: Coding(data[0] >> 1 % 3), Sequence: uint16(data[1]),
				Timestamp: binary.BigEndian.Uint32(data[2:])}
			now = now.Add(time.Duration(data[6]) * time.Millisecond)
			n := min(int(data[7]), len(data)-8)
			p.Payload, data = data[8:8+n], data[8+n:]
			track.Push(p, now)
			samples += len(m.Take(now))
		}
		track.Close()
		samples += len(m.Drain())
		if most := m.samples(now.Sub(began) + maxAhead + maxClockSkew + time.Second); int64(samples) > most {
			t.Errorf("%d samples in %v", samples, now.Sub(began))
		}
	})
}
