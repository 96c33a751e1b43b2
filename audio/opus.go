package audio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/pion/opus"
)

// The first packet of Opus in Ogg, little-endian (RFC 7845, section 5.1):
//
//	 0  "OpusHead", a version byte: below 16 means as described here
//	 9  channels
//	10  2 bytes: pre-skip, how much of the beginning is not sound, at 48 kHz
//	12  4 bytes: rate before encoding, which decoding does not depend on
//	16  2 bytes: gain to apply, in 1/256 dB
//	18  channel mapping family: 0 is mono or stereo in one Opus stream
//
// The second packet, "OpusTags", holds comments.
const (
	opusMagic      = "OpusHead"
	opusTags       = "OpusTags"
	opusHeadLength = 19

	opusClock = 48000 // Hz of positions, whatever rate is decoded
	// opusRate is the rate in Hz of the decoded samples. An Opus decoder supports five rates;
	// this one can be spoken without resampling.
	opusRate      = 24000
	opusTick      = opusClock / opusRate
	opusMaxPacket = opusClock * 120 / 1000 // longest packet, on the clock
)

// opusCodec decodes Opus packets to 24 kHz.
type opusCodec struct {
	decoder  opus.Decoder
	channels int
	gain     float32
	out      []float32
}

func newOpus(pages *oggPages, head []byte) (oggSound, error) {
	if len(head) < opusHeadLength {
		return oggSound{}, fmt.Errorf("%w: the Opus header has %d bytes instead of %d", ErrFormat, len(head), opusHeadLength)
	}
	version, channels, family := head[8], int(head[9]), head[18]
	if version >= 16 {
		return oggSound{}, fmt.Errorf("%w: Opus of version %d is unknown", ErrFormat, version)
	}
	if family != 0 || channels < 1 || channels > 2 {
		return oggSound{}, fmt.Errorf("%w: Opus with %d channels in mapping family %d; 1 and 2 in family 0 are read",
			ErrFormat, channels, family)
	}
	sound := oggSound{
		name:   "Opus",
		format: Format{Rate: opusRate, Channels: channels},
		tick:   opusTick,
		skip:   int64(binary.LittleEndian.Uint16(head[10:])),
	}
	codec := &opusCodec{channels: channels, out: make([]float32, opusMaxPacket/opusTick*channels)}
	codec.gain = float32(math.Pow(10, float64(int16(binary.LittleEndian.Uint16(head[16:])))/(20*256)))
	var err error
	if codec.decoder, err = opus.NewDecoderWithOutput(opusRate, channels); err != nil {
		return oggSound{}, fmt.Errorf("opus: %w", err)
	}
	sound.codec = codec
	tags, err := pages.header()
	if err == nil && (len(tags.data) < len(opusTags) || string(tags.data[:len(opusTags)]) != opusTags) {
		err = fmt.Errorf("%w: the Opus stream lacks its comments packet", ErrFormat)
	}
	return sound, err
}

func (c *opusCodec) duration(packets []oggPacket) int64 {
	var sum int64
	for _, p := range packets {
		n, _ := opusDuration(p.data) // decoding the packet later reports an error
		sum += n
	}
	return sum
}

var errOpusPacket = errors.New("a packet has an invalid length")

// opusDuration returns how long a packet plays, on the clock. Its first byte has 5 bits of mode,
// bandwidth and frame size, a stereo bit, and 2 bits for the number of frames: one, two, two, or
// the number in the next byte (RFC 6716, section 3.1).
func opusDuration(packet []byte) (int64, error) {
	if len(packet) == 0 {
		return 0, errOpusPacket
	}
	frames := int64(1)
	switch packet[0] & 3 {
	case 1, 2:
		frames = 2
	case 3:
		if len(packet) < 2 {
			return 0, errOpusPacket
		}
		frames = int64(packet[1] & 0x3F)
	}
	total := frames * opusFrame(packet[0]>>3)
	if total == 0 || total > opusMaxPacket {
		return 0, errOpusPacket
	}
	return total, nil
}

// opusFrame returns how long a frame plays, on the clock: 10 to 60 ms in SILK, 10 or 20 ms in
// hybrid and 2.5 to 20 ms in CELT mode.
func opusFrame(config byte) int64 {
	const ms = opusClock / 1000
	switch {
	case config < 12:
		return [...]int64{10 * ms, 20 * ms, 40 * ms, 60 * ms}[config&3]
	case config < 16:
		return 10 * ms << (config & 1)
	}
	return 5 * ms / 2 << (config & 3)
}

func (c *opusCodec) decode(packet []byte) ([]float32, error) {
	want, err := opusDuration(packet)
	if err != nil {
		return nil, err
	}
	frames, err := c.decoder.DecodeToFloat32(packet, c.out)
	if err != nil {
		return nil, err
	}
	if int64(frames) != want/opusTick {
		return nil, fmt.Errorf("a packet gave %d frames instead of %d", frames, want/opusTick)
	}
	out := c.out[:frames*c.channels]
	for i, v := range out {
		out[i] = finite(v * c.gain)
	}
	return out, nil
}
