// Package pcm converts samples to 16 bits, and to mu-law and back. All rooms and the
// stand-in replica use it, so that they convert in the same way.
package pcm

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/tphakala/simd/f32"
	"github.com/tphakala/simd/i16"
	"golang.org/x/sys/cpu"
)

// fullScale is the 16-bit magnitude of the sample 1, which saturates.
const fullScale = 32768

// Quantise converts the samples of src to 16 bits in dst, rounding half to even. It returns
// how many were clipped. dst must be as long as src. Samples beyond full scale saturate.
// NaN becomes silence.
func Quantise(dst []int16, src []float32) (clipped int) {
	f32.Float32ToInt16Scale(dst, src, fullScale)
	if i16.MaxAbs(dst) < math.MaxInt16 {
		return 0
	}
	return Clipped(src)
}

// Clipped returns how many samples Quantise would clip: those that are out of range even
// after rounding.
func Clipped(samples []float32) (clipped int) {
	for _, v := range samples {
		if v *= fullScale; v > math.MaxInt16+0.5 || v < math.MinInt16-0.5 {
			clipped++
		}
	}
	return clipped
}

// Quantiser converts the samples of one utterance to bytes. The zero value is ready to use.
// Only one goroutine may use it at a time.
type Quantiser struct {
	samples []int16
	clipped int64
}

// Bytes returns src as signed 16-bit little-endian samples, converted by Quantise. The
// bytes are valid until the next call.
func (q *Quantiser) Bytes(src []float32) []byte {
	q.samples = slices.Grow(q.samples[:0], len(src))[:len(src)]
	q.clipped += int64(Quantise(q.samples, src))
	return Bytes(q.samples)
}

// Clipped returns how many samples were clipped since the last Reset.
func (q *Quantiser) Clipped() int64 { return q.clipped }

// Reset prepares for the next utterance.
func (q *Quantiser) Reset() { q.clipped = 0 }

// Bytes returns samples as signed 16-bit little-endian bytes in the same memory. On a
// big-endian machine it swaps the bytes of each sample in place.
func Bytes(samples []int16) []byte {
	if cpu.IsBigEndian {
		for i, v := range samples {
			samples[i] = int16(bits.ReverseBytes16(uint16(v)))
		}
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(samples))), 2*len(samples))
}

// Samples returns the samples of signed 16-bit little-endian bytes. It ignores half a
// sample at the end.
func Samples(data []byte) []int16 {
	out := make([]int16, len(data)/2)
	for i := range out {
		out[i] = int16(binary.LittleEndian.Uint16(data[2*i:]))
	}
	return out
}

// WAVHeader returns the header of a WAV file that contains size bytes of 16-bit samples at
// a rate in Hz, with one or two channels. The size math.MaxUint32 means that the length is
// not known.
func WAVHeader(rate, channels int, size uint32) []byte {
	h := binary.LittleEndian.AppendUint32([]byte("RIFF"), min(size, math.MaxUint32-36)+36)
	h = append(h, "WAVEfmt \x10\x00\x00\x00\x01\x00"...)
	h = append(h, byte(channels), 0)
	h = binary.LittleEndian.AppendUint32(h, uint32(rate))
	h = binary.LittleEndian.AppendUint32(h, uint32(2*channels*rate))
	h = append(h, byte(2*channels), 0, 16, 0)
	return binary.LittleEndian.AppendUint32(append(h, "data"...), size)
}
