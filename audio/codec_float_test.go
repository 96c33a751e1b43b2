package audio

import (
	"encoding/binary"
	"math"
	"testing"
)

// Floats are bounded at every position, and values within bounds stay the same, bit for bit.
func TestFloatsAreBounded(t *testing.T) {
	values := []float32{0, float32(math.Copysign(0, -1)), 1, -1, loudest, -loudest,
		math.Nextafter32(loudest, 17), -math.Nextafter32(loudest, 17), 1e-45, 1e9, -1e9, math.MaxFloat32,
		float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), -float32(math.NaN())}
	for _, length := range []int{1, 2, 3, 7, 8, floatBlock - 1, floatBlock, floatBlock + 1, 2*floatBlock + 3} {
		for _, v := range values {
			for _, at := range []int{0, length / 2, length - 1} {
				checkBounded(t, length, at, v)
			}
		}
	}
}

func checkBounded(t *testing.T, length, at int, v float32) {
	t.Helper()
	src := make([]byte, 4*length)
	for i := range length {
		binary.LittleEndian.PutUint32(src[4*i:], math.Float32bits(float32(i%7)/8-0.25))
	}
	binary.LittleEndian.PutUint32(src[4*at:], math.Float32bits(v))
	got := make([]float32, length)
	decodeF32LE(got, src)
	for i := range got {
		want := limit(math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:])))
		if math.Float32bits(got[i]) != math.Float32bits(want) {
			t.Fatalf("%v at %d of %d: sample %d is %v, want %v", v, at, length, i, got[i], want)
		}
	}
}
