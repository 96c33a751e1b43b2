package pcm

import "math/bits"

// Mu-law stores the logarithm of a sample in 8 bits: a sign, the number of the segment
// (each is twice as wide as the previous one), and four bits for the position in the
// segment. All bits are inverted (ITU-T G.711, table 2; its 14-bit values are scaled to 16
// bits). With the bias, every segment begins at a power of two.
const (
	muLawBias    = 132
	muLawLargest = 32635 // larger samples are clipped
)

// EncodeMuLaw returns the mu-law code of a sample.
func EncodeMuLaw(sample int16) byte {
	size, sign := int(sample), byte(0)
	if size < 0 {
		size, sign = -size, 0x80
	}
	size = min(size, muLawLargest) + muLawBias
	segment := bits.Len(uint(size)) - 8
	return ^(sign | byte(segment<<4) | byte(size>>(segment+3)&15))
}

// DecodeMuLaw returns the sample of a mu-law code.
func DecodeMuLaw(code byte) int16 {
	code = ^code
	size := (int16(code&15)<<3+muLawBias)<<(code>>4&7) - muLawBias
	if code&0x80 != 0 {
		return -size
	}
	return size
}

// DecodeALaw returns the sample of an A-law code: a sign, the number of the segment (each
// is twice as wide as the previous one, except the lowest two), and four bits for the
// position in the segment. Every second bit is inverted.
func DecodeALaw(code byte) int16 {
	code ^= 0x55
	segment, place := code>>4&7, int16(code&15)
	v := place<<4 + 8
	if segment > 0 {
		v = (v + 256) << (segment - 1)
	}
	if code&0x80 == 0 {
		return -v
	}
	return v
}

// Encode returns the code of each sample. encode is a function such as EncodeMuLaw.
func Encode(samples []int16, encode func(sample int16) byte) []byte {
	out := make([]byte, len(samples))
	for i, sample := range samples {
		out[i] = encode(sample)
	}
	return out
}

// Decode returns the sample of each code. decode is a function such as DecodeMuLaw.
func Decode(codes []byte, decode func(code byte) int16) []int16 {
	out := make([]int16, len(codes))
	for i, code := range codes {
		out[i] = decode(code)
	}
	return out
}
