// Package vp8 encodes drawn pictures as VP8 (RFC 6386), without C. It uses two kinds of
// macroblocks. Changed macroblocks are predicted from the mean of their neighbours and
// encoded. All others are copied from the previous frame. It does not search for motion. So
// a drawing in which little moves takes few bytes. A film takes many more bytes than with
// libvpx.
package vp8

import (
	"errors"
	"image"
)

// Options configure an Encoder. Zero fields mean the defaults.
type Options struct {
	// FrameBytes is the average size of a frame in bytes. After a larger frame, the
	// following frames are coarser. The default is 8000.
	FrameBytes int
}

// The range of quantiser indices.
const (
	finest   = 14
	coarsest = 110
)

// changed is the difference, summed over the 384 samples of a macroblock, from which the
// macroblock is encoded.
const changed = 384

// Encoder encodes frames of one size. Only one goroutine may use it at a time.
type Encoder struct {
	width, height int
	across, down  int // macroblocks
	frameBytes    int
	debt          int // bytes above the average so far

	source *image.YCbCr // each macroblock as it was last encoded
	shown  *image.YCbCr // what the decoder shows
	isNew  []bool       // the macroblocks that are encoded in this frame

	probNew uint8 // the probability of isNew, in units of 1/256

	q      quantiser
	tokens boolWriter
	above  [][9]bool // whether the blocks above have coefficients: 4 Y, 2 U, 2 V, Y2
	left   [9]bool
}

// New returns an encoder for frames with this size in pixels.
func New(width, height int, o *Options) (*Encoder, error) {
	if width < 1 || height < 1 || width >= 1<<14 || height >= 1<<14 {
		return nil, errors.New("vp8: a frame is 1 to 16383 pixels wide and high")
	}
	e := &Encoder{width: width, height: height, across: (width + 15) / 16, down: (height + 15) / 16, frameBytes: 8000}
	if o != nil && o.FrameBytes > 0 {
		e.frameBytes = o.FrameBytes
	}
	padded := image.Rect(0, 0, 16*e.across, 16*e.down)
	e.shown = image.NewYCbCr(padded, image.YCbCrSubsampleRatio420)
	e.isNew = make([]bool, e.across*e.down)
	e.above = make([][9]bool, e.across)
	return e, nil
}

// Encode encodes a frame of the encoder's size in 4:2:0. The first frame is a key frame. If
// key is true, this frame is one too.
func (e *Encoder) Encode(frame *image.YCbCr, key bool) ([]byte, error) {
	size := frame.Bounds().Size()
	if size != image.Pt(e.width, e.height) || frame.SubsampleRatio != image.YCbCrSubsampleRatio420 {
		return nil, errors.New("vp8: the frame has another size or is not 4:2:0")
	}
	padded := pad(frame, e.shown.Rect)
	key = key || e.source == nil
	e.q = newQuantiser(min(coarsest, finest+e.debt*16/e.frameBytes))
	e.findChanges(padded, key)
	w := newBoolWriter(nil)
	e.header(&w, key)
	e.macroblocks(&w, key)
	first := w.flush()
	out := append(tag(key, len(first), e.width, e.height), first...)
	out = append(out, e.tokens.flush()...)
	e.debt = max(0, e.debt+len(out)-e.frameBytes)
	return out, nil
}

// pad fills incomplete macroblocks at the right and bottom edges by repeating the last
// pixels.
func pad(frame *image.YCbCr, to image.Rectangle) *image.YCbCr {
	out := image.NewYCbCr(to, image.YCbCrSubsampleRatio420)
	size, at := frame.Rect.Size(), frame.Rect.Min
	padPlane(out.Y, out.YStride, frame.Y[frame.YOffset(at.X, at.Y):], frame.YStride, size.X, size.Y)
	chroma := frame.COffset(at.X, at.Y)
	padPlane(out.Cb, out.CStride, frame.Cb[chroma:], frame.CStride, (size.X+1)/2, (size.Y+1)/2)
	padPlane(out.Cr, out.CStride, frame.Cr[chroma:], frame.CStride, (size.X+1)/2, (size.Y+1)/2)
	return out
}

func padPlane(to []byte, stride int, from []byte, fromStride, width, height int) {
	for y := range len(to) / stride {
		row := to[y*stride : (y+1)*stride]
		n := copy(row, from[min(y, height-1)*fromStride:][:width])
		for ; n < stride; n++ {
			row[n] = row[width-1]
		}
	}
}

// findChanges finds the macroblocks to encode, and stores their pixels.
func (e *Encoder) findChanges(frame *image.YCbCr, key bool) {
	count := 0
	if e.source == nil {
		e.source = image.NewYCbCr(frame.Rect, frame.SubsampleRatio)
	}
	for i := range e.isNew {
		b := e.block(frame, i)
		last := e.block(e.source, i)
		e.isNew[i] = key || b[0].difference(last[0])+b[1].difference(last[1])+b[2].difference(last[2]) >= changed
		if e.isNew[i] {
			count++
			for n := range b {
				last[n].copy(b[n])
			}
		}
	}
	e.probNew = uint8(max(1, min(255, 256*count/len(e.isNew))))
}

// square is a square part of a plane.
type square struct {
	pix    []byte
	stride int
	size   int
}

// block returns a macroblock of a picture: Y, U and V.
func (e *Encoder) block(m *image.YCbCr, i int) [3]square {
	x, y := i%e.across, i/e.across
	c := 8*y*m.CStride + 8*x
	return [3]square{
		{m.Y[16*y*m.YStride+16*x:], m.YStride, 16},
		{m.Cb[c:], m.CStride, 8},
		{m.Cr[c:], m.CStride, 8},
	}
}

func (s square) difference(other square) (sum int) {
	for y := range s.size {
		a, b := s.pix[y*s.stride:][:s.size], other.pix[y*other.stride:][:s.size]
		for x, v := range a {
			d := int(v) - int(b[x])
			sum += max(d, -d)
		}
	}
	return sum
}

func (s square) copy(from square) {
	for y := range s.size {
		copy(s.pix[y*s.stride:][:s.size], from.pix[y*from.stride:])
	}
}

// tag returns the start of a frame, before the first partition (section 9.1).
func tag(key bool, first, width, height int) []byte {
	const shown = 1 << 4
	bits := first<<5 | shown
	if !key {
		bits |= 1
	}
	out := []byte{byte(bits), byte(bits >> 8), byte(bits >> 16)}
	if key {
		out = append(out, 0x9d, 0x01, 0x2a, byte(width), byte(width>>8), byte(height), byte(height>>8))
	}
	return out
}

// Probabilities that the frame header sets or that a decoder starts with, in units of
// 1/256.
const (
	probLast      = 255 // that a copied macroblock comes from the previous frame
	probKeyLuma   = 156 // with the next: of the prediction from the mean, in key frames
	probKeyLuma2  = 163
	probKeySplit  = 145 // that a macroblock of a key frame is predicted in parts
	probKeyChroma = 142
	probLuma      = 112
	probChroma    = 162
)

// motionUpdates are the probabilities that a frame header changes the probabilities of
// motion vectors (section 17.2).
var motionUpdates = [2][19]uint8{
	{237, 246, 253, 253, 254, 254, 254, 254, 254, 254, 254, 254, 254, 254, 250, 250, 252, 254, 254},
	{231, 243, 245, 253, 254, 254, 254, 254, 254, 254, 254, 254, 254, 254, 251, 251, 254, 254, 254},
}

// noMotion is the probability that a macroblock does not move. Its index counts the copied
// neighbours: two for the one above, two for the one to the left, and one for the one
// between them (section 16.3).
var noMotion = [6]uint8{7, 14, 135, 60, 159, 234}

// header writes the frame header (sections 9.2 and following).
func (e *Encoder) header(w *boolWriter, key bool) {
	if key {
		w.literal(0, 2) // YUV, and values must be clamped
	}
	w.literal(0, 1)  // no segments
	w.literal(0, 10) // no loop filter
	w.literal(0, 1)  // no changes of the loop filter
	w.literal(0, 2)  // one partition of coefficients
	w.literal(uint32(e.q.index), 7)
	w.literal(0, 5) // the same quantiser for all kinds of blocks
	if key {
		w.literal(0, 1) // the probabilities of this frame are not kept
	} else {
		w.literal(0, 2+2+2+2) // the golden and the alternate frame stay
		w.literal(0, 1)
		w.literal(1, 1) // the next frame refers to this one
	}
	for i := range tokenUpdates {
		for j := range tokenUpdates[i] {
			for k := range tokenUpdates[i][j] {
				for _, p := range tokenUpdates[i][j][k] {
					w.bit(false, p)
				}
			}
		}
	}
	w.literal(1, 1) // macroblocks without coefficients are marked
	w.literal(uint32(e.probNew), 8)
	if key {
		return
	}
	w.literal(uint32(e.probNew), 8) // encoded macroblocks are predicted within the frame
	w.literal(probLast, 8)
	w.literal(128, 8)
	w.literal(0, 2) // the probabilities of predictions do not change
	for i := range motionUpdates {
		for _, p := range motionUpdates[i] {
			w.bit(false, p)
		}
	}
}

// macroblocks writes the modes of all macroblocks to w, and their coefficients to
// e.tokens.
func (e *Encoder) macroblocks(w *boolWriter, key bool) {
	e.tokens = newBoolWriter(nil)
	clear(e.above)
	for i, isNew := range e.isNew {
		x := i % e.across
		if x == 0 {
			e.left = [9]bool{}
		}
		w.bit(!isNew, e.probNew)
		switch {
		case key:
			w.bit(true, probKeySplit)
			w.bit(false, probKeyLuma)
			w.bit(false, probKeyLuma2)
			w.bit(false, probKeyChroma)
		case isNew:
			w.bit(false, e.probNew)
			w.bit(false, probLuma)
			w.bit(false, probChroma)
		default:
			w.bit(true, e.probNew)
			w.bit(false, probLast)
			w.bit(false, noMotion[e.copiedAround(i)])
			e.above[x], e.left = [9]bool{}, [9]bool{}
		}
		if isNew {
			e.encode(i)
		}
	}
}

// copiedAround counts the copied neighbours as noMotion does.
func (e *Encoder) copiedAround(i int) (n int) {
	hasLeft, hasAbove := i%e.across > 0, i >= e.across
	if hasAbove && !e.isNew[i-e.across] {
		n += 2
	}
	if hasLeft && !e.isNew[i-1] {
		n += 2
	}
	if hasLeft && hasAbove && !e.isNew[i-e.across-1] {
		n++
	}
	return n
}
