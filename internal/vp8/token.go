package vp8

// order is the order of coefficients in the stream. bandOf is the band of each position in
// it (section 13).
var (
	order  = [16]int{0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15}
	bandOf = [16]int{0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7}
)

// category is a range of levels. It has the probabilities of the bits that encode the
// difference from the lowest level of the range.
type category struct {
	lowest int32
	bits   []uint8
}

var categories = [6]category{
	{5, []uint8{159}},
	{7, []uint8{165, 145}},
	{11, []uint8{173, 148, 140}},
	{19, []uint8{176, 155, 140, 135}},
	{35, []uint8{180, 157, 141, 134, 130}},
	{67, []uint8{254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129}},
}

// block4 writes the levels of a block of four by four. above and left say whether the
// neighbours have levels that are not 0. block4 sets them for this block.
func (e *Encoder) block4(levels *[16]int32, kind int, above, left *bool) {
	first := 0
	if kind == kindLuma {
		first = 1
	}
	end := 16
	for end > first && levels[order[end-1]] == 0 {
		end--
	}
	context := 0
	if *above {
		context++
	}
	if *left {
		context++
	}
	*above, *left = end > first, end > first
	afterZero := false
	for at := first; at < 16; at++ {
		p := &tokenProbabilities[kind][bandOf[at]][context]
		if !afterZero {
			e.tokens.bit(at < end, p[0])
		}
		if at == end {
			return
		}
		level := levels[order[at]]
		context = e.level(level, p)
		afterZero = level == 0
	}
}

// level writes one level that is not the end of its block. It returns the context of the
// next level.
func (e *Encoder) level(level int32, p *[11]uint8) (context int) {
	w := &e.tokens
	size := max(level, -level)
	w.bit(size > 0, p[1])
	if size == 0 {
		return 0
	}
	w.bit(size > 1, p[2])
	context = 1
	if size > 1 {
		e.size(size, p)
		context = 2
	}
	w.bit(level < 0, 128)
	return context
}

// size writes the absolute value of a level, which must be at least 2.
func (e *Encoder) size(size int32, p *[11]uint8) {
	w := &e.tokens
	w.bit(size > 4, p[3])
	if size <= 4 {
		w.bit(size > 2, p[4])
		if size > 2 {
			w.bit(size == 4, p[5])
		}
		return
	}
	n := 0
	for n < 5 && size >= categories[n+1].lowest {
		n++
	}
	w.bit(n >= 2, p[6])
	switch {
	case n < 2:
		w.bit(n == 1, p[7])
	default:
		w.bit(n >= 4, p[8])
		w.bit(n%2 == 1, p[9+n/4])
	}
	c := categories[n]
	for i, probability := range c.bits {
		w.bit((size-c.lowest)>>(len(c.bits)-1-i)&1 != 0, probability)
	}
}
