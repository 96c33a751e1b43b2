package echo

import "slices"

// windowBlock is how many samples are dropped at a time: as many as one read returns.
const windowBlock = pumpSamples

// window holds the last samples of a stream. It drops old samples in blocks and reuses the
// blocks. So it never moves samples, and once it has reached its size it allocates nothing.
type window struct {
	first  int64       // position of the first sample
	blocks [][]float32 // each is full but the last
	spare  [][]float32 // dropped blocks, for reuse
}

// end returns the position after the last sample.
func (w *window) end() int64 {
	last := len(w.blocks) - 1
	if last < 0 {
		return w.first
	}
	return w.first + int64(last*windowBlock+len(w.blocks[last]))
}

// add appends samples.
func (w *window) add(samples []float32) {
	for len(samples) > 0 {
		last := len(w.blocks) - 1
		if last < 0 || len(w.blocks[last]) == windowBlock {
			w.blocks = append(w.blocks, w.newBlock())
			last++
		}
		n := min(len(samples), windowBlock-len(w.blocks[last]))
		w.blocks[last] = append(w.blocks[last], samples[:n]...)
		samples = samples[n:]
	}
}

func (w *window) newBlock() []float32 {
	last := len(w.spare) - 1
	if last < 0 {
		return make([]float32, 0, windowBlock)
	}
	block := w.spare[last]
	w.spare = w.spare[:last]
	return block
}

// drop drops blocks that end before a position.
func (w *window) drop(before int64) {
	n := 0
	for n < len(w.blocks)-1 && w.first+windowBlock <= before {
		w.spare = append(w.spare, w.blocks[n][:0])
		w.first += windowBlock
		n++
	}
	w.blocks = slices.Delete(w.blocks, 0, n)
}

// copyFrom copies samples from a position on, at most to the end of their block, and returns
// how many it copied.
func (w *window) copyFrom(at int64, p []float32) int {
	if at >= w.end() {
		return 0
	}
	offset := int(at - w.first)
	return copy(p, w.blocks[offset/windowBlock][offset%windowBlock:])
}

// before returns a copy of the samples before a position.
func (w *window) before(at int64) []float32 {
	return slices.Concat(w.blocks...)[:at-w.first]
}
