//go:build !cgo

package audio_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"echocast/audio"
	"echocast/audio/audiotest"
)

const readsAllMPEG = false

// mp3Steps are of 16 bits, at most between a decoded sample and libmad's, by
// channels. go-mp3 cuts fractions off: those of middle and of side add up, and
// twice so where frames of both kinds overlap.
var mp3Steps = [...]float64{1: 1, 2: 3}

// loudSteps are of 16 bits, at most between a sample of loud sound and ffmpeg's:
// what go-mp3 clips is decoded at a quarter of its level.
const loudSteps = 4 * 3

// damageRounding is what decoding ahead may change behind a damaged frame.
const (
	damageRounding = 0
	damageUnequal  = 0
)

// How often the tests of decoding ahead repeat a file, and with how many workers:
// less than libmpg123 can be asked for.
const aheadTimes = 18

var aheadWorkers = []int{3}

// isRefusal reports whether err says that this build does not read something.
func isRefusal(err error) bool {
	return err != nil && strings.Contains(err.Error(), "this build does not read")
}

// emptyFrames is a stream of frames that hold zeros behind their header.
func emptyFrames(header string, length int) []byte {
	head, _ := hex.DecodeString(header)
	return bytes.Repeat(append(head, make([]byte, length-len(head))...), 6)
}

// withIntensity sets the intensity stereo bit of the frame at offset at.
func withIntensity(mp3 []byte, at int) []byte {
	mp3 = bytes.Clone(mp3)
	mp3[at+3] = mp3[at+3]&0x0F | 0x50
	return mp3
}

// firstSound is where the first frame of sound in stereoMP3 starts.
const firstSound = 522

func TestMP3RefusesWhatGoMP3GetsWrong(t *testing.T) {
	for _, test := range []struct {
		what string
		data []byte
	}{
		{"MPEG-2.5 layer III", readMP3File(t, "speech_8000hz_mono_cbr32.mp3")},
		{"MPEG-1 layer II", emptyFrames("fffd8000", 417)},
		{"MPEG-2 layer II", emptyFrames("fff584c4", 192*2)},
		{"MPEG-1 layer I", emptyFrames("ffffc204", 420)},
		{"free format", readMP3File(t, "speech_24000hz_mono_free100.mp3")},
		{"MPEG-2 layer II", readMP3File(t, "speech_22050hz_mono_layer2.mp3")},
		{"intensity stereo", withIntensity(readMP3File(t, stereoMP3), firstSound)},
		{"MPEG-2 of 160 kbit/s with padding", emptyFrames("fff3e2c4", 523)},
		{"MPEG-2 of 160 kbit/s with padding", emptyFrames("fff3e204", 523)},
	} {
		_, err := audio.Open(bytes.NewReader(test.data), nil)
		oneLine(t, err, audio.ErrFormat)
		want := "this build does not read " + test.what + "; install ffmpeg, with which it is read, or convert it"
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v, want it to say %q", err, want)
		}
	}
}

// Streams that only resemble the refused ones are read.
func TestMP3ReadsStreamsSimilarToRefused(t *testing.T) {
	for name, test := range map[string]struct {
		data    []byte
		samples int
	}{
		"160 kbit/s": {emptyFrames("fff3e0c4", 522), 6 * 576},
		"160 kbit/s, padding in a checksum's place": {emptyFrames("fff2e2c4", 523), 6 * 576},
		"144 kbit/s with padding":                   {emptyFrames("fff3d2c4", 471), 6 * 576},
		"320 kbit/s with padding":                   {emptyFrames("fffbe204", 1045), 6 * 1152 * 2},
		"main data that fill a frame":               {emptyFrames("fff314c40002c0", 24), 6 * 576},
		"stereo with unused mode extension":         {emptyFrames("fffb9014", 417), 6 * 1152 * 2},
	} {
		got, d := decodeMP3(t, test.data)
		if len(got) != test.samples || peakOf(got) != 0 {
			t.Errorf("%s: %d samples, want %d of silence", name, len(got), test.samples)
		}
		if len(d.Warnings()) > 0 {
			t.Errorf("%s: warns %q", name, d.Warnings())
		}
	}
}

// In plain stereo the mode extension has no meaning.
func TestMP3PlainStereo(t *testing.T) {
	joint := readMP3File(t, stereoMP3)
	want, _ := decodeMP3(t, joint)
	plain := bytes.Clone(joint)
	changed := 0
	for at := 0; at+4 <= len(plain); at += 522 + int(plain[at+2]>>1&1) {
		if plain[at+3]>>4 == 4 { // joint stereo, neither of its codings used
			plain[at+3] = plain[at+3]&0x0F | 0x30
			changed++
		}
	}
	if changed == 0 {
		t.Fatal("no frame of left and right")
	}
	if got, _ := decodeMP3(t, plain); !slices.Equal(got, want) {
		t.Errorf("%d frames marked as plain stereo give other samples", changed)
	}
}

func TestMP3RefusesInMidStream(t *testing.T) {
	mp3 := readMP3File(t, stereoMP3)
	want, _ := decodeMP3(t, mp3)
	at := firstSound + 9*522
	at += bytes.Index(mp3[at:], mp3[:2])
	d, err := openMP3(bytes.NewReader(withIntensity(mp3, at)))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	audiotest.TestBroken(t, d, want, audio.ErrFormat)
}

// withMixedBlocks makes frames of taggedMP3 such that go-mp3 panics: it does
// not expect long and short blocks in one frame at half rates. Frame 0 is the
// tag's.
func withMixedBlocks(mp3 []byte, frames ...int) []byte {
	mp3 = bytes.Clone(mp3)
	for _, n := range frames {
		side := mp3[192*n+4:]
		side[5] |= 1                  // window_switching_flag
		side[6] = side[6]&0x1F | 0xA0 // block_type 2, mixed_block_flag
	}
	return mp3
}

func TestMP3DamagedFrameIsSilent(t *testing.T) {
	mp3 := readMP3File(t, taggedMP3)
	want, _ := decodeMP3(t, mp3)
	const damaged = 12
	got, d := decodeMP3(t, withMixedBlocks(mp3, damaged))
	if w := []string{"damaged frames replaced by silence: 1"}; !slices.Equal(d.Warnings(), w) {
		t.Errorf("warns %q, want %q", d.Warnings(), w)
	}
	if len(got) != len(want) {
		t.Fatalf("%d samples, want %d", len(got), len(want))
	}
	start := (damaged-1)*576 - 1105 // behind the tag's frame and the delays
	if !slices.Equal(got[:start], want[:start]) {
		t.Error("the frames before are not as they were")
	}
	if !slices.Equal(got[start:][:576], make([]float32, 576)) {
		t.Error("the damaged frame is not silent")
	}
	// The next frame has nothing to overlap with, the one after that hears it.
	if !slices.Equal(got[start+3*576:], want[start+3*576:]) {
		t.Error("the frames behind are not as they were")
	}
}

func TestMP3DamageInAnEarlierStream(t *testing.T) {
	mp3 := readMP3File(t, taggedMP3)
	_, d := decodeMP3(t, join(withMixedBlocks(mp3, 5, 7), mp3, withMixedBlocks(mp3, 6)))
	if w := []string{"damaged frames replaced by silence: 3"}; !slices.Equal(d.Warnings(), w) {
		t.Errorf("warns %q, want %q", d.Warnings(), w)
	}
}

func TestMP3TooManyDamagedFrames(t *testing.T) {
	mp3 := readMP3File(t, taggedMP3)
	frames := []int{3}
	for n := 5; n < 25; n++ {
		frames = append(frames, n)
	}
	_, d := decodeMP3(t, withMixedBlocks(mp3, frames...))
	if w := []string{"damaged frames replaced by silence: 21"}; !slices.Equal(d.Warnings(), w) {
		t.Errorf("warns %q, want %q", d.Warnings(), w)
	}
	d, err := openMP3(bytes.NewReader(withMixedBlocks(mp3, append(frames, 25)...)))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, err = audiotest.Collect(d)
	oneLine(t, err, audio.ErrFormat)
	if want := "21 frames in a row are damaged"; !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("%v, want it to say %q", err, want)
	}
}

// A stream that was cut at its start refers to data that is missing. Those frames are silent,
// and the rest is unchanged.
func TestMP3WithoutItsStart(t *testing.T) {
	for _, name := range []string{untaggedMP3, "speech_22050hz_mono_vbr2.mp3"} {
		mp3 := readMP3File(t, name)
		whole, _ := decodeMP3(t, mp3)
		peak := peakOf(whole)
		for at := 1000; at < len(mp3)-1500; at += 97 {
			got, _ := decodeMP3(t, mp3[at:])
			if p := peakOf(got); p > 1.1*peak {
				t.Errorf("%s from byte %d: peak %v, in the whole %v", name, at, p, peak)
			}
			const settled = 8 * 576
			want := whole[max(0, len(whole)-len(got)):]
			if name == untaggedMP3 && (len(got) <= settled || !slices.Equal(got[settled:], want[settled:])) {
				t.Errorf("%s from byte %d: does not become what the whole is", name, at)
			}
		}
	}
}

func peakOf(samples []float32) (peak float64) {
	for _, v := range samples {
		peak = max(peak, math.Abs(float64(v)))
	}
	return peak
}

// A file with a frame that this build cannot read is refused before its first sample.
func TestMP3FileIsRefusedBeforeItsFirstSample(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.mp3")
	data := slices.Concat(bytes.Repeat(readMP3File(t, taggedMP3), 3), readMP3File(t, "speech_8000hz_mono_cbr32.mp3"))
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := audio.Open(file, nil); !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), "MPEG-2.5") {
		t.Errorf("%v", err)
	}
}
