package audio

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"

	"echocast/internal/text"
)

// Sample encodings of a WAV "fmt " chunk, from the Microsoft multimedia
// registry (mmreg.h).
const (
	wavInteger    = 0x0001
	wavMSADPCM    = 0x0002
	wavFloat      = 0x0003
	wavAlaw       = 0x0006
	wavMulaw      = 0x0007
	wavIMAADPCM   = 0x0011
	wavExtensible = 0xFFFE
)

// speakerLFE is the bit of the channel mask for low-frequency effects. The bits
// below it are the channels that come before it.
const speakerLFE = 1 << 3

// subFormatTail ends the sub-format of every encoding that has a tag:
// xxxxxxxx-0000-0010-8000-00AA00389B71.
var subFormatTail = []byte{0x80, 0x00, 0x00, 0xAA, 0x00, 0x38, 0x9B, 0x71}

// wavFmt has the fields of a fmt chunk as in the file.
type wavFmt struct {
	tag    uint16
	format Format
	align  int // bytes of a frame, or of a block
	bits   int // of a sample
	mask   uint32
	order  binary.ByteOrder
	extra  []byte // after the first 18 bytes
}

// readFmt reads a fmt chunk: 16 bytes, and more if the encoding needs it.
func (h *wavHeader) readFmt(r *bufio.Reader, size int64) error {
	if size < 16 || size > maxFormatChunk {
		return fmt.Errorf("%w: the WAV's fmt chunk claims %d bytes, 16 to %d are possible", ErrFormat, size, maxFormatChunk)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	f, err := parseFmt(b, h.order)
	if err != nil {
		return err
	}
	h.format, h.lfe = f.format, f.lfe()
	h.codec, err = f.codec()
	if want := h.codec.bytes * f.format.Channels; err == nil && want > 0 && f.align != want && f.align != 0 {
		h.warnings.add("the header claims frames of %d bytes; %s of %d bits are %d", f.align,
			text.Count(f.format.Channels, "channel"), f.bits, want)
	}
	return err
}

func parseFmt(b []byte, order binary.ByteOrder) (wavFmt, error) {
	f := wavFmt{
		tag:    order.Uint16(b),
		format: Format{Rate: int(min(order.Uint32(b[4:]), math.MaxInt32)), Channels: int(order.Uint16(b[2:]))},
		align:  int(order.Uint16(b[12:])),
		bits:   int(order.Uint16(b[14:])),
		order:  order,
		extra:  b[min(18, len(b)):],
	}
	if f.tag == wavExtensible {
		if err := f.extend(); err != nil {
			return f, err
		}
	}
	return f, f.format.Check()
}

// extend reads what an EXTENSIBLE chunk adds: the valid bits of a sample, which
// are its upper ones and need no treatment, the mask of the channels, and the
// encoding as a sub-format.
func (f *wavFmt) extend() error {
	if len(f.extra) < 22 {
		return fmt.Errorf("%w: the WAV's extensible fmt chunk is cut short", ErrFormat)
	}
	guid := f.extra[6:22]
	if !bytes.Equal(guid[8:], subFormatTail) {
		return fmt.Errorf("%w: the WAV holds samples of the unknown sub-format %x", ErrFormat, guid)
	}
	f.mask = f.order.Uint32(f.extra[2:])
	if f.tag = f.order.Uint16(guid); f.tag == 0 {
		f.tag = f.order.Uint16(guid[2:]) // the low half of a big-endian number
	}
	f.extra = f.extra[22:]
	return nil
}

// lfe returns the channel for low-frequency effects, or -1.
func (f *wavFmt) lfe() int {
	at := bits.OnesCount32(f.mask & (speakerLFE - 1))
	if f.mask&speakerLFE == 0 || at >= f.format.Channels {
		return -1
	}
	return at
}

// codec returns the codec of the samples.
func (f *wavFmt) codec() (codec, error) {
	if f.tag == wavMSADPCM || f.tag == wavIMAADPCM {
		return f.adpcm()
	}
	c, ok := f.plain()
	if !ok {
		return codec{}, f.unsupported()
	}
	if f.order == binary.BigEndian {
		c = bigEndian(c)
	}
	return c, nil
}

func (f *wavFmt) plain() (codec, bool) {
	switch f.tag {
	case wavInteger:
		if f.bits >= 1 && f.bits <= 8 {
			return codecU8, true
		}
		if size := (f.bits + 7) / 8; size != 3 || f.align != 4*f.format.Channels {
			return integerCodec(size)
		}
		return integerCodec(4) // 24 bits are the upper ones of 32
	case wavFloat:
		return floatCodec(f.bits)
	case wavAlaw:
		return codecAlaw, true
	case wavMulaw:
		return codecMulaw, true
	}
	return codec{}, false
}

func (f *wavFmt) unsupported() error {
	return &foreignError{reason: fmt.Sprintf("the WAV holds %s samples", f.name())}
}

// wavTags has the names of encodings that are not read, by their number in the same registry.
var wavTags = map[uint16]string{
	0x0014: "G.723 ADPCM", 0x0022: "TrueSpeech", 0x0031: "GSM 6.10", 0x0040: "G.721 ADPCM",
	0x0042: "G.723.1", 0x0045: "G.726",
	0x0050: "MPEG layer I or II", 0x0055: "MP3", 0x0064: "G.726", 0x0065: "G.722", 0x0083: "G.729",
	0x00FF: "AAC", 0x0160: "WMA",
	0x0161: "WMA", 0x0162: "WMA Pro", 0x0163: "WMA Lossless", 0x028F: "G.722", 0x1600: "AAC",
	0x2000: "AC-3", 0x704F: "Opus",
	0xA109: "Speex", 0xF1AC: "FLAC",
}

func (f *wavFmt) name() string {
	switch f.tag {
	case wavInteger:
		return fmt.Sprintf("%d-bit integer", f.bits)
	case wavFloat:
		return fmt.Sprintf("%d-bit float", f.bits)
	case wavMSADPCM, wavIMAADPCM:
		if f.order == binary.BigEndian {
			return "big-endian ADPCM"
		}
		return fmt.Sprintf("%d-bit, %d-channel ADPCM", f.bits, f.format.Channels)
	}
	if name, ok := wavTags[f.tag]; ok {
		return name
	}
	return fmt.Sprintf("%d-bit type 0x%04x", f.bits, f.tag)
}

// adpcm returns the codec of ADPCM, with the layout of a block.
func (f *wavFmt) adpcm() (codec, error) {
	if f.bits != 4 || f.format.Channels > 2 || f.order == binary.BigEndian {
		return codec{}, f.unsupported()
	}
	if f.align == 0 || f.align > maxADPCMBlock {
		return codec{}, fmt.Errorf("%w: the WAV claims ADPCM blocks of %d bytes, 1 to %d are read", ErrFormat,
			f.align, maxADPCMBlock)
	}
	c := codec{name: "adpcm_ima_wav"}
	if f.tag == wavMSADPCM {
		c = codec{name: "adpcm_ms", blocks: newMS(f.align, f.format.Channels, f.predictors())}
	} else {
		c.blocks = newIMA(f.align, f.format.Channels)
	}
	if c.blocks.frames == 0 {
		return codec{}, fmt.Errorf("%w: the WAV's ADPCM blocks of %d bytes are too short to hold a sample",
			ErrFormat, f.align)
	}
	if len(f.extra) >= 2 {
		if frames := int(f.order.Uint16(f.extra)); frames > 0 {
			c.blocks.frames = min(c.blocks.frames, frames)
		}
	}
	return c, nil
}

// predictors returns the pairs of weights in a Microsoft ADPCM header.
func (f *wavFmt) predictors() [][2]int {
	if len(f.extra) < 4 {
		return msPredictors
	}
	words := f.extra[4:]
	count := min(int(f.order.Uint16(f.extra[2:])), len(words)/4)
	if count == 0 {
		return msPredictors
	}
	pairs := make([][2]int, count)
	for i := range pairs {
		pairs[i] = [2]int{int(int16(f.order.Uint16(words[4*i:]))), int(int16(f.order.Uint16(words[4*i+2:])))}
	}
	return pairs
}
