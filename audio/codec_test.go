package audio

import (
	"encoding/binary"
	"testing"
)

// All 16-bit values decode correctly, at every length that is not a multiple of the vector
// width.
func TestDecodeS16(t *testing.T) {
	src := make([]byte, 2<<16)
	for v := range 1 << 16 {
		binary.LittleEndian.PutUint16(src[2*v:], uint16(v))
	}
	for _, count := range []int{1 << 16, 0, 1, 7, 8, 9, 15, 16, 17} {
		from := (1<<16 - count) / 2
		dst := make([]float32, count)
		decodeS16LE(dst, src[2*from:])
		for i, v := range dst {
			if want := float32(int16(uint16(from+i))) / 32768; v != want {
				t.Fatalf("%d of %d: %g, want %g", i, count, v, want)
			}
		}
	}
}

func TestAverageStereo(t *testing.T) {
	src := make([]float32, 40)
	for i := range src {
		src[i] = float32(i*i) / 1024
	}
	for count := range len(src)/2 + 1 {
		dst := make([]float32, count)
		averageStereo(dst, src)
		for i, v := range dst {
			if want := (src[2*i] + src[2*i+1]) / 2; v != want {
				t.Fatalf("%d of %d: %g, want %g", i, count, v, want)
			}
		}
	}
}
