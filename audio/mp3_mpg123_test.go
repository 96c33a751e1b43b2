//go:build cgo

package audio_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"

	"echocast/audio"
)

const readsAllMPEG = true

// mp3Steps are of 16 bits, at most between a decoded sample and libmad's, by
// channels.
var mp3Steps = [...]float64{1: 1, 2: 1}

// loudSteps are of 16 bits, at most between a sample above full scale and ffmpeg's.
const loudSteps = 1

// damageRounding is what decoding ahead may change behind a damaged frame. Such
// a frame does not turn libmpg123's synthesis buffer, and from then on its sums
// have another order.
const damageRounding = 2e-6

// damageUnequal is how many samples may differ in more than that: a few frames
// where libmpg123 reads on in what happens to lie in its memory.
const damageUnequal = 4 * 1152

// How often the tests of decoding ahead repeat a file, and with how many workers.
const aheadTimes = 50

var aheadWorkers = []int{2, 5}

// isRefusal is never true: libmpg123 reads all frames there are.
func isRefusal(error) bool { return false }

// endless repeats data for ever.
type endless struct {
	data []byte
	at   int
}

func (r *endless) Read(p []byte) (int, error) {
	n := copy(p, r.data[r.at:])
	r.at = (r.at + n) % len(r.data)
	return n, nil
}

// Reading allocates nothing, so that garbage collection does not delay live speech.
func TestMP3Allocations(t *testing.T) {
	for _, name := range []string{taggedMP3, untaggedMP3, stereoMP3} {
		d, err := openMP3(&endless{data: readMP3File(t, name)})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		buf := make([]float32, 1000)
		if allocs := testing.AllocsPerRun(500, func() { d.ReadSamples(buf) }); allocs != 0 {
			t.Errorf("%s: %v allocations a read", name, allocs)
		}
	}
}

// layer1Frames is a tone in MPEG-1 layer I, mono: 12 equal samples of 15 bits in
// the fifth of the 32 bands of each frame (ISO/IEC 11172-3, 2.4.1.5).
func layer1Frames(header string, length, n int) []byte {
	frame, _ := hex.DecodeString(header)
	frame = append(frame, make([]byte, length-len(frame))...)
	frame[4+2] = 0xE0 // bits of the fifth band: 15
	const scaled = 4 + 16
	frame[scaled] = 4 << 2 // scale factor, 6 bits
	for bit := scaled*8 + 6; bit < scaled*8+6+12*15; bit++ {
		if bit-scaled*8-6 < 0 || (bit-scaled*8-6)%15 < 2 {
			frame[bit/8] |= 0x80 >> (bit % 8)
		}
	}
	return bytes.Repeat(frame, n)
}

func TestMP3LayerI(t *testing.T) {
	const frames = 20
	for _, test := range []struct {
		header string
		length int
		codec  string
		rate   int
	}{
		{"ffff40c0", 136, "MPEG-1 layer I", 44100},
		{"ffff48c0", 192, "MPEG-1 layer I", 32000},
		{"fff740c0", 136, "MPEG-2 layer I", 22050},
	} {
		got, d := decodeMP3(t, layer1Frames(test.header, test.length, frames))
		want := audio.Info{Container: "mp3", Codec: test.codec, Format: audio.Format{Rate: test.rate, Channels: 1},
			Declared: -1}
		if d.Info() != want || len(got) != frames*384 || len(d.Warnings()) > 0 {
			t.Errorf("%d samples, %+v, warns %q, want %+v", len(got), d.Info(), d.Warnings(), want)
		}
		// Band 4 begins at 4/64 of the rate, where equal samples sound: the
		// period is 16 samples.
		settled := got[1000:]
		if peak := slices.Max(settled); peak < 0.05 || peak > 1 {
			t.Errorf("%s: a peak of %v", test.codec, peak)
		}
		for i, v := range settled[:len(settled)-16] {
			if d := v - settled[i+16]; d > 1e-4 || d < -1e-4 {
				t.Fatalf("%s: sample %d is %v, a period later %v", test.codec, i, v, settled[i+16])
			}
		}
	}
}
