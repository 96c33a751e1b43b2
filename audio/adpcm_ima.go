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

// imaIndexes says by how much a code, without its sign, changes the index of the step.
var imaIndexes = [8]int{-1, -1, -1, -1, 2, 4, 6, 8}

func newIMA(size, channels int) *blockCodec {
	head := 4 * channels // and a group has as many bytes
	length := func(bytes int) int {
		if bytes < head {
			return 0
		}
		return 1 + (bytes-head)/head*8
	}
	ima := &imaDecoder{channels: channels}
	return &blockCodec{size: size, frames: length(size), length: length, lookahead: 2 * head, decode: ima.decode}
}

// imaRounding says how a decoder rounds the difference that a code stands for. A decoder must
// round as the encoder did, or the samples drift within each block. No header says which
// rounding the encoder used.
type imaRounding int

const (
	imaTerms imaRounding = iota // round each term down: IMA's reference, Microsoft, sox
	imaSum                      // round the sum down: FFmpeg
	imaRoundings
)

// imaEvidence is the ratio of squared jumps below which FFmpeg's rounding is assumed. Loud
// sound alone causes smaller differences.
const imaEvidence = 0.9

// imaDecoder decodes the blocks of one file. A block begins with an exact sample, so drift
// shows as a jump at the start of the next block. The decoder uses the rounding with the
// smaller jumps so far.
type imaDecoder struct {
	channels int
	jumps    [imaRoundings]float64 // sums of the squared jumps between blocks
	after    [4]float32            // the next block's first two samples of each channel
}

func (d *imaDecoder) decode(dst []float32, block, next []byte) {
	if len(next) == 8*d.channels && len(dst) >= 2*d.channels {
		for r := range imaRoundings {
			d.decodeAs(r, dst, block)
			d.decodeAs(r, d.after[:2*d.channels], next)
			d.jumps[r] += jump(dst, d.after[:2*d.channels])
		}
	}
	best := imaTerms
	if d.jumps[imaSum] < imaEvidence*d.jumps[imaTerms] {
		best = imaSum
	}
	d.decodeAs(best, dst, block)
}

func (d *imaDecoder) decodeAs(rounding imaRounding, dst []float32, block []byte) {
	for c := range d.channels {
		decodeIMA(dst[c:], block[4*c:], d.channels, rounding)
	}
}

// jump returns the squared distance between the first frame of after and the value that
// the slopes on both sides of the edge predict.
func jump(before, after []float32) (sum float64) {
	channels := len(after) / 2
	for c := range channels {
		last, first := before[len(before)-channels+c], after[c]
		slopes := last - before[len(before)-2*channels+c] + after[channels+c] - first
		off := float64(first - last - slopes/2)
		sum += off * off
	}
	return sum
}

// decodeIMA decodes one channel (its header starts the block) into every channels-th sample of
// dst.
func decodeIMA(dst []float32, block []byte, channels int, rounding imaRounding) {
	sample := int(int16(binary.LittleEndian.Uint16(block)))
	index := min(int(block[2]), len(imaSteps)-1)
	dst[0] = float32(sample) * (1.0 / 32768)
	for i := 1; i*channels < len(dst); i++ {
		code := block[4*channels*(1+(i-1)/8)+(i-1)%8/2]
		if i%2 == 0 {
			code >>= 4
		}
		sample = clamp16(sample + rounding.difference(code&15, imaSteps[index]))
		index = max(0, min(len(imaSteps)-1, index+imaIndexes[code&7]))
		dst[i*channels] = float32(sample) * (1.0 / 32768)
	}
}

// difference returns (code+½)·step/4, with the sign of the code.
func (r imaRounding) difference(code byte, step int) int {
	d := (2*int(code&7) + 1) * step >> 3
	if r == imaTerms {
		d = step>>3 + int(code>>2&1)*step + int(code>>1&1)*(step>>1) + int(code&1)*(step>>2)
	}
	if code&8 != 0 {
		return -d
	}
	return d
}
