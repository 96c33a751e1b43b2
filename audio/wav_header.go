package audio

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// A WAV file is a RIFF form: twelve bytes (a magic number, the size of the rest
// and "WAVE"), then chunks, each of an identifier, its size and as many bytes,
// with a pad byte after an odd number. The "fmt " chunk says what the samples
// in the "data" chunk are. Four magic numbers are in use:
//
//	RIFF  little-endian
//	RIFX  the same with every number, the samples too, big-endian
//	RF64  RIFF beyond 4 GB: the size of data is 0xFFFFFFFF, and the real one
//	      is in a "ds64" chunk (EBU Tech 3306)
//	BW64  RF64 under another name (ITU-R BS.2088)

// isWAV reports whether b begins with a WAV file.
func isWAV(b []byte) bool { return len(b) >= formLength && mayBeginWAV(b) }

// mayBeginWAV reports whether b may be the beginning of a WAV file; b may be short.
func mayBeginWAV(b []byte) bool {
	return slices.ContainsFunc(magics, func(m magic) bool {
		return m.reads == "wav" && matchesPrefix(b, m.head) && matchesPrefix(b[min(8, len(b)):], m.form)
	})
}

func matchesPrefix(b []byte, s string) bool {
	n := min(len(b), len(s))
	return string(b[:n]) == s[:n]
}

// wavHeader is the information that a file has before its samples.
type wavHeader struct {
	order       binary.ByteOrder
	format      Format
	codec       codec
	lfe         int   // channel for low-frequency effects, or -1
	fact        int64 // frames according to the fact chunk, or -1
	ds64        int64 // size of the samples according to the ds64 chunk, or -1
	size        int64 // of the samples in bytes, or -1 if it is not known
	claimedSize int64 // of the data chunk, as stated in the file

	warnings warnings
}

// readWAVHeader reads up to the first sample.
func readWAVHeader(r *bufio.Reader) (wavHeader, error) {
	head, err := r.Peek(formLength)
	if !isWAV(head) {
		if err != nil && !errors.Is(err, io.EOF) {
			return wavHeader{}, err
		}
		return wavHeader{}, fmt.Errorf("%w: no RIFF/WAVE header at the start", ErrFormat)
	}
	h := wavHeader{order: binary.LittleEndian, lfe: -1, fact: -1, ds64: -1, size: -1}
	if string(head[:4]) == "RIFX" {
		h.order = binary.BigEndian
	}
	_, _ = r.Discard(formLength) // cannot fail: these bytes were peeked
	for passed := int64(0); passed < maxHeaderBytes; {
		id, size, err := h.readChunkHead(r)
		if err != nil {
			return wavHeader{}, wavCut(err, "before its samples")
		}
		if id == "data" {
			if beginsWAV(r) { // a whole file inside the chunk
				return readWAVHeader(r)
			}
			return h, h.setSize(size)
		}
		if err := h.readChunk(r, id, size); err != nil {
			return wavHeader{}, err
		}
		passed += 8 + size
	}
	return wavHeader{}, fmt.Errorf("%w: no samples in the first %d MB of the WAV", ErrFormat, maxHeaderBytes>>20)
}

// beginsWAV reports whether r begins with a WAV file. It reads more only while that is still
// possible.
func beginsWAV(r *bufio.Reader) bool {
	for n := 1; n <= formLength; n++ {
		if head, _ := r.Peek(n); len(head) < n || !mayBeginWAV(head) {
			return false
		}
	}
	return true
}

func (h *wavHeader) readChunkHead(r *bufio.Reader) (id string, size int64, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", 0, err
	}
	return string(head[:4]), int64(h.order.Uint32(head[4:])), nil
}

// readChunk reads a chunk, or skips it if it says nothing about the samples.
func (h *wavHeader) readChunk(r *bufio.Reader, id string, size int64) (err error) {
	switch id {
	case "fmt ":
		err = h.readFmt(r, size)
	case "fact":
		h.fact, err = h.readNumber(r, size, 0, 4)
	case "ds64":
		h.ds64, err = h.readNumber(r, size, 8, 8)
	default:
		err = skip(r, size)
	}
	if err != nil {
		return wavCut(err, fmt.Sprintf("inside its %q chunk, which claims %d bytes", id, size))
	}
	return skipPad(r, size)
}

// readNumber reads the number of width bytes at an offset of a chunk. It returns -1 if the chunk
// is too short.
func (h *wavHeader) readNumber(r *bufio.Reader, size int64, offset, width int) (int64, error) {
	if size < int64(offset+width) {
		return -1, skip(r, size)
	}
	b := make([]byte, offset+width)
	if _, err := io.ReadFull(r, b); err != nil {
		return -1, err
	}
	number := int64(0)
	if width == 4 {
		number = int64(h.order.Uint32(b[offset:]))
	} else {
		number = int64(h.order.Uint64(b[offset:]))
	}
	return number, skip(r, size-int64(len(b)))
}

// largestFile is the largest size in bytes that is accepted as plausible.
const largestFile = 1 << 45

// setSize sets the size of the samples from the size that the data chunk states.
func (h *wavHeader) setSize(size int64) error {
	if h.codec.name == "" {
		return fmt.Errorf("%w: the WAV has samples before it says their format", ErrFormat)
	}
	switch h.claimedSize = size; {
	case size == 0xffffffff && h.ds64 > 0 && h.ds64 < largestFile:
		h.size = h.ds64
	case isUntilEnd(size):
		h.size = -1
	default:
		h.size = size
	}
	return nil
}

// correctSize corrects the size, given how many bytes of the file are left. It accepts even an
// implausible size if it agrees with the file. If the file is larger than 32 bits can state, the
// stated size counts as the lower half of the real one.
func (h *wavHeader) correctSize(left int64) {
	const chunksBehind = 1 << 20
	over := left - h.claimedSize
	switch {
	case over < 0 || h.ds64 > 0 || h.claimedSize == 0 || h.claimedSize == 0xffffffff || over&0xffffffff > chunksBehind:
	case over < 1<<32:
		h.size = h.claimedSize
	default:
		h.size = h.claimedSize + over>>32<<32
		h.warnings.add("the header claims %d bytes of samples, since 32 bits cannot hold %d; all of them are used",
			h.claimedSize, h.size)
	}
}

// unit returns the number of bytes of a frame, or of a block.
func (h *wavHeader) unit() int {
	if h.codec.blocks != nil {
		return h.codec.blocks.size
	}
	return h.codec.bytes * h.format.Channels
}

// boundary returns the number of bytes after a multiple of which the samples may end. The last
// block may be short.
func (h *wavHeader) boundary() int {
	if h.codec.blocks != nil {
		return 1
	}
	return h.unit()
}

// frames returns the length that the header states, or -1.
func (h *wavHeader) frames() int64 {
	switch {
	case h.size < 0:
		return -1
	case h.isPadded():
		return h.fact
	case h.codec.blocks != nil:
		return h.codec.blocks.framesIn(h.size)
	}
	return h.size / int64(h.unit())
}

// isPadded reports whether the fact chunk states where in the last block the samples end. A fact
// chunk that would cut off more than a block is wrong.
func (h *wavHeader) isPadded() bool {
	if h.codec.blocks == nil || h.size < 0 {
		return false
	}
	all := h.codec.blocks.framesIn(h.size)
	return h.fact > all-int64(h.codec.blocks.frames) && h.fact > 0 && h.fact < all
}

// kind returns the properties that must be the same in a file that follows.
func (h *wavHeader) kind() string { return fmt.Sprintf("%v %s", h.format, h.codec.name) }

// errTrailer reports bytes that end the stream before the end of the input.
var errTrailer = errors.New("what follows the samples is no WAV chunk and left out")

// nextRun is what follows a run of samples: more samples of the file, or another file.
type nextRun int

const (
	sameFile nextRun = iota
	nextFile
)

// passTrailer skips the chunks after a run of samples, up to more samples or another file. The
// error is io.EOF if the input ends, and errTrailer if the next bytes are not a chunk.
func (h *wavHeader) passTrailer(r *bufio.Reader) (nextRun, error) {
	if h.size >= 0 {
		if err := skipPad(r, h.size); err != nil {
			return 0, err
		}
	}
	for passed := int64(0); passed < maxHeaderBytes; {
		head, err := r.Peek(formLength)
		if isWAV(head) {
			return nextFile, nil
		}
		if len(head) == 0 {
			return 0, err
		}
		if len(head) < 8 || !isChunkID(head) {
			return 0, readErrorOr(err, errTrailer)
		}
		id, size, _ := h.readChunkHead(r) // cannot fail: these bytes were peeked
		if id == "data" {
			h.fact = -1
			return sameFile, h.setSize(size)
		}
		if err := skipChunk(r, size); err != nil {
			return 0, err
		}
		passed += 8 + size
	}
	return 0, errTrailer
}

func wavCut(err error, where string) error { return cutShort(err, "WAV", where) }
