package audio

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"
	"unsafe"

	"github.com/tphakala/simd/f32"
	"golang.org/x/sys/cpu"
)

// codec converts the bytes of one sample encoding to samples. Each sample has the same number
// of bytes, unless blocks is set.
type codec struct {
	name  string
	bytes int // of one sample
	// decode fills dst from len(dst)×bytes bytes of src, and may use src as
	// scratch space. Samples of 16 bits begin at an even address.
	decode  func(dst []float32, src []byte)
	isFloat bool
	// blocks describes the blocks of samples, or is nil.
	blocks *blockCodec
}

// Integers of n bits become v/2^(n-1). If a container's samples have fewer bits than their
// bytes hold, they are the upper bits, so the same formula applies.
var (
	codecU8    = codec{name: "pcm_u8", bytes: 1, decode: decodeU8}
	codecS8    = codec{name: "pcm_s8", bytes: 1, decode: decodeS8}
	codecS16LE = codec{name: "pcm_s16le", bytes: 2, decode: decodeS16LE}
	codecS24LE = codec{name: "pcm_s24le", bytes: 3, decode: decodeS24LE}
	codecS32LE = codec{name: "pcm_s32le", bytes: 4, decode: decodeS32LE}
	codecF32LE = codec{name: "pcm_f32le", bytes: 4, decode: decodeF32LE, isFloat: true}
	codecF64LE = codec{name: "pcm_f64le", bytes: 8, decode: decodeF64LE, isFloat: true}
	codecMulaw = codec{name: "pcm_mulaw", bytes: 1, decode: decodeMulaw}
	codecAlaw  = codec{name: "pcm_alaw", bytes: 1, decode: decodeAlaw}
)

// rawCodecs are the encodings that can be declared for raw input.
var rawCodecs = map[string]codec{
	"u8": codecU8, "s8": codecS8, "s16le": codecS16LE, "s16be": bigEndian(codecS16LE), "s24le": codecS24LE,
	"s32le": codecS32LE,
	"f32le": codecF32LE, "f64le": codecF64LE, "mulaw": codecMulaw, "alaw": codecAlaw,
}

// RawEncodings lists the encodings of headerless samples that Options.Encoding
// takes.
func RawEncodings() []string { return slices.Sorted(maps.Keys(rawCodecs)) }

// integerCodec returns the little-endian codec of signed integers of 2 to 4 bytes.
func integerCodec(bytes int) (codec, bool) {
	switch bytes {
	case 2:
		return codecS16LE, true
	case 3:
		return codecS24LE, true
	case 4:
		return codecS32LE, true
	}
	return codec{}, false
}

// floatCodec returns the little-endian codec of floats of this size.
func floatCodec(bits int) (codec, bool) {
	switch bits {
	case 32:
		return codecF32LE, true
	case 64:
		return codecF64LE, true
	}
	return codec{}, false
}

// bigEndian returns c with the bytes of each sample in the other order.
func bigEndian(c codec) codec {
	if c.bytes < 2 {
		return c
	}
	little := c.decode
	c.name = strings.TrimSuffix(c.name, "le") + "be"
	c.decode = func(dst []float32, src []byte) {
		swapBytes(src[:len(dst)*c.bytes], c.bytes)
		little(dst, src)
	}
	return c
}

func swapBytes(p []byte, width int) {
	if width == 2 {
		for i := 0; i+1 < len(p); i += 2 {
			p[i], p[i+1] = p[i+1], p[i]
		}
		return
	}
	for ; len(p) >= width; p = p[width:] {
		slices.Reverse(p[:width])
	}
}

func decodeU8(dst []float32, src []byte) {
	src = src[:len(dst)]
	for i := range dst {
		dst[i] = float32(int(src[i])-128) * (1.0 / 128)
	}
}

func decodeS8(dst []float32, src []byte) {
	src = src[:len(dst)]
	for i := range dst {
		dst[i] = float32(int8(src[i])) * (1.0 / 128)
	}
}

// decodeS16LE reads the samples in place.
func decodeS16LE(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	if cpu.IsBigEndian {
		swapBytes(src, 2)
	}
	samples := unsafe.Slice((*int16)(unsafe.Pointer(unsafe.SliceData(src))), len(dst))
	f32.Int16ToFloat32Scale(dst, samples, 1.0/32768)
}

func decodeS24LE(dst []float32, src []byte) {
	src = src[:3*len(dst)]
	for i := range dst {
		b := src[3*i : 3*i+3]
		dst[i] = float32(int32(b[0])|int32(b[1])<<8|int32(int8(b[2]))<<16) * (1.0 / (1 << 23))
	}
}

func decodeS32LE(dst []float32, src []byte) {
	src = src[:4*len(dst)]
	for i := range dst {
		dst[i] = float32(int32(binary.LittleEndian.Uint32(src[4*i:]))) * (1.0 / (1 << 31))
	}
}

// loudest limits floating point input. Values more than 24 dB above full scale are not audio,
// and in the resampler one such value would drown its neighbours.
const loudest = 16

// floatBlock is how many samples are checked together.
const floatBlock = 256

func decodeF32LE(dst []float32, src []byte) {
	src = src[:4*len(dst)]
	if cpu.IsBigEndian {
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	} else {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(dst))), 4*len(dst)), src)
	}
	for block := range slices.Chunk(dst, floatBlock) {
		if isModerate(block) {
			continue
		}
		for i, v := range block {
			block[i] = limit(v)
		}
	}
}

// isModerate reports whether all samples are certainly numbers within loudest. A sample that
// is not makes the sum of the squares too large, or NaN. The result may be false although all
// samples are within loudest.
func isModerate(samples []float32) bool {
	return f32.DotProduct(samples, samples) <= loudest*loudest
}

func decodeF64LE(dst []float32, src []byte) {
	src = src[:8*len(dst)]
	for i := range dst {
		dst[i] = limit(float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))))
	}
}

// limit limits the magnitude of v to loudest. NaN stays NaN.
func limit(v float32) float32 {
	switch {
	case v > loudest:
		return loudest
	case v < -loudest:
		return -loudest
	}
	return v
}

// finite converts any float to a finite sample.
func finite(v float32) float32 {
	if v = limit(v); v != v {
		return 0
	}
	return v
}
