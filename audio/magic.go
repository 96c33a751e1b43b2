package audio

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode"
	"unicode/utf8"
)

// magic describes how files of one kind begin.
type magic struct {
	at   int    // offset of head
	head string // first bytes
	form string // bytes 8 to 11, or empty
	name string // for people, with its article
	// reads is the Options.Encoding that reads such files, or empty.
	reads string
	// isData says that such a file holds no audio, so it is not passed to ffmpeg.
	isData bool
	// demuxer is ffmpeg's name of the container, if live streams often use it.
	demuxer string
}

// magics is the table of all magic numbers. The first entry that fits counts.
var magics = []magic{
	{head: "RIFF", form: "WAVE", name: "a WAV file", reads: "wav"},
	{head: "RIFX", form: "WAVE", name: "a WAV file", reads: "wav"},
	{head: "RF64", form: "WAVE", name: "a WAV file", reads: "wav"},
	{head: "BW64", form: "WAVE", name: "a WAV file", reads: "wav"},
	{head: "FORM", form: "AIFF", name: "an AIFF file", reads: "aiff"},
	{head: "FORM", form: "AIFC", name: "an AIFF-C file", reads: "aiff"},
	{head: ".snd", name: "an AU file", reads: "au"},
	{head: oggMagic, name: "an Ogg file", reads: "ogg"},
	{head: flacMagic, name: "a FLAC file", reads: "flac"},

	{head: "RIFF", form: "AVI ", name: "an AVI file"},
	{head: "riff\x2e\x91\xcf\x11", name: "a Wave64 file"},
	{head: "RIFF", name: "a RIFF file"},
	{head: "FORM", name: "an IFF file"},
	{at: 4, head: "ftypM4A", name: "an M4A file"},
	{at: 4, head: "ftypqt", name: "a QuickTime (MOV) file"},
	{at: 4, head: "ftyp", name: "an MP4 or M4A file"},
	{at: 4, head: "moov", name: "a QuickTime (MOV) file"},
	{at: 4, head: "mdat", name: "a QuickTime (MOV) file"},
	{at: 4, head: "wide", name: "a QuickTime (MOV) file"},
	{head: "\x1a\x45\xdf\xa3", name: "a WebM or Matroska file", demuxer: "matroska"},
	{head: "\x30\x26\xb2\x75\x8e\x66\xcf\x11", name: "a WMA or other ASF file"},
	{head: "#!AMR", name: "an AMR file"},
	{head: "#!SILK", name: "a SILK file", isData: true},
	{head: "\x02#!SILK", name: "a SILK file", isData: true},
	{head: "caff", name: "a CAF file"},
	{head: "wvpk", name: "a WavPack file"},
	{head: "TTA1", name: "a TTA file"},
	{head: "TTA2", name: "a TTA file"},
	{head: "MAC ", name: "a Monkey's Audio file"},
	{head: "MPCK", name: "a Musepack file"},
	{head: "MP+", name: "a Musepack file"},
	{head: "tBaK", name: "a TAK file"},
	{head: "DSD ", name: "a DSF file"},
	{head: "FRM8", name: "a DSDIFF file"},
	{head: "FLV\x01", name: "an FLV file"},
	{head: ".RMF", name: "a RealMedia file"},
	{head: "Creative Voice File", name: "a VOC file"},
	{head: "NIST_1A", name: "a NIST SPHERE file"},
	{head: "\x00\x00\x01\xba", name: "an MPEG program stream"},

	{head: "\x89PNG", name: "a PNG picture", isData: true},
	{head: "\xff\xd8\xff\xe0", name: "a JPEG picture", isData: true},
	{head: "GIF8", name: "a GIF picture", isData: true},
	{head: "%PDF", name: "a PDF document", isData: true},
	{head: "PK\x03\x04", name: "a ZIP archive", isData: true},
	{head: "\x1f\x8b\x08", name: "a gzip file", isData: true},
	{head: "BZh", name: "a bzip2 file", isData: true},
	{head: "\xfd7zXZ\x00", name: "an xz file", isData: true},
	{head: "\x28\xb5\x2f\xfd", name: "a Zstandard file", isData: true},
	{head: "7z\xbc\xaf\x27\x1c", name: "a 7z archive", isData: true},
	{head: "Rar!\x1a\x07", name: "a RAR archive", isData: true},
	{head: "\x7fELF", name: "a program", isData: true},
	{head: "MThd", name: "a MIDI file", isData: true},
	{head: "HTTP/", name: "an HTTP response with its headers (curl without -i leaves them out)", isData: true},
}

// magicLength is the most bytes that findMagic needs.
const magicLength = 19

// findMagic returns the entry that fits head, the first bytes of an input, or nil.
func findMagic(head []byte) *magic {
	for i := range magics {
		if m := &magics[i]; m.begins(head) {
			return m
		}
	}
	return nil
}

func (m *magic) begins(head []byte) bool {
	if m.form != "" && (len(head) < formLength || string(head[8:formLength]) != m.form) {
		return false
	}
	return len(head) >= m.at && bytes.HasPrefix(head[m.at:], []byte(m.head))
}

// formLength is how many bytes identify a RIFF or IFF file.
const formLength = 12

// identify recognises the beginning of r, by the table or by successive frames. It
// returns nil for anything else, including samples. It reads few bytes of r, and more
// only while they may be the beginning of a known format. It consumes nothing.
func identify(r *bufio.Reader, least int) *magic {
	head, err := r.Peek(least)
	for err == nil && mayBeginKnown(head) {
		head, err = r.Peek(len(head) + 1)
	}
	head, _ = r.Peek(max(len(head), min(r.Buffered(), magicLength)))
	switch m := findMagic(head); {
	case m != nil && (m.head == "RIFF" || m.head == "FORM") && m.form == "" && len(head) >= formLength:
		return &magic{name: fmt.Sprintf("%s of type %q", m.name, head[8:formLength])}
	case m != nil:
		return m
	case len(head) >= 3 && string(head[:3]) == "ID3":
		return &magic{name: "an ID3 tag", reads: "mp3"}
	case hasTwoMPEGFrames(r, head):
		return &magic{name: "an MP3 file", reads: "mp3"}
	case hasTwoADTSFrames(r, 0):
		return &magic{name: "an AAC file (ADTS)", demuxer: "aac"}
	case hasTwoTSPackets(r, head):
		return &magic{name: "an MPEG transport stream", demuxer: "mpegts"}
	}
	return nil
}

// mayBeginKnown reports whether head may be the beginning of a known format, but is too
// short to tell.
func mayBeginKnown(head []byte) bool {
	const frameHeader = 8 // of MPEG audio or AAC
	return matchesPrefix(head, "\xff") && len(head) < frameHeader || slices.ContainsFunc(magics, func(m magic) bool {
		length := max(len(m.head), len(m.form)*formLength/4)
		return m.at == 0 && len(head) < length && matchesPrefix(head, m.head)
	})
}

// peekAt returns the n bytes at an offset, or nil if the input ends before.
func peekAt(r *bufio.Reader, offset, n int) []byte {
	b, err := r.Peek(offset + n)
	if err != nil {
		return nil
	}
	return b[offset:]
}

// hasTwoMPEGFrames reports whether r begins with an MPEG audio frame and the header
// of the next.
func hasTwoMPEGFrames(r *bufio.Reader, head []byte) bool {
	first, ok := parseMPEGHeader(head)
	if !ok {
		return false
	}
	second, ok := parseMPEGHeader(peekAt(r, first.length(), mpegHeaderLength))
	return ok && first.isSameStream(second)
}

// hasTwoADTSFrames reports whether an AAC frame and the header of the next are at an offset of
// r. A header has 12 ones, a version bit, layer 0 and, from bit 30 on, the length in 13 bits
// (ISO/IEC 13818-7, 6.2).
func hasTwoADTSFrames(r *bufio.Reader, offset int) bool {
	const sync, mask, shortest = 0xFFF0, 0xFFF6, 8
	if b := peekAt(r, offset, 1); b == nil || b[0] != 0xFF {
		return false
	}
	head := peekAt(r, offset, shortest)
	if head == nil || binary.BigEndian.Uint16(head)&mask != sync {
		return false
	}
	length := int(binary.BigEndian.Uint32(head[2:])) >> 5 & 0x1FFF
	first := binary.BigEndian.Uint16(head)
	next := peekAt(r, offset+length, 2)
	return length >= shortest && next != nil && binary.BigEndian.Uint16(next) == first
}

// hasTwoTSPackets reports whether r begins with three packets of an MPEG transport
// stream (ISO/IEC 13818-1, 2.4.3.2).
func hasTwoTSPackets(r *bufio.Reader, head []byte) bool {
	const sync, length = 'G', 188
	if len(head) == 0 || head[0] != sync {
		return false
	}
	second, third := peekAt(r, length, 1), peekAt(r, 2*length, 1)
	return second != nil && second[0] == sync && third != nil && third[0] == sync
}

// findLateWAV returns the offset of a WAV file that follows something else: a byte
// order mark, or a line that a program logged to its output. It returns 0 if there is
// none among the bytes that have arrived.
func findLateWAV(r *bufio.Reader) int {
	head, _ := r.Peek(min(r.Buffered(), 4<<10)) // cannot fail: these bytes are buffered
	for from := 1; ; from++ {
		form := bytes.Index(head[min(from, len(head)):], []byte("WAVE"))
		if form < 0 {
			return 0
		}
		if from += form; from >= 8+1 && isWAV(head[from-8:]) {
			return from - 8
		}
	}
}

// refuseLateWAV returns an error if findLateWAV finds a file in the input.
func refuseLateWAV(r *bufio.Reader) error {
	at := findLateWAV(r)
	if at == 0 {
		return nil
	}
	return fmt.Errorf("%w: a WAV file begins at byte %d; leave out what stands before it, for example with tail -c +%d",
		ErrFormat, at, at+1)
}

// An input is text if its first textLength bytes are text, or all bytes if it is shorter.
const (
	shortestText = 5
	textLength   = 512
)

// textAtStart returns the first bytes of r if they are text: at least textLength bytes, or all
// if there are fewer. It continues to read only while all bytes are text, so it never waits
// for samples from a pipe.
func textAtStart(r *bufio.Reader) []byte {
	head, err := r.Peek(1)
	for err == nil && len(head) < textLength && isText(head) {
		head, err = r.Peek(min(textLength, max(len(head)+1, r.Buffered())))
	}
	if err != nil && !errors.Is(err, io.EOF) || len(head) < shortestText || !isText(head) || !variesLikeText(head) {
		return nil
	}
	return head
}

// isText reports whether p is printable UTF-8, which may be cut off inside a character.
func isText(p []byte) bool {
	for len(p) > 0 {
		c, size := utf8.DecodeRune(p)
		if c == utf8.RuneError && size == 1 {
			return !utf8.FullRune(p)
		}
		if !unicode.IsPrint(c) && !bytes.ContainsRune([]byte("\t\n\r\f\x1b\u2028\ufeff"), c) {
			return false
		}
		p = p[size:]
	}
	return true
}

// variesLikeText reports whether bytes differ as much as those of text do. 8-bit samples on
// one side of silence have only a few values, near each other.
func variesLikeText(p []byte) bool {
	const few, span = 8, 32
	var seen [256]bool
	count, lowest, highest := 0, 255, 0
	for _, c := range p {
		if !seen[c] {
			seen[c] = true
			count++
		}
		lowest, highest = min(lowest, int(c)), max(highest, int(c))
	}
	return count >= min(few, (len(p)+1)/2) && (highest-lowest > span || len(p) < span)
}

const maxQuoted = 120 // characters

// quote returns the beginning of a text in quotes, in one line, with its control characters
// escaped.
func quote(text []byte) string {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
	if words := []rune(string(bytes.ToValidUTF8(text, nil))); len(words) > maxQuoted {
		return fmt.Sprintf("%q", string(words[:maxQuoted-1])+"…")
	}
	return fmt.Sprintf("%q", bytes.ToValidUTF8(text, nil))
}

// refuseText returns an error if the input is text instead of samples, such as the error
// message of a text-to-speech service. Played as samples, text is loud noise.
func refuseText(r *bufio.Reader) error {
	if text := textAtStart(r); len(text) > 0 {
		return fmt.Errorf("%w: this is text, not samples: %s", ErrFormat, quote(text))
	}
	return nil
}
