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
	own       []byte // main data, of this frame or of later ones
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

// mainDataBegin is how far before the frame its main data begins, in bytes.
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

// reservoir counts the main data that a layer III frame may refer to: what the
// frames before left over, 511 bytes at most.
type reservoir struct {
	held int
	copy []byte // of a frame that was silenced
}

// complete takes the next frame and returns it, or, where it refers to data that
// are not there as the first frames of a cut stream do, one without sound that
// keeps the main data for later frames. Decoders differ in what they do
// about missing data, and the result would depend on where they began.
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

// silenceFrame takes the sound out of a layer III frame: its side information
// tells of no main data. They begin nonetheless as far back as the held bytes
// allow, because libmpg123 keeps for the next frame only what this one reaches.
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
