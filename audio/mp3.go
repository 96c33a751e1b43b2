package audio

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// An MPEG audio stream is a sequence of frames. Each has its own header, and nothing before
// the first frame says how many there are. The 32 bits of a header, from the highest (ISO/IEC
// 11172-3, 2.4.1.3):
//
//	11 sync, all ones
//	 2 version: 3 MPEG-1, 2 MPEG-2, 0 MPEG-2.5 (half and quarter rates)
//	 2 layer: 3 layer I, 2 layer II, 1 layer III
//	 1 protection: 0 if a 16-bit checksum follows
//	 4 bit rate, 2 sampling rate: indices into tables
//	 1 padding: the frame is one slot longer
//	 1 private
//	 2 channel mode: 3 is mono
//	 6 joint stereo, copyright, original
//	 2 emphasis

const (
	mpegHeaderLength = 4
	// maxMPEGFrame is the length of the longest frame in bytes: MPEG-2.5 layer II at 160
	// kbit/s and 8000 Hz, padded.
	maxMPEGFrame = 2881
	// minMPEGFrame is the length of the shortest frame in bytes: MPEG-2 layer III at 8
	// kbit/s and 24 kHz.
	minMPEGFrame = 24
)

// maxMainDataBegin is the largest value of the field main_data_begin of a layer III frame,
// which has 9 bits, or 8 in MPEG-2. The field says how many bytes before the frame its main
// data begins.
const maxMainDataBegin = 511

// mpegVersion is the version field of a frame header.
type mpegVersion byte

const (
	mpeg25 mpegVersion = 0
	mpeg2  mpegVersion = 2
	mpeg1  mpegVersion = 3
)

func (v mpegVersion) String() string {
	switch v {
	case mpeg1:
		return "MPEG-1"
	case mpeg2:
		return "MPEG-2"
	}
	return "MPEG-2.5"
}

// mpegHeader is a parsed frame header.
type mpegHeader struct {
	Version  mpegVersion
	Layer    int // 1 to 3
	Bitrate  int // in bit/s, 0 in free format
	Rate     int // in Hz
	Channels int // 1 or 2
	Padded   bool
	Checked  bool // a checksum of two bytes follows the header
	Free     int  // length in bytes without padding, in free format
}

// Bit rates in kbit/s by index: MPEG-1 layers I to III, then MPEG-2 and 2.5
// layer I, then their layers II and III (ISO/IEC 11172-3, 2.4.2.3 and
// 13818-3, 2.4.2.3).
var mpegBitrates = [5][15]int{
	{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
	{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
	{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
}

var mpegRates = [4][3]int{
	mpeg1:  {44100, 48000, 32000},
	mpeg2:  {22050, 24000, 16000},
	mpeg25: {11025, 12000, 8000},
}

// parseMPEGHeader parses the frame header at the start of b. It returns false for headers that
// a decoder cannot use: those with reserved values, and those of free format, in which the
// header does not state the frame's length.
func parseMPEGHeader(b []byte) (mpegHeader, bool) {
	h, ok := parseFreeHeader(b)
	return h, ok && h.Bitrate > 0
}

// parseFreeHeader is like parseMPEGHeader, but also accepts free format. The bit rate of such
// a stream is constant, but the header does not state it. The length of a frame is known only
// once the header of the next frame is found.
func parseFreeHeader(b []byte) (mpegHeader, bool) {
	if len(b) < mpegHeaderLength || b[0] != 0xFF || b[1]&0xE0 != 0xE0 {
		return mpegHeader{}, false
	}
	version, layer := mpegVersion(b[1]>>3&3), 4-int(b[1]>>1&3)
	bitrate, rate, emphasis := int(b[2]>>4), int(b[2]>>2&3), b[3]&3
	if version == 1 || layer == 4 || bitrate == 15 || rate == 3 || emphasis == 2 {
		return mpegHeader{}, false
	}
	h := mpegHeader{
		Version:  version,
		Layer:    layer,
		Bitrate:  1000 * mpegBitrates[bitrateTable(version, layer)][bitrate],
		Rate:     mpegRates[version][rate],
		Channels: 2,
		Padded:   b[2]&2 != 0,
		Checked:  b[1]&1 == 0,
	}
	if b[3]>>6 == 3 {
		h.Channels = 1
	}
	return h, true
}

func bitrateTable(version mpegVersion, layer int) int {
	switch {
	case version == mpeg1:
		return layer - 1
	case layer == 1:
		return 3
	}
	return 4
}

// samples returns the number of samples in a frame for each channel.
func (h mpegHeader) samples() int {
	switch {
	case h.Layer == 1:
		return 384
	case h.Layer == 3 && h.Version != mpeg1:
		return 576
	}
	return 1152
}

// length returns the frame's length in bytes, header included: the bit rate times the playing
// time, in whole slots (4 bytes in layer I, otherwise 1).
func (h mpegHeader) length() int {
	slot := 1
	if h.Layer == 1 {
		slot = 4
	}
	slots := (h.Free + h.samples()/8*h.Bitrate/h.Rate) / slot
	if h.Padded {
		slots++
	}
	return slots * slot
}

// isShort reports whether the frame has no room for its own side information. No
// encoder makes such frames.
func (h mpegHeader) isShort() bool {
	const checksum = 2
	least := xingOffset(h)
	if h.Checked {
		least += checksum
	}
	return h.Layer == 3 && h.length() < least
}

// format returns the format of the decoded samples.
func (h mpegHeader) format() Format { return Format{Rate: h.Rate, Channels: h.Channels} }

// codec returns text such as "MPEG-2 layer III".
func (h mpegHeader) codec() string {
	return fmt.Sprintf("%v layer %s", h.Version, "III"[:h.Layer])
}

// isSameStream reports whether both frames can belong to one stream. The bit
// rate, padding and joint stereo may change from frame to frame.
func (h mpegHeader) isSameStream(other mpegHeader) bool {
	return h.Version == other.Version && h.Layer == other.Layer && h.format() == other.format() && h.Free == other.Free
}

// follower parses head as the header of a later frame in the stream of h.
func (h mpegHeader) follower(head []byte) (mpegHeader, bool) {
	next, ok := parseFreeHeader(head)
	if next.Bitrate == 0 {
		ok = ok && h.Free > 0
		next.Free = h.Free
	}
	return next, ok && next.isSameStream(h) && !next.isShort()
}

// decoderDelay is how many samples a layer III decoder adds in front: 528 of its filter bank,
// and one more by the encoders' convention.
const decoderDelay = 529

// xingTag is what an encoder wrote about the whole stream into a first frame without sound: a
// Xing tag ("Info" if the bit rate is constant), often with LAME's extension.
type xingTag struct {
	Frames  int64 // frames after the tag's own; -1 if not stated
	Delay   int   // samples that the encoder added in front; -1 if not stated
	Padding int   // samples that the encoder added at the end; -1 if not stated
}

// Flags of a Xing tag: which fields follow, in this order.
const (
	xingFrames  = 1 << iota // 4 bytes
	xingBytes               // 4 bytes
	xingSeek                // 100 bytes, a table of positions
	xingQuality             // 4 bytes
)

// parseXingTag parses the tag in frame, which starts with header h. The tag begins right after
// the side information, which is all zeros here. LAME's extension follows the tag: 9 bytes of
// encoder name, 12 of other facts, then 12 bits of delay and 12 of padding.
func parseXingTag(h mpegHeader, frame []byte) (xingTag, bool) {
	at := xingOffset(h)
	if h.Layer != 3 || len(frame) < at+8 || !allZero(frame[mpegHeaderLength+2:at]) {
		return xingTag{}, false
	}
	if name := string(frame[at : at+4]); name != "Xing" && name != "Info" {
		return xingTag{}, false
	}
	tag := xingTag{Frames: -1, Delay: -1, Padding: -1}
	flags, rest := binary.BigEndian.Uint32(frame[at+4:]), frame[at+8:]
	if flags&xingFrames != 0 && len(rest) >= 4 {
		tag.Frames = int64(binary.BigEndian.Uint32(rest))
	}
	const delayAt, end = 21, 24
	if rest = rest[min(xingFields(flags), len(rest)):]; len(rest) >= end && rest[0] != 0 {
		tag.Delay = int(rest[delayAt])<<4 | int(rest[delayAt+1])>>4
		tag.Padding = int(rest[delayAt+1]&0xF)<<8 | int(rest[delayAt+2])
	}
	return tag, true
}

// xingOffset returns the offset of the tag in a frame. A checksum does not move the tag.
func xingOffset(h mpegHeader) int {
	switch {
	case h.Version == mpeg1 && h.Channels == 2:
		return mpegHeaderLength + 32
	case h.Version != mpeg1 && h.Channels == 1:
		return mpegHeaderLength + 9
	}
	return mpegHeaderLength + 17
}

// xingFields returns the length in bytes of the fields that flags announce.
func xingFields(flags uint32) int {
	length := 0
	for i, size := range [...]int{4, 4, 100, 4} {
		if flags>>i&1 != 0 {
			length += size
		}
	}
	return length
}

// skip returns the number of samples of each channel to leave out in front. If the tag does not
// state the encoder's delay, that is 0.
func (t xingTag) skip() int64 {
	if t.Delay < 0 {
		return 0
	}
	return int64(t.Delay + decoderDelay)
}

// duration returns the number of frames of sound (samples of each channel) that the tag states,
// or -1 if it states none. A tag that counts no frames at all was never filled in. The
// decoder's delay shifts the sound into the padding, so if the padding is shorter than the
// delay, the end of the sound is lost.
func (t xingTag) duration(h mpegHeader) int64 {
	total := t.Frames * int64(h.samples())
	switch {
	case t.Frames <= 0:
		return -1
	case t.Delay < 0:
		return total
	}
	return max(0, total-int64(t.Delay)-int64(max(t.Padding, decoderDelay)))
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// mp3Length counts the sound of a stream: how much to leave out at both ends, and whether the
// length is the one that the tag states.
type mp3Length struct {
	delivered int64 // frames of sound so far
	begin     int64 // frames of sound before the current stream
	claimed   int64 // frames of sound in the current stream, -1 if unknown
	skip      int64 // frames still to leave out before its sound
	coded     int64 // MPEG audio frames that may still follow, if claimed is known
	warnings  warnings
}

// start begins a stream with the length that the tag in front states.
func (l *mp3Length) start(h mpegHeader, tag xingTag) {
	l.begin, l.skip, l.claimed, l.coded = l.delivered, tag.skip(), tag.duration(h), tag.Frames
}

// frame counts one more MPEG audio frame. If that is more than the tag states, the tag is
// wrong, and nothing more is left out because of it.
func (l *mp3Length) frame() {
	if l.coded--; l.claimed >= 0 && l.coded < 0 {
		l.warnings.add("the input goes on beyond the %d frames that the header claims", l.claimed)
		l.claimed = -1
	}
}

// room returns how many frames to take from the decoder next, at most n: either only frames to
// leave out in front, or only sound.
func (l *mp3Length) room(n int64) int64 {
	switch {
	case l.skip > 0:
		return min(n, l.skip)
	case l.claimed >= 0:
		return min(n, l.begin+l.claimed-l.delivered)
	}
	return n
}

// add counts n frames, and returns how many of them are sound.
func (l *mp3Length) add(n int64) int64 {
	if l.skip > 0 {
		l.skip -= n
		return 0
	}
	l.delivered += n
	return n
}

// check adds a warning if the current stream ended too early.
func (l *mp3Length) check(f Format) {
	if got := l.delivered - l.begin; got < l.claimed {
		l.warnings.add("the header claims %d frames (%.3f s), the input holds %d (%.3f s)",
			l.claimed, f.Duration(l.claimed).Seconds(), got, f.Duration(got).Seconds())
	}
}

// left adds a warning about bytes that were left out.
func (l *mp3Length) left(bytes int64) {
	if bytes > 0 {
		l.warnings.add("left out %d bytes that are no MPEG audio", bytes)
	}
}

// silenced adds a warning about damaged frames, which were replaced by silence.
func (l *mp3Length) silenced(frames int) {
	if frames > 0 {
		l.warnings.add("damaged frames replaced by silence: %d", frames)
	}
}
