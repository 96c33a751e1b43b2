package audio

import (
	"errors"
	"io"
)

// ADPCM stores four bits a sample: the difference from a prediction by earlier samples, in
// steps. The step size adapts, so a decoder can begin only where its state is known: at the
// start of a block, whose header holds the state.

// maxADPCMBlock is the longest block that is read. Encoders make blocks of 256
// to 8192 bytes.
const maxADPCMBlock = 16 << 10

// blockCodec decodes samples that come in blocks.
type blockCodec struct {
	size   int // bytes of a block; the last block may be shorter
	frames int // frames of a whole block
	// length returns the number of frames in the first bytes of a block.
	length func(bytes int) int
	// lookahead is how many bytes of the following block decode reads.
	lookahead int
	// decode fills dst with whole frames from the start of block. next is the start of the
	// following block: lookahead bytes, or fewer at the end of the input.
	decode func(dst []float32, block, next []byte)
}

// framesIn returns the number of frames in size bytes of samples.
func (c *blockCodec) framesIn(size int64) int64 {
	block := int64(c.size)
	return size/block*int64(c.frames) + int64(c.partial(int(size%block)))
}

func (c *blockCodec) partial(bytes int) int { return min(c.frames, c.length(bytes)) }

// blockReader decodes one block after another.
type blockReader struct {
	r        io.Reader
	channels int
	codec    *blockCodec
	block    []byte    // a block and the start of the next
	have     int       // bytes of block that were read as lookahead
	samples  []float32 // buffer for the samples of a block
	ready    []float32 // decoded, not delivered yet
	rest     int       // bytes at the end that hold no frame
	readErr  error     // why reading ended; the lookahead may still be buffered
	err      error
}

func newBlockReader(r io.Reader, channels int) *blockReader {
	return &blockReader{r: r, channels: channels}
}

func (b *blockReader) restart(c codec) {
	b.codec = c.blocks
	if need := b.codec.size + b.codec.lookahead; need > len(b.block) {
		b.block = make([]byte, need)
	}
	if need := b.codec.frames * b.channels; need > len(b.samples) {
		b.samples = make([]float32, need)
	}
	b.ready, b.have, b.rest, b.readErr, b.err = nil, 0, 0, nil, nil
}

func (b *blockReader) leftover() int { return b.rest }

// ReadSamples returns the remaining samples of a block, or else those of the next block.
func (b *blockReader) ReadSamples(p []float32) (int, error) {
	for len(b.ready) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		b.next()
	}
	n := copy(p[:len(p)/b.channels*b.channels], b.ready)
	b.ready = b.ready[n:]
	return n, nil
}

// next reads and decodes a block. If the input ends inside it, next decodes the part that
// is there.
func (b *blockReader) next() {
	n := b.have
	if b.readErr == nil {
		var read int
		read, b.readErr = io.ReadFull(b.r, b.block[n:b.codec.size+b.codec.lookahead])
		n += read
		if errors.Is(b.readErr, io.ErrUnexpectedEOF) {
			b.readErr = io.EOF
		}
	}
	block, next := b.block[:min(n, b.codec.size)], b.block[min(n, b.codec.size):n]
	if len(next) == 0 {
		b.err = b.readErr
	}
	b.ready = b.samples[:b.codec.partial(len(block))*b.channels]
	if len(b.ready) == 0 {
		b.rest = len(block)
	} else {
		b.codec.decode(b.ready, block, next)
	}
	b.have = copy(b.block, next)
}

func clamp16(v int) int { return max(-32768, min(32767, v)) }
