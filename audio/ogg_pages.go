package audio

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"echocast/internal/text"
)

// An Ogg stream is a sequence of pages. A page has up to 255 segments of up to 255 bytes. A
// segment of less than 255 bytes ends a packet, so packets can share a page and can span pages.
// The header of a page, little-endian (RFC 3533, section 6):
//
//	 0  "OggS", a version byte (0), then the flags below
//	 6  8 bytes: granule position, the codec's clock at the end of the last
//	    packet that ends on the page; -1 if none does
//	14  4 bytes each: serial number of the logical stream, number of the page,
//	    checksum over the page with this field zero
//	26  number of segments, then the length of each in a byte
const (
	oggMagic        = "OggS"
	oggHeaderLength = 27
	oggMaxSegments  = 255
	oggMaxBody      = 255 * oggMaxSegments
	oggChecksumAt   = 22

	oggContinued = 1 // the page begins inside a packet
	oggBegins    = 2 // first page of a logical stream
	oggEnds      = 4 // last page of a logical stream
)

// maxOggPacket is how many bytes of one packet are held. The longest valid Opus packet has 61 kB
// (48 frames of 1275 bytes), and Vorbis packets are shorter. Only comments are longer, because
// they may contain pictures, which this package does not use.
const maxOggPacket = 128 << 10

// oggPacket is one packet, valid until the next page is read.
type oggPacket struct {
	data []byte // at most maxOggPacket bytes
	size int64  // its length in the stream
}

// whole reports whether all of the packet was held.
func (p oggPacket) whole() bool { return p.size == int64(len(p.data)) }

// oggPage is a page and the packets that end on it.
type oggPage struct {
	flags   byte
	granule int64
	serial  uint32
	number  uint32
	sizes   []byte // of the segments
	body    []byte
	packets []oggPacket
}

func (p *oggPage) is(flag byte) bool { return p.flags&flag != 0 }

// oggPages reads the packets of the logical streams in r, one stream after the other. It checks
// every page, holds one page and one packet, and reads no further than the page it needs, so it
// keeps pace with a pipe.
type oggPages struct {
	r        *bufio.Reader
	end      *inputEnd
	page     oggPage
	name     string // name of the current logical stream's content
	offset   int64  // in r, after page
	isHeld   bool   // page was read and belongs to the next logical stream
	isInside bool   // a page after the first of the logical stream was read
	packets  [oggMaxSegments]oggPacket
	pending  []byte // the kept part of an unfinished packet
	size     int64  // length of the unfinished packet so far
	idle     int64  // bytes of pages since a packet ended
	isLost   bool   // the beginning of the unfinished packet is missing
	joined   []byte // the packet that ended on page and began before it
	room     [oggHeaderLength + oggMaxSegments + oggMaxBody]byte
	warnings warnings
}

// begin moves to the next logical stream and returns its first packet, which identifies the
// content. If there is no further stream, the error is io.EOF.
func (s *oggPages) begin() ([]byte, error) {
	if s.offset > 0 && !s.isHeld {
		if err := s.expectPage(); err != nil {
			return nil, err
		}
	}
	if !s.isHeld {
		if err := s.read(); err != nil {
			return nil, err
		}
	}
	s.isHeld, s.isInside = false, false
	s.pending, s.size, s.isLost = s.pending[:0], 0, false
	if !s.page.is(oggBegins) {
		return nil, fmt.Errorf("%w: the Ogg stream was joined in its middle: only its first pages say how to decode it",
			ErrFormat)
	}
	if err := s.split(); err != nil {
		return nil, err
	}
	if len(s.page.packets) != 1 {
		return nil, fmt.Errorf("%w: the first page of an Ogg stream holds %d packets instead of one", ErrFormat,
			len(s.page.packets))
	}
	id := s.page.packets[0].data
	s.page.packets, s.name = nil, oggName(id)
	return id, nil
}

// expectPage ends the input if something other than a page follows the end of a logical stream.
func (s *oggPages) expectPage() error {
	if err := s.skipPadding(); err != nil {
		return err
	}
	head, err := s.r.Peek(len(oggMagic))
	if string(head) == oggMagic {
		return nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(head) > 0 {
		s.warnings.add("what follows the end of the Ogg stream is no Ogg page and left out: %s", s.end.rest())
	}
	return io.EOF
}

// header returns the next packet, across pages. If there are no more pages, that is an error,
// because the headers are required.
func (s *oggPages) header() (oggPacket, error) {
	for len(s.page.packets) == 0 {
		err := s.next()
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: the Ogg %s stream ends inside its headers", ErrFormat, s.name)
		}
		if err != nil {
			return oggPacket{}, err
		}
	}
	return s.pop(), nil
}

// pop takes the next packet off the page.
func (s *oggPages) pop() oggPacket {
	p := s.page.packets[0]
	s.page.packets = s.page.packets[1:]
	return p
}

// next reads the next page of the logical stream. After the last page it returns io.EOF, and
// adds a warning if that page is not marked as the last.
func (s *oggPages) next() error {
	if s.page.is(oggEnds) {
		return io.EOF
	}
	serial, number := s.page.serial, s.page.number
	err := s.read()
	switch {
	case errors.Is(err, io.EOF):
		s.warnings.add("the Ogg stream has no end mark: it may have been cut off")
		return err
	case err != nil:
		return err
	case s.page.is(oggBegins):
		return s.beginStream()
	case s.page.serial != serial:
		return fmt.Errorf("%w: the Ogg stream holds several streams at once", ErrFormat)
	case s.page.number != number+1:
		s.warnings.add("the Ogg stream lacks pages: number %d follows number %d", s.page.number, number)
		s.pending, s.size = s.pending[:0], 0
	}
	s.isInside = true
	return s.split()
}

// beginStream handles the first page of another stream. If the stream is parallel to the current
// one, its first page is among the first pages (RFC 3533, section 4). Otherwise it follows the
// current one.
func (s *oggPages) beginStream() error {
	if !s.isInside {
		return fmt.Errorf("%w: the Ogg stream holds several streams at once: %s and %s", ErrFormat, s.name,
			oggName(s.page.body))
	}
	s.warnings.add("an Ogg stream has no end mark and another one follows")
	s.isHeld = true
	return io.EOF
}

// read reads one page and checks it. It ignores a page that is cut off.
func (s *oggPages) read() error {
	if err := s.skipPadding(); err != nil {
		return err
	}
	at := s.offset
	head := s.room[:oggHeaderLength]
	if err := s.fill(head); err != nil {
		return err
	}
	if string(head[:4]) != oggMagic || head[4] != 0 {
		return fmt.Errorf("%w: no Ogg page where one should be, at byte %d", ErrFormat, at)
	}
	sizes := s.room[oggHeaderLength : oggHeaderLength+int(head[26])]
	if err := s.fill(sizes); err != nil {
		return err
	}
	total := 0
	for _, size := range sizes {
		total += int(size)
	}
	start := oggHeaderLength + len(sizes)
	if err := s.fill(s.room[start : start+total]); err != nil {
		return err
	}
	s.page = oggPage{
		flags:   head[5],
		granule: int64(binary.LittleEndian.Uint64(head[6:])),
		serial:  binary.LittleEndian.Uint32(head[14:]),
		number:  binary.LittleEndian.Uint32(head[18:]),
		sizes:   sizes,
		body:    s.room[start : start+total],
	}
	if want := binary.LittleEndian.Uint32(head[oggChecksumAt:]); want != oggChecksum(s.room[:start+total]) {
		return fmt.Errorf("%w: the Ogg page at byte %d is damaged: its checksum is wrong", ErrFormat, at)
	}
	if s.page.granule < -1 {
		return fmt.Errorf("%w: the Ogg page at byte %d claims the position %d", ErrFormat, at, s.page.granule)
	}
	return nil
}

// skipPadding skips zeros between pages, which files that were written in blocks have.
func (s *oggPages) skipPadding() error {
	passed := int64(0)
	for ; passed <= maxHeaderBytes; passed++ {
		if b, _ := s.r.Peek(1); len(b) == 0 || b[0] != 0 { // the next read returns the error
			break
		}
		if _, err := s.r.Discard(1); err != nil {
			return err
		}
	}
	if s.offset += passed; passed > 0 {
		s.warnings.add("left out %s of zeros between pages of the Ogg stream", text.Count(int(passed), "byte"))
	}
	return nil
}

// fill fills p. If there are too few bytes, the input has ended.
func (s *oggPages) fill(p []byte) error {
	n, err := io.ReadFull(s.r, p)
	s.offset += int64(n)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// split finds the packets that end on the page.
func (s *oggPages) split() error {
	if s.page.is(oggContinued) {
		s.isLost = s.size == 0
	} else {
		if s.size > 0 {
			s.warnings.add("a packet of the Ogg stream is cut off and left out")
		}
		s.pending, s.size, s.isLost = s.pending[:0], 0, false
	}
	s.page.packets = s.packets[:0]
	begin, end := 0, 0
	for _, size := range s.page.sizes {
		if end += int(size); size < 255 {
			s.finish(s.page.body[begin:end])
			begin = end
		}
	}
	s.keep(s.page.body[begin:end])
	if s.size > maxHeaderBytes {
		return fmt.Errorf("%w: a packet of the Ogg stream is longer than %d MB", ErrFormat, maxHeaderBytes>>20)
	}
	if s.idle += int64(oggHeaderLength + len(s.page.sizes) + len(s.page.body)); len(s.page.packets) > 0 || s.size > 0 {
		s.idle = 0
	}
	if s.idle > maxHeaderBytes {
		return fmt.Errorf("%w: no packet in %d MB of the Ogg stream", ErrFormat, maxHeaderBytes>>20)
	}
	return nil
}

// finish ends a packet with its last part.
func (s *oggPages) finish(part []byte) {
	packet := oggPacket{part, int64(len(part))}
	switch {
	case s.isLost:
		s.isLost = false
		return
	case s.size > 0:
		s.keep(part)
		s.joined, s.pending = s.pending, s.joined[:0]
		packet, s.size = oggPacket{s.joined, s.size}, 0
	}
	s.page.packets = append(s.page.packets, packet)
}

// keep adds a part to the unfinished packet.
func (s *oggPages) keep(part []byte) {
	if s.isLost {
		return
	}
	s.size += int64(len(part))
	s.pending = append(s.pending, part[:min(len(part), maxOggPacket-len(s.pending))]...)
}

// oggTable is the table of the checksum: polynomial 0x04c11db7, highest bit first, initial value
// 0, not inverted.
var oggTable = func() (table [256]uint32) {
	for i := range table {
		sum := uint32(i) << 24
		for range 8 {
			if high := sum >> 31; high == 1 {
				sum = sum<<1 ^ 0x04c11db7
			} else {
				sum <<= 1
			}
		}
		table[i] = sum
	}
	return table
}()

// oggChecksum returns the checksum of a page. The page's checksum field counts as zero.
func oggChecksum(page []byte) uint32 {
	sum := oggUpdate(0, page[:oggChecksumAt])
	sum = oggUpdate(sum, []byte{0, 0, 0, 0})
	return oggUpdate(sum, page[oggChecksumAt+4:])
}

func oggUpdate(sum uint32, p []byte) uint32 {
	for _, b := range p {
		sum = sum<<8 ^ oggTable[byte(sum>>24)^b]
	}
	return sum
}
