//go:build !cgo

package audio

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Values of the channel mode and of its extension.
const (
	jointStereo = 1

	intensityStereo  = 1
	middleSideStereo = 2
)

// isMiddleSide reports whether the channels are half the sum and half the
// difference of left and right, times √2.
func (f layer3Frame) isMiddleSide() bool {
	return f.mode == jointStereo && f.extension&middleSideStereo != 0
}

// framePacker rewrites layer III frames for go-mp3, which loses bytes in three ways. It
// computes the length of MPEG-2 frames without the padding byte if 144·bitrate/rate is even.
// It decodes from the wrong place if a frame refers to missing data. After a failed frame it
// has lost the data of all earlier frames.
//
// The main data of a frame may begin up to 511 bytes before the frame itself, in space that
// earlier frames left over (ISO/IEC 11172-3, 2.4.2.7). So every frame is packed into the
// longest possible one at its rate, of 320 or 160 kbit/s. It has the header, the side
// information, the main data of the frame, zeros, and at the end the latest bytes of main data,
// where the next frame looks for them. A decoder skips the zeros as it skips ancillary data.
type framePacker struct {
	latest []byte // end of the main data so far
	packed []byte
}

// packedFrame is a rewritten frame, valid until the next one.
type packedFrame struct {
	header  mpegHeader
	bytes   []byte
	held    int // how many bytes of main data end it
	samples int // for each channel
}

// lowered returns a copy of a frame with lower levels.
func (f packedFrame) lowered(steps int) packedFrame {
	f.bytes = slices.Clone(f.bytes)
	lowerGains(f.header, f.side(), steps)
	return f
}

// silenced returns a copy of a frame without its sound.
func (f packedFrame) silenced() packedFrame {
	f.bytes = slices.Clone(f.bytes)
	clear(f.side())
	return f
}

func (f packedFrame) side() []byte { return f.bytes[mpegHeaderLength:xingOffset(f.header)] }

// remember appends to the main data and drops the bytes that no frame can refer to any more.
func (p *framePacker) remember(own []byte) {
	kept := p.latest[max(0, len(p.latest)-maxMainDataBegin):]
	p.latest = append(append(p.latest[:0], kept...), own...)
}

// pack rewrites a frame, whose main data was remembered, for a decoder that holds held bytes of
// main data. A frame that refers to more, such as the first of a cut stream, becomes silent.
// The error is errDamaged.
func (p *framePacker) pack(f layer3Frame, held int) (packedFrame, error) {
	begin, used := mainDataBegin(f.header, f.side), mainDataLength(f.header, f.side)
	switch {
	case begin > held:
		return p.silent(f), nil
	case used > begin+len(f.own):
		return packedFrame{}, fmt.Errorf("%w: it claims %d bytes of %d", errDamaged, used, begin+len(f.own))
	}
	if f.isMiddleSide() {
		f.side = slices.Clone(f.side)
		lowerGains(f.header, f.side, middleSideSteps)
	}
	return p.fill(f, f.own[:max(0, used-begin)]), nil
}

// silent returns a frame without sound in place of f. It keeps the data that later frames may
// refer to.
func (p *framePacker) silent(f layer3Frame) packedFrame {
	f.side = make([]byte, len(f.side))
	return p.fill(f, nil)
}

// fill lays out a packed frame. The frame has no checksum, which go-mp3 would ignore, and its
// header does not declare joint stereo.
func (p *framePacker) fill(f layer3Frame, own []byte) packedFrame {
	const unchecked, rateAndPrivate, longestPadded, modeExtension = 0x01, 0x0D, 0xE2, 0x30
	p.packed = append(p.packed[:0], f.head[0], f.head[1]|unchecked,
		f.head[2]&rateAndPrivate|longestPadded, f.head[3]&^modeExtension)
	p.packed = append(append(p.packed, f.side...), own...)
	room := packedRoom(f.header) - len(own)
	held := min(room, len(p.latest))
	p.packed = append(p.packed, make([]byte, room-held)...)
	p.packed = append(p.packed, p.latest[len(p.latest)-held:]...)
	return packedFrame{f.header, p.packed, held, f.header.samples()}
}

// packedRoom returns how many bytes of main data fit a packed frame, as go-mp3 calculates it:
// for MPEG-2 it adds the padding before it halves.
func packedRoom(h mpegHeader) int {
	length := 144*320_000/h.Rate + 1
	if h.Version != mpeg1 {
		length = (144*160_000/h.Rate + 1) / 2
	}
	return length - xingOffset(h)
}

// sideBlocks returns where in the side information the blocks of each granule and channel
// begin, in bits, their size in bits, and their number (ISO/IEC 11172-3, 2.4.1.7, and 13818-3,
// 2.4.1.7).
func sideBlocks(h mpegHeader) (start, size, count int) {
	switch {
	case h.Version != mpeg1:
		return 8 + h.Channels, 63, h.Channels
	case h.Channels == 1:
		return 18, 59, 2
	}
	return 20, 59, 4
}

// mainDataLength returns the length of a frame's main data in bytes: the sum of the fields
// part2_3_length, which begin the blocks.
func mainDataLength(h mpegHeader, side []byte) int {
	at, size, count := sideBlocks(h)
	bits := 0
	for range count {
		bits += sideBits(side, at, 12)
		at += size
	}
	return (bits + 7) / 8
}

// Steps of level, each a factor of the fourth root of 2. Middle and side are the sum and the
// difference, divided by √2. Lowered by another √2, they are half the sum and half the
// difference, which do not clip if left and right do not.
const (
	middleSideSteps = 2
	quietSteps      = 8
	quietScale      = 1 << (quietSteps / 4)
)

// lowerGains lowers the level of a frame by a number of steps of each field
// global_gain, which follows part2_3_length and the 9 bits of big_values.
func lowerGains(h mpegHeader, side []byte, steps int) {
	const bits = 8
	at, size, count := sideBlocks(h)
	at += 12 + 9
	for range count {
		window := side[at/8:]
		lowered := binary.BigEndian.Uint32(window) - uint32(min(steps, sideBits(side, at, bits)))<<(32-bits-at%8)
		binary.BigEndian.PutUint32(window, lowered)
		at += size
	}
}
