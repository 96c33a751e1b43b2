package audio

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"strings"
)

// An AIFF file is a form of chunks like WAV's, all of it big-endian: twelve
// bytes (FORM, a size, AIFF), the COMM chunk with the format and the SSND chunk
// with the samples. AIFF-C (AIFC) adds the encoding to COMM (Apple, Audio
// Interchange File Format, 1989; AIFF-C draft, 1991).

func openAIFF(r *bufio.Reader, end *inputEnd) (decoder, error) {
	head, err := r.Peek(formLength)
	if m := findMagic(head); m == nil || m.reads != "aiff" {
		return nil, readErrorOr(err, fmt.Errorf("%w: no FORM/AIFF header at the start", ErrFormat))
	}
	_, _ = r.Discard(formLength) // cannot fail: these bytes were peeked
	var format Format
	var samples codec
	for passed := int64(0); passed < maxHeaderBytes; {
		var chunk [8]byte
		if _, err := io.ReadFull(r, chunk[:]); err != nil {
			return nil, aiffCut(err, "before its samples")
		}
		id, size := string(chunk[:4]), int64(binary.BigEndian.Uint32(chunk[4:]))
		switch id {
		case "COMM":
			format, samples, err = readCOMM(r, size)
		case "SSND":
			if samples.name == "" {
				return nil, fmt.Errorf("%w: the AIFF has its samples before their format; a stream cannot "+
					"go back; convert it with sox or ffmpeg", ErrFormat)
			}
			return openSSND(r, end, format, samples, size)
		default:
			err = skip(r, size)
		}
		if err == nil {
			err = skipPad(r, size)
		}
		if err != nil {
			return nil, aiffCut(err, fmt.Sprintf("inside its %q chunk, which claims %d bytes", id, size))
		}
		passed += 8 + size
	}
	return nil, fmt.Errorf("%w: no samples in the first %d MB of the AIFF", ErrFormat, maxHeaderBytes>>20)
}

// readCOMM reads the channels, the number of frames (which also follows from SSND), the bits
// of a sample, the rate and, in AIFF-C, the encoding.
func readCOMM(r io.Reader, size int64) (Format, codec, error) {
	if size < 18 || size > maxFormatChunk {
		return Format{}, codec{}, fmt.Errorf("%w: the AIFF's COMM chunk claims %d bytes, 18 to %d are possible",
			ErrFormat, size, maxFormatChunk)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return Format{}, codec{}, err
	}
	format := Format{Rate: extendedRate(b[8:18]), Channels: int(binary.BigEndian.Uint16(b))}
	if err := format.Check(); err != nil {
		return Format{}, codec{}, err
	}
	encoding := "NONE"
	if size >= 22 {
		encoding = string(b[18:22])
	}
	samples, err := aiffCodec(encoding, int(binary.BigEndian.Uint16(b[6:])))
	return format, samples, err
}

// extendedRate reads an 80-bit float and rounds it to an integer. It has 15 bits of exponent
// and 64 of mantissa, the first of which is the digit before the point. A value that is not
// a sampling rate gives 0 or a rate that is too high.
func extendedRate(b []byte) int {
	exponent, mantissa := int(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint64(b[2:])
	shift := 16383 + 63 - exponent
	switch {
	case mantissa == 0 || exponent >= 0x8000 || shift > 63:
		return 0
	case shift <= 0:
		return math.MaxInt32
	}
	whole, carry := bits.Add64(mantissa, 1<<(shift-1), 0)
	return int(min(whole>>shift|carry<<(64-shift), math.MaxInt32))
}

func aiffCodec(encoding string, bits int) (codec, error) {
	if c, ok := aiffEncoding(strings.ToUpper(encoding), (bits+7)/8); ok {
		return c, nil
	}
	return codec{}, &foreignError{reason: fmt.Sprintf("the AIFF holds %d-bit %q samples", bits, encoding)}
}

func aiffEncoding(encoding string, bytes int) (c codec, ok bool) {
	switch encoding {
	case "NONE", "TWOS", "SOWT":
		if c, ok = integerCodec(bytes); bytes == 1 {
			return codecS8, true
		}
	case "FL32":
		c, ok = codecF32LE, true
	case "FL64":
		c, ok = codecF64LE, true
	case "ULAW":
		return codecMulaw, true
	case "ALAW":
		return codecAlaw, true
	}
	if ok && encoding != "SOWT" {
		c = bigEndian(c)
	}
	return c, ok
}

// openSSND skips the gap before the samples that the chunk declares.
func openSSND(r *bufio.Reader, end *inputEnd, format Format, samples codec, size int64) (decoder, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, aiffCut(err, "inside its SSND chunk")
	}
	gap := int64(binary.BigEndian.Uint32(head[:]))
	if gap > maxHeaderBytes || !isAIFFUntilEnd(size) && 8+gap > size {
		return nil, fmt.Errorf("%w: the AIFF says that its samples begin %d bytes into an SSND chunk of %d",
			ErrFormat, gap, size)
	}
	if err := skip(r, gap); err != nil {
		return nil, aiffCut(err, "before its samples")
	}
	if isAIFFUntilEnd(size) {
		return newContainerPCM(r, "aiff", format, samples, -1), nil
	}
	dec := newContainerPCM(r, "aiff", format, samples, size-8-gap)
	dec.behind = func() remainder { return skipBehindSSND(r, size, end) }
	return dec, nil
}

// skipBehindSSND skips the chunks after the samples, and returns how much is left after them.
func skipBehindSSND(r *bufio.Reader, size int64, end *inputEnd) remainder {
	end.limitWait()
	passed := int64(0)
	for err := skipPad(r, size); err == nil && passed < maxHeaderBytes; err = skipChunk(r, size) {
		head, _ := r.Peek(8)
		if len(head) < 8 || !isChunkID(head) {
			break
		}
		size = int64(binary.BigEndian.Uint32(head[4:]))
		if size > maxHeaderBytes || end.isFile() && size > end.fileLeft()-8 {
			break
		}
		_, _ = r.Discard(8) // cannot fail: these bytes were peeked
		passed += 8 + size
	}
	return end.rest()
}

// isAIFFUntilEnd reports whether a size means "to the end": 0 (ffmpeg to a pipe),
// 0x7f000008 (sox to a pipe) or 0xffffffff.
func isAIFFUntilEnd(size int64) bool { return size == 0 || size >= 0x7f000000 }

func aiffCut(err error, where string) error { return cutShort(err, "AIFF", where) }
