package audio_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// louder raises the level of an MPEG-1 stereo file without checksums by a number
// of steps, each a factor of the fourth root of 2: the field global_gain of each
// granule and channel (ISO/IEC 11172-3, 2.4.1.7).
func louder(mp3 []byte, steps uint32) []byte {
	const frame, side, sideLength, firstGain, blockLength = 522, 4, 32, 20 + 21, 59
	mp3 = bytes.Clone(mp3)
	for at := 0; at+side+sideLength <= len(mp3); at += frame + int(mp3[at+2]>>1&1) {
		for block := range 4 {
			bit := firstGain + block*blockLength
			window := mp3[at+side+bit/8:]
			gain := binary.BigEndian.Uint32(window) << (bit % 8) >> 24
			if gain > 0 {
				binary.BigEndian.PutUint32(window, binary.BigEndian.Uint32(window)+steps<<(24-bit%8))
			}
		}
	}
	return mp3
}

// farthest is the largest difference of two decodes, in steps of 16 bits.
func farthest(t *testing.T, got, want []float32) (most float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d samples, want %d", len(got), len(want))
	}
	for i, v := range got {
		most = max(most, 32768*math.Abs(float64(v-want[i])))
	}
	return most
}

// Decoding is linear: in a file at four times the level, all samples are four times as large,
// and nothing is clipped.
func TestMP3AboveFullScale(t *testing.T) {
	const factor = 4
	mp3 := readMP3File(t, stereoMP3)
	want, _ := decodeMP3(t, mp3)
	for i := range want {
		want[i] *= factor
	}
	got, _ := decodeMP3(t, louder(mp3, 8))
	if peak := slices.Max(got); peak < 2 {
		t.Errorf("the largest sample is %v, want more than 2", peak)
	}
	if off, most := farthest(t, got, want), factor*mp3Steps[2]+loudSteps; off > most {
		t.Errorf("%.1f steps off, want %v at most", off, most)
	}
}

// Loud joint stereo that changes its coding all the time is decoded as by ffmpeg, which clips
// nothing.
func TestMP3LoudJointStereo(t *testing.T) {
	for _, program := range []string{"lame", "ffmpeg"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	dir := t.TempDir()
	wav, mp3, raw := filepath.Join(dir, "a.wav"), filepath.Join(dir, "a.mp3"), filepath.Join(dir, "a.f32")
	if err := os.WriteFile(wav, wavFile(fmtChunk(1, 2, 44100, 4, 16), data(alternating())), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"lame", "--quiet", "-m", "j", "-b", "160", wav, mp3},
		{"ffmpeg", "-v", "error", "-i", mp3, "-f", "f32le", raw},
	} {
		if text, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", args[0], err, text)
		}
	}
	encoded, err := os.ReadFile(mp3)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float32, len(decoded)/4)
	if _, err := binary.Decode(decoded, binary.LittleEndian, want); err != nil {
		t.Fatal(err)
	}
	got, _ := decodeMP3(t, encoded)
	if peak := slices.Max(want); peak < 1.1 {
		t.Errorf("the file is not loud: %v", peak)
	}
	if off := farthest(t, got, want); off > loudSteps {
		t.Errorf("%.1f steps off, want %v at most", off, loudSteps)
	}
	file, err := os.Open(mp3) // is decoded ahead, in pieces
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if ahead, _, err := decode(t, file, nil); err != nil || !slices.Equal(ahead, got) {
		t.Errorf("decoded ahead: %d samples, %v", len(ahead), err)
	}
}

// alternating is three seconds of loud tones, alternately the same and different on
// left and right.
func alternating() (pcm []byte) {
	const rate, turn = 44100, 3307
	rng := rand.New(rand.NewPCG(3, 3))
	sample := func(v float64) uint16 { return uint16(int16(max(-32767, min(32767, 26000*v)))) }
	for i := range 3 * rate {
		at := 2 * math.Pi * float64(i) / rate
		left := math.Sin(440*at) + 0.6*math.Sin(1330*at) + 0.3*(2*rng.Float64()-1)
		right := math.Sin(587*at+1) + 0.6*math.Sin(2100*at) + 0.3*(2*rng.Float64()-1)
		if i/turn%2 == 0 {
			right = left
		}
		pcm = binary.LittleEndian.AppendUint16(pcm, sample(left))
		pcm = binary.LittleEndian.AppendUint16(pcm, sample(right))
	}
	return pcm
}
