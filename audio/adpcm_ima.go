package audio

import "encoding/binary"

// A block of IMA ADPCM begins with four bytes a channel: the first sample (two
// bytes), the index of the step and a zero. Groups of eight samples follow, four
// bytes for each channel in turn, the lower half of a byte first (Microsoft
// multimedia registry, "IMA ADPCM").

// imaSteps are the step sizes, each about a tenth larger than the one before
// (IMA, Recommended Practices for Enhancing Digital Audio Compatibility, 1992).
var imaSteps = [89]int{
	7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73, 80, 88, 97, 107, 118,
	130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494, 544, 598, 658, 724, 796, 876, 963, 1060,
	1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132,
	7845, 8630, 9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767,
}

// imaIndexes is how a code moves the index of the step.
var imaIndexes = [8]int{-1, -1, -1, -1, 2, 4, 6, 8}

func newIMA(size, channels int) *blockCodec {
	head := 4 * channels // and a group has as many bytes
	length := func(bytes int) int {
		if bytes < head {
			return 0
		}
		return 1 + (bytes-head)/head*8
	}
	decode := func(dst []float32, block []byte) {
		for c := range channels {
			decodeIMA(dst[c:], block[4*c:], channels)
		}
	}
	return &blockCodec{size: size, frames: length(size), length: length, decode: decode}
}

// decodeIMA decodes the channel whose header block starts with into every
// channels-th sample of dst.
func decodeIMA(dst []float32, block []byte, channels int) {
	sample := int(int16(binary.LittleEndian.Uint16(block)))
	index := min(int(block[2]), len(imaSteps)-1)
	dst[0] = float32(sample) * (1.0 / 32768)
	for i := 1; i*channels < len(dst); i++ {
		code := block[4*channels*(1+(i-1)/8)+(i-1)%8/2]
		if i%2 == 0 {
			code >>= 4
		}
		sample = clamp16(sample + imaDifference(code&15, imaSteps[index]))
		index = max(0, min(len(imaSteps)-1, index+imaIndexes[code&7]))
		dst[i*channels] = float32(sample) * (1.0 / 32768)
	}
}

// imaDifference is (code+½)·step/4, each of its terms rounded down as in the
// IMA's reference decoder. FFmpeg rounds their sum and drifts from it by a few
// units until the next block.
func imaDifference(code byte, step int) int {
	d := step >> 3
	if code&4 != 0 {
		d += step
	}
	if code&2 != 0 {
		d += step >> 1
	}
	if code&1 != 0 {
		d += step >> 2
	}
	if code&8 != 0 {
		return -d
	}
	return d
}
