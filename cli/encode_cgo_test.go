//go:build cgo

package cli_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"echocast/internal/oneshot"
)

// At every usual rate, mono and stereo, encode writes exactly round(n·24000/rate) samples,
// each within 1 LSB of one call of libsoxr over the whole signal. At 24 kHz it writes the
// input bit for bit.
func TestEncodeEqualsOneShot(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000} {
		for _, channels := range []int{1, 2} {
			t.Run(fmt.Sprintf("%d Hz, %d channels", rate, channels), func(t *testing.T) {
				frames := 2*rate + 321
				file, pcm := wav(rate, channels, frames)
				r := run(t, bytes.NewReader(file), "encode", "-")
				got := audioOf(messages(t, r.stdout))
				want := reference(t, pcm, rate, channels)
				if exact := int(math.Floor(float64(frames)*24000/float64(rate) + 0.5)); r.code != 0 || len(got) != 2*exact ||
					len(want) < exact {
					t.Fatalf("code %d, %d samples, want %d", r.code, len(got)/2, exact)
				}
				tolerance := 1
				if rate == 24000 && channels == 1 {
					tolerance = 0
				}
				for i := range len(got) / 2 {
					if v := int(int16(binary.LittleEndian.Uint16(got[2*i:]))); v-want[i] > tolerance || want[i]-v > tolerance {
						t.Fatalf("sample %d is %d, want %d", i, v, want[i])
					}
				}
			})
		}
	}
}

// reference mixes and converts the obvious way.
func reference(t *testing.T, pcm []byte, rate, channels int) (samples []int) {
	t.Helper()
	mono := make([]float32, len(pcm)/2/channels)
	for i := range mono {
		for c := range channels {
			mono[i] += float32(int16(binary.LittleEndian.Uint16(pcm[2*(i*channels+c):]))) / 32768 / float32(channels)
		}
	}
	converted := mono
	if rate != 24000 {
		var err error
		if converted, err = oneshot.Resample(mono, rate, 24000); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range converted {
		samples = append(samples, int(math.RoundToEven(float64(v)*32768)))
	}
	return samples
}
