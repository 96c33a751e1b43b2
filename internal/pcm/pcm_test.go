package pcm

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// quantised is the rule, one sample at a time.
func quantised(v float32) (sample int16, clipped bool) {
	exact := math.RoundToEven(float64(v) * 32768)
	switch {
	case v != v:
		return 0, false
	case exact > math.MaxInt16:
		return math.MaxInt16, float64(v)*32768 > math.MaxInt16+0.5
	case exact < math.MinInt16:
		return math.MinInt16, float64(v)*32768 < math.MinInt16-0.5
	}
	return int16(exact), false
}

// Every length and offset gives the same result with another mix of SIMD and single samples.
func TestQuantise(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	special := []float32{nan, inf, -inf, 1, -1, 0, 0.5 / 32768, 1.5 / 32768, -0.5 / 32768, 32767.4 / 32768,
		32767.6 / 32768, -32768.4 / 32768, -32768.6 / 32768, 2, -2}
	random := rand.New(rand.NewPCG(1, 2))
	for length := range 70 {
		src := make([]float32, length)
		var want bytes.Buffer
		wantClipped := 0
		for i := range src {
			src[i] = float32(random.NormFloat64() / 3)
			if random.IntN(4) == 0 {
				src[i] = special[random.IntN(len(special))]
			}
			sample, clipped := quantised(src[i])
			_ = binary.Write(&want, binary.LittleEndian, sample)
			if clipped {
				wantClipped++
			}
		}
		var q Quantiser
		if got := q.Bytes(src); !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("%v: got %v, want %v", src, got, want.Bytes())
		}
		if got := q.Clipped(); got != int64(wantClipped) {
			t.Fatalf("%v: %d are clipped, want %d", src, got, wantClipped)
		}
		q.Reset()
		if got := q.Clipped(); got != 0 {
			t.Fatalf("after Reset %d are clipped", got)
		}
	}
}

// Every 16-bit sample passes unchanged, since 24 kHz mono input is sent bit for bit.
func TestQuantiseKeepsEvery16BitSample(t *testing.T) {
	samples := make([]float32, 1<<16)
	for i := range samples {
		samples[i] = float32(i-1<<15) / 32768
	}
	out := make([]int16, len(samples))
	if clipped := Quantise(out, samples); clipped != 0 {
		t.Errorf("%d samples within range count as clipped", clipped)
	}
	for i := range samples {
		if int(out[i]) != i-1<<15 {
			t.Fatalf("%d became %d", i-1<<15, out[i])
		}
	}
}

func TestQuantiseRoundsAndSaturates(t *testing.T) {
	const lsb = 1.0 / 32768
	for _, c := range []struct {
		in      float32
		want    int16
		clipped int
	}{
		{0, 0, 0}, {0.5 * lsb, 0, 0}, {1.5 * lsb, 2, 0}, {2.5 * lsb, 2, 0}, {-0.5 * lsb, 0, 0}, {-1.5 * lsb, -2, 0},
		{0.49 * lsb, 0, 0}, {0.51 * lsb, 1, 0}, {1 - lsb, 32767, 0}, {1 - 0.5*lsb, 32767, 0}, {1, 32767, 1},
		{-1, -32768, 0}, {-1 - 0.4*lsb, -32768, 0}, {-1 - lsb, -32768, 1}, {16, 32767, 1}, {-16, -32768, 1},
		{math.MaxFloat32, 32767, 1}, {float32(math.Inf(-1)), -32768, 1}, {float32(math.NaN()), 0, 0},
	} {
		// At each place among those that are looked at together, and after them.
		for at := range 40 {
			in := make([]float32, 40)
			in[at] = c.in
			out, want := make([]int16, len(in)), make([]int16, len(in))
			want[at] = c.want
			if clipped := Quantise(out, in); !slices.Equal(out, want) || clipped != c.clipped {
				t.Errorf("%g became %d with %d clipped, want %d with %d", c.in, out, clipped, want, c.clipped)
			}
		}
	}
}

func TestBytesDoesNotAllocate(t *testing.T) {
	var q Quantiser
	src := make([]float32, 1200)
	if n := testing.AllocsPerRun(10, func() { q.Bytes(src) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Each code decodes and encodes to itself, and each sample to the nearest value of its
// segment: at most half a step away.
func TestMuLaw(t *testing.T) {
	for code := range 256 {
		back := EncodeMuLaw(DecodeMuLaw(byte(code)))
		if back != byte(code) && code != 0x7f { // 0x7f is -0
			t.Errorf("code %#02x is %d and then %#02x", code, DecodeMuLaw(byte(code)), back)
		}
	}
	for sample := math.MinInt16; sample <= math.MaxInt16; sample++ {
		got := int(DecodeMuLaw(EncodeMuLaw(int16(sample))))
		size := max(sample, -sample)
		step := 8
		for limit := 256; size+muLawBias >= limit && step < 1024; limit *= 2 {
			step *= 2
		}
		if off := max(got-sample, sample-got); off > step/2 && size <= muLawLargest {
			t.Fatalf("%d becomes %d, with a step of %d", sample, got, step)
		}
	}
	for sample, want := range map[int16]byte{8: 0xfe, -8: 0x7e, 132: 0xef, -132: 0x6f, 1000: 0xce, -1000: 0x4e,
		32767: 0x80, -32768: 0x00} {
		if got := EncodeMuLaw(sample); got != want {
			t.Errorf("%d is %#x, want %#x", sample, got, want)
		}
	}
	for code, want := range map[byte]int16{0xff: 0, 0x80: 32124, 0x00: -32124, 0xf0: 120, 0x70: -120} {
		if got := DecodeMuLaw(code); got != want {
			t.Errorf("code %#02x is %d, want %d", code, got, want)
		}
	}
}

// Samples reads what Bytes and Encode write, and leaves out half a sample.
func TestSamples(t *testing.T) {
	want := []int16{0x1234, -1, -32768}
	if got := Samples([]byte{0x34, 0x12, 0xff, 0xff, 0x00, 0x80, 0x01}); !slices.Equal(got, want) {
		t.Errorf("the samples are %d, want %d", got, want)
	}
	exact := []int16{0, 120, -120, 32124, -32124}
	if got := Decode(Encode(exact, EncodeMuLaw), DecodeMuLaw); !slices.Equal(got, exact) {
		t.Errorf("%d became %d", exact, got)
	}
}
