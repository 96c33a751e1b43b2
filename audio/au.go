package audio

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// An AU file has a header of six big-endian numbers, a note of any length and the samples.
// The numbers are: the magic number ".snd", the offset of the samples, their size in bytes
// (0xffffffff: not known), their encoding, the rate and the channels (Sun, audio.h).

const auHeader = 24

// auCodecs are the encodings by their number.
var auCodecs = map[uint32]codec{
	1: codecMulaw, 2: codecS8, 3: bigEndian(codecS16LE), 4: bigEndian(codecS24LE), 5: bigEndian(codecS32LE),
	6: bigEndian(codecF32LE), 7: bigEndian(codecF64LE), 27: codecAlaw,
}

func openAU(r *bufio.Reader, end *inputEnd) (decoder, error) {
	var head [auHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, auCut(err)
	}
	if string(head[:4]) != ".snd" {
		return nil, fmt.Errorf("%w: no .snd header at the start", ErrFormat)
	}
	field := func(i int) uint32 { return binary.BigEndian.Uint32(head[4*i:]) }
	format := Format{Rate: int(min(field(4), math.MaxInt32)), Channels: int(min(field(5), math.MaxInt32))}
	if err := format.Check(); err != nil {
		return nil, err
	}
	samples, ok := auCodecs[field(3)]
	if !ok {
		return nil, &foreignError{reason: fmt.Sprintf("the AU holds samples of type %d", field(3))}
	}
	note := int64(field(1)) - auHeader
	if note < 0 || note > maxHeaderBytes {
		return nil, fmt.Errorf("%w: the AU says that its samples begin at byte %d", ErrFormat, field(1))
	}
	if err := skip(r, note); err != nil {
		return nil, auCut(err)
	}
	if isUntilEnd(int64(field(2))) {
		return newContainerPCM(r, "au", format, samples, -1), nil
	}
	dec := newContainerPCM(r, "au", format, samples, int64(field(2)))
	dec.behind = end.rest
	return dec, nil
}

func auCut(err error) error { return cutShort(err, "AU", "before its samples") }
