package audio

import (
	"encoding/binary"
)

// layer3Frame is a frame cut into its parts.
type layer3Frame struct {
	header    mpegHeader
	head      [mpegHeaderLength]byte
	mode      byte   // channel mode
	extension byte   // how joint stereo is coded
	side      []byte // side information
	own       []byte // main data in this frame, for this frame or later ones
}

// cutFrame cuts a frame into its parts.
func cutFrame(h mpegHeader, frame []byte) layer3Frame {
	const checksumLength = 2
	rest := frame[mpegHeaderLength:]
	if h.Checked {
		rest = rest[min(checksumLength, len(rest)):]
	}
	side := min(xingOffset(h)-mpegHeaderLength, len(rest))
	return layer3Frame{
		header:    h,
		head:      [mpegHeaderLength]byte(frame),
		mode:      frame[3] >> 6,
		extension: frame[3] >> 4 & 3,
		side:      rest[:side],
		own:       rest[side:],
	}
}

// mainDataBegin returns how many bytes before the frame its main data begins.
func mainDataBegin(h mpegHeader, side []byte) int {
	if h.Version == mpeg1 {
		return sideBits(side, 0, 9)
	}
	return sideBits(side, 0, 8)
}

// sideBits reads n bits, at most 12, that start at bit at.
func sideBits(side []byte, at, n int) int {
	window := binary.BigEndian.Uint32(side[at/8:])
	return int(window << (at % 8) >> (32 - n))
}

// reservoir counts the main data that a layer III frame may refer to: what earlier frames left
// over, at most 511 bytes.
type reservoir struct {
	held int
	copy []byte // of a frame that was silenced
}

// complete takes the next frame, and returns it if the data that it refers to are there. The
// first frames of a cut stream may refer to missing data. Then complete returns a frame without
// sound instead, with the main data for later frames. Without this, the result would depend on
// the decoder, because decoders treat missing data differently, and on where it began.
func (r *reservoir) complete(h mpegHeader, frame []byte) []byte {
	if h.Layer != 3 {
		return frame
	}
	cut, held := cutFrame(h, frame), r.held
	r.held = min(maxMainDataBegin, held+len(cut.own))
	if len(cut.own) == 0 || mainDataBegin(h, cut.side) <= held {
		return frame
	}
	r.copy = append(r.copy[:0], frame...)
	silenceFrame(h, r.copy, held)
	return r.copy
}

// silenceFrame removes the sound from a layer III frame: its side information then declares no
// main data. Its main_data_begin still goes as far back as the held bytes allow, because
// libmpg123 keeps for the next frame only the bytes that this frame reaches.
func silenceFrame(h mpegHeader, frame []byte, held int) {
	side := cutFrame(h, frame).side
	clear(side)
	switch {
	case len(side) < 2:
	case h.Version == mpeg1:
		side[0], side[1] = byte(held>>1), byte(held<<7)
	default:
		side[0] = byte(min(held, 255))
	}
}
