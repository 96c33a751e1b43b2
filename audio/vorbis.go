package audio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/jfreymuth/vorbis"
)

// Vorbis has three header packets (Vorbis I, section 4.2): the first is
//
//	 0  0x01, "vorbis", 4 bytes of version (0)
//	11  channels
//	12  4 bytes: sampling rate
//	16  3 times 4 bytes of bit rates
//	28  two exponents of 2 in a byte: the block sizes, the smaller one low
//	29  a byte of which the lowest bit is 1
//
// then one with comments, and one with the codebooks and the other settings of the decoder.
const (
	vorbisHeadLength = 30
	vorbisComments   = 3
	vorbisSetup      = 5
	vorbisMinBlock   = 6 // exponents of 2
	vorbisMaxBlock   = 13
)

// vorbisCodec decodes Vorbis packets.
//
// The decoder is that of jfreymuth/oggvorbis, without its Ogg reader. That reader panics on a
// page without segments, recurses on each page without packets, and stops after the first of
// several streams.
type vorbisCodec struct {
	decoder vorbis.Decoder
	out     []float32
}

func newVorbis(pages *oggPages, head []byte) (oggSound, error) {
	sound, err := parseVorbisHead(head)
	if err != nil {
		return sound, err
	}
	codec := &vorbisCodec{}
	if err := decodeSafely("Vorbis", func() error { return codec.decoder.ReadHeader(head) }); err != nil {
		return sound, err
	}
	// The decoder does not get the comments, because it would allocate memory for as many
	// comments as the packet claims to have.
	if _, err := vorbisHeader(pages, vorbisComments); err != nil {
		return sound, err
	}
	setup, err := vorbisHeader(pages, vorbisSetup)
	if err != nil {
		return sound, err
	}
	if !setup.whole() {
		return sound, fmt.Errorf("%w: the Vorbis setup has %d bytes", ErrFormat, setup.size)
	}
	if err := checkVorbisSetup(setup.data); err != nil {
		return sound, fmt.Errorf("%w: the Vorbis setup is damaged: %v", ErrFormat, err)
	}
	if err := decodeSafely("Vorbis", func() error { return codec.decoder.ReadHeader(setup.data) }); err != nil {
		return sound, err
	}
	codec.out = make([]float32, codec.decoder.BufferSize())
	sound.codec = codec
	return sound, nil
}

func parseVorbisHead(head []byte) (oggSound, error) {
	if len(head) < vorbisHeadLength || binary.LittleEndian.Uint32(head[7:]) != 0 || head[29]&1 == 0 {
		return oggSound{}, fmt.Errorf("%w: the Vorbis header is damaged", ErrFormat)
	}
	rate := binary.LittleEndian.Uint32(head[12:])
	format := Format{Rate: int(min(rate, math.MaxInt32)), Channels: int(head[11])}
	if err := format.Check(); err != nil {
		return oggSound{}, err
	}
	if short, long := head[28]&15, head[28]>>4; short < vorbisMinBlock || long < short || long > vorbisMaxBlock {
		return oggSound{}, fmt.Errorf("%w: Vorbis with blocks of 2^%d and 2^%d samples", ErrFormat, short, long)
	}
	return oggSound{name: "Vorbis", format: format, tick: 1, mayBeginEarly: true}, nil
}

// vorbisHeader reads the next header packet, which must be of that kind.
func vorbisHeader(pages *oggPages, kind byte) (oggPacket, error) {
	p, err := pages.header()
	if err == nil && (!vorbis.IsHeader(p.data) || p.data[0] != kind) {
		err = fmt.Errorf("%w: the Vorbis stream lacks its header packet %d", ErrFormat, kind)
	}
	return p, err
}

// duration decodes packets only to learn their length, because only the decoder knows the size
// of their blocks. It stops at damage, which decode reports later.
func (c *vorbisCodec) duration(packets []oggPacket) int64 {
	defer c.decoder.Clear()
	total := 0
	for _, p := range packets {
		err := decodeSafely("Vorbis", func() error {
			samples, err := c.decode(p.data)
			total += len(samples)
			return err
		})
		if err != nil {
			break
		}
	}
	return int64(total / c.decoder.Channels())
}

// decode returns no samples for the first packet, which only begins the overlap with the next,
// and none for an empty packet.
func (c *vorbisCodec) decode(packet []byte) ([]float32, error) {
	if len(packet) == 0 {
		return nil, nil
	}
	samples, err := c.decoder.DecodeInto(packet, c.out)
	for i, v := range samples {
		samples[i] = finite(v)
	}
	return samples, err
}

// Limits of the memory that a setup packet makes the decoder allocate, far above what encoders
// use.
const (
	maxVorbisEntries = 1 << 16 // of one codebook
	maxVorbisSum     = 1 << 17 // of all together
	maxVorbisValues  = 1 << 21 // of all together
)

var (
	errVorbisCut   = errors.New("it ends inside a codebook")
	errVorbisBook  = errors.New("a codebook is invalid")
	errVorbisHuge  = errors.New("its codebooks are too large")
	errVorbisEmpty = errors.New("a codebook has no entry")
)

// checkVorbisSetup checks the codebooks of a setup packet (Vorbis I, section 3.2.1) before the
// decoder reads them. The decoder allocates as much memory as they claim, and never returns if
// one of them is empty; recover cannot help against either.
func checkVorbisSetup(packet []byte) error {
	r := &lowBitReader{data: packet[7:]}
	entries, values := 0, 0
	for range r.read(8) + 1 {
		n, v, err := vorbisCodebook(r)
		if err != nil {
			return err
		}
		if entries += n; entries > maxVorbisSum {
			return errVorbisHuge
		}
		if values += v; values > maxVorbisValues {
			return errVorbisHuge
		}
	}
	return nil
}

// vorbisCodebook reads one codebook, and returns how many entries and values it has.
func vorbisCodebook(r *lowBitReader) (entries, values int, err error) {
	const sync = 0x564342
	if r.read(24) != sync {
		return 0, 0, errVorbisBook
	}
	dimensions := r.read(16)
	entries = r.read(24)
	switch {
	case dimensions == 0 || entries == 0:
		return 0, 0, errVorbisEmpty
	case entries > maxVorbisEntries:
		return 0, 0, errVorbisHuge
	}
	if err := vorbisLengths(r, entries); err != nil {
		return 0, 0, err
	}
	kind := r.read(4)
	if kind > 2 {
		return 0, 0, errVorbisBook
	}
	if kind > 0 {
		if values = entries * dimensions; values > maxVorbisValues {
			return 0, 0, errVorbisHuge
		}
		vorbisValues(r, kind, entries, dimensions)
	}
	if r.isOver {
		return 0, 0, errVorbisCut
	}
	return entries, values, nil
}

// vorbisLengths reads the code word lengths of a codebook's entries.
func vorbisLengths(r *lowBitReader, entries int) error {
	used := 0
	if r.read(1) == 1 {
		r.read(5)
		for used < entries && !r.isOver {
			used += r.read(bits.Len(uint(entries - used)))
		}
		if used > entries {
			return errVorbisBook
		}
	} else {
		sparse := r.read(1) == 1
		for range entries {
			if !sparse || r.read(1) == 1 {
				r.read(5)
				used++
			}
		}
	}
	if r.isOver {
		return errVorbisCut
	}
	if used == 0 {
		return errVorbisEmpty
	}
	return nil
}

// vorbisValues reads the multiplicands of a codebook's vectors.
func vorbisValues(r *lowBitReader, kind, entries, dimensions int) {
	r.skip(32 + 32)
	width := r.read(4) + 1
	r.read(1)
	count := entries * dimensions
	if kind == 1 {
		count = int(math.Floor(math.Pow(float64(entries), 1/float64(dimensions))))
	}
	r.skip(count * width)
}

// lowBitReader reads bits from the lowest of each byte on.
type lowBitReader struct {
	data   []byte
	at     int // in bits
	isOver bool
}

// read reads n bits, at most 32. Beyond the end it reads zeros.
func (r *lowBitReader) read(n int) int {
	value := 0
	for i := range n {
		if r.at+i >= 8*len(r.data) {
			r.isOver = true
			break
		}
		bit := r.data[(r.at+i)/8] >> ((r.at + i) % 8) & 1
		value |= int(bit) << i
	}
	r.at += n
	return value
}

func (r *lowBitReader) skip(n int) {
	if r.at += n; r.at > 8*len(r.data) {
		r.isOver = true
	}
}
