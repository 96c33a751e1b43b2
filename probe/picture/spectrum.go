package picture

import (
	"math"
	"math/bits"
	"math/cmplx"
	"sync"
)

// The transform: 21 ms of samples at 24 kHz give 256 bands of 47 Hz.
const (
	frameLen = 512
	bands    = frameLen / 2
)

// transform holds what every frame needs: the Hann window and the roots of unity.
type transform struct {
	window [frameLen]float64
	roots  [frameLen / 2]complex128
	scale  float64 // of a power: a sine at full scale has 1
}

var newTransform = sync.OnceValue(func() *transform {
	t := &transform{}
	sum := 0.0
	for i := range t.window {
		t.window[i] = 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/frameLen)
		sum += t.window[i]
	}
	for i := range t.roots {
		t.roots[i] = cmplx.Rect(1, -2*math.Pi*float64(i)/frameLen)
	}
	t.scale = 4 / (sum * sum)
	return t
})

// addPower adds the power in each band of one frame to sums.
func (t *transform) addPower(sums []float32, frame *[frameLen]float32) {
	var x [frameLen]complex128
	for i, v := range frame {
		x[bits.Reverse16(uint16(i))>>(16-9)] = complex(float64(v)*t.window[i], 0)
	}
	for size := 2; size <= frameLen; size *= 2 {
		for begin := 0; begin < frameLen; begin += size {
			t.butterflies(x[begin : begin+size])
		}
	}
	for i := range bands {
		sums[i] += float32(t.scale * (real(x[i])*real(x[i]) + imag(x[i])*imag(x[i])))
	}
}

// butterflies combines the transforms of the even and of the odd samples.
func (t *transform) butterflies(x []complex128) {
	half, step := len(x)/2, frameLen/len(x)
	for i := range half {
		even, odd := x[i], x[i+half]*t.roots[i*step]
		x[i], x[i+half] = even+odd, even-odd
	}
}
