package vp8

// quantiser has the steps for a quantiser index: one for the first coefficient of a block,
// and one for the others.
type quantiser struct {
	index        int
	luma, second [2]int32 // second is for the means of the luma
	chroma       [2]int32
}

func newQuantiser(index int) quantiser {
	dc, ac := stepsDC[index], stepsAC[index]
	return quantiser{
		index: index, luma: [2]int32{dc, ac},
		second: [2]int32{2 * dc, max(8, ac*155/100)}, chroma: [2]int32{min(dc, 132), ac},
	}
}

// quantise converts the coefficients from index first on to levels.
func quantise(c *[16]int32, steps [2]int32, first int) (levels [16]int32) {
	for i := first; i < 16; i++ {
		step := steps[min(i, 1)]
		v := max(c[i], -c[i])
		level := min((v+step*3/8)/step, 2047)
		if c[i] < 0 {
			level = -level
		}
		levels[i] = level
	}
	return levels
}

// restore converts levels to the coefficients that a decoder has.
func restore(levels *[16]int32, steps [2]int32) (c [16]int32) {
	for i, level := range levels {
		c[i] = level * steps[min(i, 1)]
	}
	return c
}

// The kinds of blocks in the token probabilities.
const (
	kindLuma   = 0 // without the means
	kindSecond = 1 // the means of a macroblock's luma
	kindChroma = 2
)

// encode encodes a macroblock, and keeps the decoded result.
func (e *Encoder) encode(i int) {
	source, shown := e.block(e.source, i), e.block(e.shown, i)
	x := i % e.across
	above, left := &e.above[x], &e.left
	for n := range shown {
		shown[n].fill(e.mean(n, i))
	}

	var means [16]int32
	var luma [16][16]int32
	for b := range luma {
		c := forward(source[0].part(b%4, b/4), shown[0].part(b%4, b/4))
		means[b] = c[0]
		luma[b] = quantise(&c, e.q.luma, 1)
	}
	second := forwardMeans(&means)
	levels := quantise(&second, e.q.second, 0)
	e.block4(&levels, kindSecond, &above[8], &left[8])
	second = restore(&levels, e.q.second)
	means = inverseMeans(&second)
	for b := range luma {
		e.block4(&luma[b], kindLuma, &above[b%4], &left[b/4])
		c := restore(&luma[b], e.q.luma)
		c[0] = means[b]
		inverse(&c, shown[0].part(b%4, b/4))
	}

	for n := 1; n < 3; n++ {
		for b := range 4 {
			to := shown[n].part(b%2, b/2)
			c := forward(source[n].part(b%2, b/2), to)
			levels := quantise(&c, e.q.chroma, 0)
			e.block4(&levels, kindChroma, &above[2+2*n+b%2], &left[2+2*n+b/2])
			c = restore(&levels, e.q.chroma)
			inverse(&c, to)
		}
	}
}

// part returns a block of four by four pixels.
func (s square) part(x, y int) square { return square{s.pix[4*y*s.stride+4*x:], s.stride, 4} }

func (s square) fill(v byte) {
	for y := range s.size {
		row := s.pix[y*s.stride:][:s.size]
		for x := range row {
			row[x] = v
		}
	}
}

// mean returns the prediction of a macroblock's plane: the mean of the pixels above and
// to its left, if any (section 12.2).
func (e *Encoder) mean(plane, i int) byte {
	pix, stride, size, shift := e.shown.Y, e.shown.YStride, 16, 4
	if plane > 0 {
		pix, stride, size, shift = [][]byte{e.shown.Cb, e.shown.Cr}[plane-1], e.shown.CStride, 8, 3
	}
	x, y := i%e.across*size, i/e.across*size
	sum, edges := 0, 0
	if y > 0 {
		edges++
		for _, v := range pix[(y-1)*stride+x:][:size] {
			sum += int(v)
		}
	}
	if x > 0 {
		edges++
		for n := range size {
			sum += int(pix[(y+n)*stride+x-1])
		}
	}
	if edges == 0 {
		return 128
	}
	shift += edges - 1
	return byte((sum + 1<<(shift-1)) >> shift)
}

// forward transforms the difference between two blocks.
func forward(source, prediction square) (c [16]int32) {
	for y := range 4 {
		s, p := source.pix[y*source.stride:][:4], prediction.pix[y*prediction.stride:][:4]
		d0, d1 := int32(s[0])-int32(p[0]), int32(s[1])-int32(p[1])
		d2, d3 := int32(s[2])-int32(p[2]), int32(s[3])-int32(p[3])
		a, b, m, n := (d0+d3)*8, (d1+d2)*8, (d1-d2)*8, (d0-d3)*8
		c[4*y], c[4*y+2] = a+b, a-b
		c[4*y+1] = (m*2217 + n*5352 + 14500) >> 12
		c[4*y+3] = (n*2217 - m*5352 + 7500) >> 12
	}
	for x := range 4 {
		a, b := c[x]+c[12+x], c[4+x]+c[8+x]
		m, n := c[4+x]-c[8+x], c[x]-c[12+x]
		c[x], c[8+x] = (a+b+7)>>4, (a-b+7)>>4
		c[4+x] = (m*2217 + n*5352 + 12000) >> 16
		if n != 0 {
			c[4+x]++
		}
		c[12+x] = (n*2217 - m*5352 + 51000) >> 16
	}
	return c
}

// inverse transforms coefficients back and adds them to the prediction in a block, exactly
// as a decoder does (section 14.3).
func inverse(c *[16]int32, to square) {
	const cosine, sine = 20091, 35468 // 65536·(√2·cos(π/8)−1), 65536·√2·sin(π/8)
	var t [16]int32
	for x := range 4 {
		a, b := c[x]+c[8+x], c[x]-c[8+x]
		m := c[4+x]*sine>>16 - (c[12+x] + c[12+x]*cosine>>16)
		n := c[4+x] + c[4+x]*cosine>>16 + c[12+x]*sine>>16
		t[x], t[12+x], t[4+x], t[8+x] = a+n, a-n, b+m, b-m
	}
	for y := range 4 {
		r := t[4*y : 4*y+4]
		a, b := r[0]+r[2], r[0]-r[2]
		m := r[1]*sine>>16 - (r[3] + r[3]*cosine>>16)
		n := r[1] + r[1]*cosine>>16 + r[3]*sine>>16
		row := to.pix[y*to.stride:][:4]
		for x, v := range [4]int32{a + n, b + m, b - m, a - n} {
			row[x] = byte(max(0, min(255, int32(row[x])+(v+4)>>3)))
		}
	}
}

// forwardMeans transforms the means of the 16 luma blocks of a macroblock.
func forwardMeans(in *[16]int32) (c [16]int32) {
	for y := range 4 {
		r := in[4*y : 4*y+4]
		a, d := (r[0]+r[2])*4, (r[1]+r[3])*4
		m, b := (r[1]-r[3])*4, (r[0]-r[2])*4
		c[4*y], c[4*y+1], c[4*y+2], c[4*y+3] = a+d, b+m, b-m, a-d
		if a != 0 {
			c[4*y]++
		}
	}
	for x := range 4 {
		a, d := c[x]+c[8+x], c[4+x]+c[12+x]
		m, b := c[4+x]-c[12+x], c[x]-c[8+x]
		for n, v := range [4]int32{a + d, b + m, b - m, a - d} {
			if v < 0 {
				v++
			}
			c[4*n+x] = (v + 3) >> 3
		}
	}
	return c
}

// inverseMeans inverts forwardMeans, exactly as a decoder does (section 14.3).
func inverseMeans(c *[16]int32) (out [16]int32) {
	var t [16]int32
	for x := range 4 {
		a, b := c[x]+c[12+x], c[4+x]+c[8+x]
		m, d := c[4+x]-c[8+x], c[x]-c[12+x]
		t[x], t[4+x], t[8+x], t[12+x] = a+b, m+d, a-b, d-m
	}
	for y := range 4 {
		r := t[4*y : 4*y+4]
		a, b := r[0]+r[3], r[1]+r[2]
		m, d := r[1]-r[2], r[0]-r[3]
		for n, v := range [4]int32{a + b, m + d, a - b, d - m} {
			out[4*y+n] = (v + 3) >> 3
		}
	}
	return out
}
