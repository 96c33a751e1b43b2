package audio

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// The header of a FLAC frame (RFC 9639, section 9.1):
//
//	0  14 bits of sync (0x3FFE), a zero, and whether the block sizes vary
//	2  4 bits of block size, 4 of sampling rate
//	3  4 bits of channels, 3 of bits a sample, a zero
//	4  number of the frame or sample, 1 to 7 bytes, coded like UTF-8
//	   block size less one: 1 byte if its bits are 6, 2 bytes if they are 7
//	   sampling rate: 1 byte if its bits are 12, 2 bytes if they are 13 or 14
//	   checksum of the header, CRC-8
//
// A frame ends with a CRC-16 over all of it.
const (
	flacFixedHeader = 5  // bytes up to the first of the number
	flacRateHz      = 13 // rate bits: 16 bits of Hz stand at the header's end
)

// flacInput hands the input to mewkiz/flac as it is, save for the headers of
// frames that say 24 or 176.4 kHz by number. At each of those that library
// writes a request for test files to the standard logger, which is the user's
// and not ours to silence. Such a header is handed on with the rate spelled out
// instead, which reads the same to everybody but that library's log.
//
// The frame's checksum covers the header, and it can only be corrected where
// the frame ends, which is not known before it is decoded. So the 16 bits of
// the rate, which nobody looks at, are chosen to leave the checksum as it was.
type flacInput struct {
	r      *bufio.Reader
	rate   int    // that of the stream
	header []byte // goes in front of r
	err    error  // why r ended
}

// start looks at the header of the next frame. It gives io.EOF at the end of
// the input.
func (in *flacInput) start() error {
	fixed, err := in.peek(flacFixedHeader)
	if err != nil {
		return err
	}
	length, err := flacHeaderLength(fixed)
	if err != nil {
		return fmt.Errorf("%w: damaged FLAC: %v", ErrFormat, err)
	}
	header, err := in.peek(length)
	if err != nil {
		return err
	}
	if rate, ok := flacRate(header); ok && rate != in.rate {
		return fmt.Errorf("%w: the FLAC stream goes on at %d Hz after %d Hz", ErrFormat, rate, in.rate)
	}
	if !flacLogs(header) || flacCRC8(header) != 0 {
		return nil // a wrong checksum is found by the decoder
	}
	in.header = flacSpellRate(header)
	_, err = in.r.Discard(length)
	return err
}

// peek looks n bytes ahead. Where the input ends before them, err is noted: it
// is io.EOF if there is none at all.
func (in *flacInput) peek(n int) ([]byte, error) {
	b, err := in.r.Peek(n)
	if err == nil {
		return b, nil
	}
	in.err = err
	if errors.Is(err, io.EOF) && len(b) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// Read reads as it was prepared by start.
func (in *flacInput) Read(p []byte) (int, error) {
	if len(in.header) > 0 {
		n := copy(p, in.header)
		in.header = in.header[n:]
		return n, nil
	}
	n, err := in.r.Read(p)
	if err != nil {
		in.err = err
	}
	return n, err
}

// flacHeaderLength is the length of the header that starts with those bytes.
func flacHeaderLength(fixed []byte) (int, error) {
	if fixed[0] != 0xFF || fixed[1]&0xFE != 0xF8 {
		return 0, errors.New("no frame where one should be")
	}
	number := bits.LeadingZeros8(^fixed[4]) // bytes of the number, 0 for one
	if number == 1 || number > 7 {
		return 0, errors.New("a frame's number makes no sense")
	}
	length := flacFixedHeader + max(number, 1) - 1 + 1
	switch fixed[2] >> 4 {
	case 6:
		length++
	case 7:
		length += 2
	}
	switch fixed[2] & 0xF {
	case 12:
		length++
	case 13, 14:
		length += 2
	}
	return length, nil
}

// flacRate is the rate that a header says, false where it leaves that to
// STREAMINFO or breaks the rules.
func flacRate(header []byte) (int, bool) {
	end := header[:len(header)-1]
	switch code := header[2] & 0xF; code {
	case 0, 15:
		return 0, false
	case 12:
		return 1000 * int(end[len(end)-1]), true
	case 13:
		return int(end[len(end)-2])<<8 | int(end[len(end)-1]), true
	case 14:
		return 10 * (int(end[len(end)-2])<<8 | int(end[len(end)-1])), true
	default:
		return [...]int{1: 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000}[code], true
	}
}

// flacLogs reports whether mewkiz/flac v1.0.14 logs at that header.
func flacLogs(header []byte) bool {
	code := header[2] & 0xF
	return code == 2 || code == 7
}

// flacSpellRate returns the header with 16 bits of rate in it, so that both of
// its checksums come out as before: the CRC-8 right and the CRC-16 unchanged.
//
// Two bytes can turn any state of a CRC-16 into any other. For each value of
// the CRC-8, which stands behind them, undoing it says which two bytes those
// are; the right value is the one that these bytes then have. There are always
// two: the polynomials have one factor in common, x+1.
func flacSpellRate(header []byte) []byte {
	last := len(header) - 1
	want := flacCRC16(header)
	spelled := append(make([]byte, 0, len(header)+2), header[:last]...)
	spelled[2] = spelled[2]&0xF0 | flacRateHz
	before := flacCRC16(spelled)
	spelled = append(spelled, 0, 0, 0)
	for sum := range 256 {
		after := flacUndo(want, byte(sum))
		rate := before ^ flacUndo(flacUndo(after, 0), 0)
		spelled[last], spelled[last+1], spelled[last+2] = byte(rate>>8), byte(rate), byte(sum)
		if flacCRC8(spelled) == 0 {
			break
		}
	}
	return spelled
}

// Tables of the checksums, highest bit first: CRC-8 with the polynomial 0x07
// and CRC-16 with 0x8005. flacCRC16Index finds an entry of the latter by its
// low byte.
var (
	flacCRC8Table  [256]byte
	flacCRC16Table [256]uint16
	flacCRC16Index [256]byte
)

func init() {
	for i := range 256 {
		sum8, sum16 := byte(i), uint16(i)<<8
		for range 8 {
			sum8 = sum8<<1 ^ 0x07*(sum8>>7)
			sum16 = sum16<<1 ^ 0x8005*(sum16>>15)
		}
		flacCRC8Table[i], flacCRC16Table[i] = sum8, sum16
		flacCRC16Index[byte(sum16)] = byte(i)
	}
}

// flacCRC8 is 0 over a header that ends with its checksum.
func flacCRC8(p []byte) (sum byte) {
	for _, b := range p {
		sum = flacCRC8Table[sum^b]
	}
	return sum
}

func flacCRC16(p []byte) (sum uint16) {
	for _, b := range p {
		sum = sum<<8 ^ flacCRC16Table[byte(sum>>8)^b]
	}
	return sum
}

// flacUndo is the CRC-16 that became sum by adding b.
func flacUndo(sum uint16, b byte) uint16 {
	i := flacCRC16Index[byte(sum)]
	return uint16(i^b)<<8 | (sum^flacCRC16Table[i])>>8
}
