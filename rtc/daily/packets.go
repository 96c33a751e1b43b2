package daily

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtp"
)

// soundGap is the lag behind the clock that counts as a pause: 100 ms, in ticks of
// opusRate.
const soundGap = opusRate / 10

// packets converts the library's sound to RTP packets.
type packets struct {
	source   uint32
	start    time.Time
	sequence uint16
	position int64 // so far, pauses included, at opusRate
}

// next returns the packet with s, mixed to mono. The library's sound has no timestamps, so
// next detects pauses by the clock.
func (p *packets) next(s Sound, now time.Time) *rtp.Packet {
	frames := len(s.PCM) / (2 * s.Channels)
	ticks := int64(frames) * opusRate / int64(s.Rate)
	if begins := int64(now.Sub(p.start).Seconds()*opusRate) - ticks; begins > p.position+soundGap {
		p.position = begins
	}
	packet := &rtp.Packet{
		Header: rtp.Header{Version: 2, PayloadType: PayloadL16, SequenceNumber: p.sequence, Timestamp: uint32(p.position),
			SSRC: p.source},
		Payload: make([]byte, 0, 2*frames),
	}
	for i := range frames {
		packet.Payload = binary.BigEndian.AppendUint16(packet.Payload, uint16(average(s.PCM[2*i*s.Channels:], s.Channels)))
	}
	p.sequence++
	p.position += ticks
	return packet
}

// average returns the average of the samples of one frame.
func average(frame []byte, channels int) int16 {
	sum := 0
	for c := range channels {
		sum += int(int16(binary.NativeEndian.Uint16(frame[2*c:])))
	}
	return int16(sum / channels)
}
