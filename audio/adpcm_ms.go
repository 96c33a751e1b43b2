package audio

import (
	"encoding/binary"
	"math"
)

// A block of Microsoft ADPCM begins with the number of the predictor of each
// channel (a byte), then the step of each, its second sample and its first (two
// bytes each). The samples after the second follow, the upper half of a byte
// first and the channels in turn (Microsoft multimedia registry, "Microsoft
// ADPCM").

// msPredictors weigh the last sample and the one before it, in 1/256, unless the header
// has others.
var msPredictors = [][2]int{{256, 0}, {512, -256}, {0, 0}, {192, 64}, {240, 0}, {460, -208}, {392, -232}}

// msAdaptions says by how much a code scales the step, in 1/256.
var msAdaptions = [16]int{230, 230, 230, 230, 307, 409, 512, 614, 768, 614, 512, 409, 307, 230, 230, 230}

func newMS(size, channels int, predictors [][2]int) *blockCodec {
	head := 7 * channels
	length := func(bytes int) int {
		if bytes < head {
			return 0
		}
		return 2 + (bytes-head)*2/channels
	}
	decode := func(dst []float32, block, _ []byte) {
		for c := range channels {
			s := newMSState(block, c, channels, predictors)
			s.decode(dst[c:], block[head:], c, channels)
		}
	}
	return &blockCodec{size: size, frames: length(size), length: length, decode: decode}
}

// msState is one channel within a block.
type msState struct {
	predictor    [2]int
	step         int
	last, before int
}

// newMSState reads the header of channel c. If the header names a predictor that does not
// exist, newMSState uses the first one, as sox does.
func newMSState(block []byte, c, channels int, predictors [][2]int) msState {
	word := func(field int) int {
		return int(int16(binary.LittleEndian.Uint16(block[channels*(2*field+1)+2*c:])))
	}
	s := msState{predictor: predictors[0], step: word(0), last: word(1), before: word(2)}
	if i := int(block[c]); i < len(predictors) {
		s.predictor = predictors[i]
	}
	return s
}

func (s *msState) decode(dst []float32, codes []byte, c, channels int) {
	dst[0] = float32(s.before) * (1.0 / 32768)
	if channels < len(dst) {
		dst[channels] = float32(s.last) * (1.0 / 32768)
	}
	for i := 2; i*channels < len(dst); i++ {
		at := (i-2)*channels + c
		code := codes[at/2] >> (4 - at%2*4) & 15
		dst[i*channels] = float32(s.next(code)) * (1.0 / 32768)
	}
}

// next returns the sample for a code, a signed number of steps. The prediction is
// rounded down, as Microsoft does; FFmpeg rounds it towards zero.
func (s *msState) next(code byte) int {
	predicted := (s.last*s.predictor[0] + s.before*s.predictor[1]) >> 8
	sample := clamp16(predicted + int(int8(code<<4)>>4)*s.step)
	s.before, s.last = s.last, sample
	s.step = max(16, min(msAdaptions[code]*s.step>>8, math.MaxInt32/768))
	return sample
}
