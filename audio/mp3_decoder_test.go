package audio_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"echocast/audio"
	"echocast/audio/audiotest"
)

// The files of testdata/mp3 that this build reads. A frame of sound behind a tag comes
// out of libmad lead frames late: the tag's own frame, the encoder's delay of 576 and
// the decoder's of 529.
var mp3Files = readByThisBuild([]mp3File{
	{"speech_8000hz_mono_cbr32", "speech_8000hz_mono", "MPEG-2.5 layer III", 576 + 1105, 21, true},
	{"speech_16000hz_mono_cbr64", "speech_16000hz_mono", "MPEG-2 layer III", 576 + 1105, 25, true},
	{"speech_22050hz_mono_cbr32", "speech_22050hz_mono", "MPEG-2 layer III", 1105, 17.5, false},
	{"speech_22050hz_mono_cbr64", "speech_22050hz_mono", "MPEG-2 layer III", 576 + 1105, 24, true},
	{"speech_22050hz_joint_cbr80", "speech_22050hz_joint", "MPEG-2 layer III", 576 + 1105, 23, true},
	{"speech_22050hz_mono_vbr2", "speech_22050hz_mono", "MPEG-2 layer III", 576 + 1105, 34, true},
	{"speech_24000hz_mono_cbr64", "speech_24000hz_mono", "MPEG-2 layer III", 576 + 1105, 23, true},
	{"speech_44100hz_mono_cbr96_crc", "speech_44100hz_mono", "MPEG-1 layer III", 1152 + 1105, 25, true},
	{"speech_44100hz_joint_cbr160", "speech_44100hz_joint", "MPEG-1 layer III", 1152 + 1105, 25, true},
	{"speech_48000hz_mono_cbr96", "speech_48000hz_mono", "MPEG-1 layer III", 1152 + 1105, 25, true},
	{"speech_24000hz_mono_free100", "speech_24000hz_mono", "MPEG-2 layer III", 576 + 1105, 25, true},
	{"speech_44100hz_joint_free400", "speech_44100hz_joint", "MPEG-1 layer III", 1152 + 1105, 25, true},
	{"speech_22050hz_mono_layer2", "speech_22050hz_mono", "MPEG-2 layer II", 481, 15, false},
	{"speech_44100hz_joint_layer2", "speech_44100hz_joint", "MPEG-1 layer II", 481, 24, false},
})

type mp3File struct {
	name  string // without .mp3
	input string // what LAME encoded
	codec string
	lead  int
	snr   float64 // least against input, in dB; one sample off gives less
	tag   bool
}

func readByThisBuild(files []mp3File) []mp3File {
	return slices.DeleteFunc(files, func(file mp3File) bool {
		return !readsAllMPEG && (strings.HasPrefix(file.codec, "MPEG-2.5") ||
			strings.HasSuffix(file.codec, "layer II") || strings.Contains(file.name, "free"))
	})
}

const (
	taggedMP3   = "speech_24000hz_mono_cbr64.mp3"
	stereoMP3   = "speech_44100hz_joint_cbr160.mp3"
	untaggedMP3 = "speech_22050hz_mono_cbr32.mp3"
)

func readMP3File(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", "mp3", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readS16(t testing.TB, name string) []float32 {
	t.Helper()
	b := readMP3File(t, name)
	samples := make([]float32, len(b)/2)
	for i := range samples {
		samples[i] = float32(int16(binary.LittleEndian.Uint16(b[2*i:]))) / 32768
	}
	return samples
}

func openMP3(r io.Reader) (*audio.MP3Decoder, error) {
	return audio.OpenMP3(bufio.NewReaderSize(r, 64<<10))
}

// decodeMP3 decodes all of data and returns the decoder for its warnings.
func decodeMP3(t testing.TB, data []byte) ([]float32, *audio.MP3Decoder) {
	t.Helper()
	d, err := openMP3(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	samples, err := audiotest.Collect(d)
	if err != nil {
		t.Fatal(err)
	}
	return samples, d
}

// signalToNoise compares got with want, in dB.
func signalToNoise(got, want []float32) float64 {
	var signal, noise float64
	for i := range min(len(got), len(want)) {
		w, e := float64(want[i]), float64(got[i]-want[i])
		signal += w * w
		noise += e * e
	}
	return 10 * math.Log10(signal/noise)
}

func TestMP3RoundTrip(t *testing.T) {
	for _, file := range mp3Files {
		t.Run(file.name, func(t *testing.T) {
			got, d := decodeMP3(t, readMP3File(t, file.name+".mp3"))
			want := readS16(t, file.input+".s16")
			channels := d.Format().Channels
			if !file.tag {
				got = got[file.lead*channels:][:len(want)] // nothing tells where the sound is
			}
			if len(got) != len(want) {
				t.Fatalf("%d samples, the encoder got %d", len(got), len(want))
			}
			if snr := signalToNoise(got, want); snr < file.snr {
				t.Errorf("%.1f dB, want %.1f", snr, file.snr)
			}
			for _, late := range []float64{signalToNoise(got[channels:], want), signalToNoise(got, want[channels:])} {
				if late >= file.snr {
					t.Errorf("one frame off still gives %.1f dB: the test proves nothing", late)
				}
			}
		})
	}
}

func TestMP3AgreesWithLibmad(t *testing.T) {
	for _, file := range mp3Files {
		t.Run(file.name, func(t *testing.T) {
			got, d := decodeMP3(t, readMP3File(t, file.name+".mp3"))
			want := readS16(t, file.name+".libmad.s16")
			if file.tag {
				want = want[file.lead*d.Format().Channels:][:len(got)]
			}
			if len(got) != len(want) {
				t.Fatalf("%d samples, libmad gives %d", len(got), len(want))
			}
			for i := range got {
				off := math.Round(float64(got[i])*32768) - float64(want[i])*32768
				if math.Abs(off) > mp3Steps[d.Format().Channels] {
					t.Fatalf("sample %d: %v steps off", i, off)
				}
			}
		})
	}
}

func TestMP3Info(t *testing.T) {
	for _, file := range mp3Files {
		samples, d := decodeMP3(t, readMP3File(t, file.name+".mp3"))
		var rate int
		var mode string
		if _, err := fmt.Sscanf(file.input, "speech_%dhz_%s", &rate, &mode); err != nil {
			t.Fatal(err)
		}
		want := audio.Info{Container: "mp3", Codec: file.codec, Format: audio.Format{Rate: rate, Channels: 1}, Declared: -1}
		if mode == "joint" {
			want.Format.Channels = 2
		}
		if file.tag {
			want.Declared = int64(len(samples) / want.Format.Channels)
		}
		if d.Info() != want || d.Format() != want.Format {
			t.Errorf("%s: %+v, want %+v", file.name, d.Info(), want)
		}
		if len(d.Warnings()) > 0 {
			t.Errorf("%s: warns %q", file.name, d.Warnings())
		}
	}
}

func TestMP3Source(t *testing.T) {
	for _, file := range mp3Files {
		data := readMP3File(t, file.name+".mp3")
		want, _ := decodeMP3(t, data)
		for name, slow := range map[string]func(io.Reader) io.Reader{
			"plain":           func(r io.Reader) io.Reader { return r },
			"one byte":        iotest.OneByteReader,
			"half":            iotest.HalfReader,
			"data with error": iotest.DataErrReader,
		} {
			t.Run(file.name+"/"+name, func(t *testing.T) {
				audiotest.TestSource(t, func() (audio.Source, error) { return openMP3(slow(bytes.NewReader(data))) }, want)
			})
		}
	}
}

func id3(body []byte) []byte {
	n := len(body)
	return append([]byte{'I', 'D', '3', 4, 0, 0, byte(n >> 21 & 0x7F), byte(n >> 14 & 0x7F), byte(n >> 7 & 0x7F),
		byte(n & 0x7F)}, body...)
}

func random(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// The samples are the same, whatever bytes are around and between the frames.
func TestMP3AmongOtherBytes(t *testing.T) {
	for _, name := range []string{taggedMP3, untaggedMP3, stereoMP3} {
		mp3 := readMP3File(t, name)
		want, _ := decodeMP3(t, mp3)
		footer := id3(random(1, 500))
		footer[5] = 0x10
		footer = join(footer, []byte("3DI"), footer[3:10])
		lying := []byte("ID3\x04\x00\x00\x7f\x7f\x7f\x7f")
		ape := join(
			[]byte("APETAGEX\xd0\x07\x00\x00\xe0\x93\x04\x00\x01\x00\x00\x00\x00\x00\x00\xa0\x00\x00\x00\x00\x00\x00\x00\x00"),
			random(2, 300_000))
		cut := len(mp3) / 2
		cut += bytes.Index(mp3[cut:], mp3[:2]) // at a frame
		head, tail := mp3[:cut], mp3[cut:]
		for kind, test := range map[string]struct {
			data    []byte
			skipped int
		}{
			"ID3v2":                    {join(id3(random(3, 1000)), mp3), 0},
			"empty ID3v2":              {join(id3(nil), mp3), 0},
			"two ID3v2":                {join(id3(random(3, 1000)), id3(random(4, 77)), mp3), 0},
			"ID3v2 of 400 kB":          {join(id3(random(5, 400_000)), mp3), 0},
			"ID3v2 with a footer":      {join(footer, id3(random(3, 100)), mp3), 0},
			"ID3v2 around an MP3":      {join(id3(readMP3File(t, "speech_8000hz_mono_cbr32.mp3")), mp3), 0},
			"ID3v2 and zeros":          {join(id3(random(3, 1000)), make([]byte, 2000), mp3), 2000},
			"zeros in front":           {join(make([]byte, 3000), mp3), 3000},
			"noise in front":           {join(random(6, 3000), mp3), 3000},
			"a cut frame in front":     {join(tail[5:60], mp3), 55},
			"ID3v1 behind":             {join(mp3, []byte("TAG"), random(7, 125)), 0},
			"APE behind":               {join(mp3, ape), 0},
			"APE and ID3v1 behind":     {join(mp3, ape, []byte("TAG"), random(7, 125)), 0},
			"ID3v2 between":            {join(head, id3(random(8, 2000)), tail), 0},
			"lying ID3v2 between":      {join(head, lying, random(9, 10), tail), 0},
			"20 kB of noise between":   {join(head, random(10, 20_000), tail), 20_000},
			"200 kB of zeros between":  {join(head, make([]byte, 200_000), tail), 200_000},
			"another rate's frame":     {join(head, readMP3File(t, "speech_8000hz_mono_cbr32.mp3")[:144], tail), 144},
			"noise at the end":         {join(mp3, random(11, 5000)), 5000},
			"three bytes at the end":   {join(mp3, mp3[:3]), 0},
			"half a frame at the end":  {join(mp3, mp3[:80]), 0},
			"noise between and behind": {join(head, random(12, 70_000), tail, random(13, 70_000)), 140_000},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				got, d := decodeMP3(t, test.data)
				if !slices.Equal(got, want) {
					t.Errorf("%d samples, not the %d of the plain file", len(got), len(want))
				}
				var warnings []string
				if test.skipped > 0 {
					warnings = []string{fmt.Sprintf("left out %d bytes that are no MPEG audio", test.skipped)}
				}
				if kind == "half a frame at the end" {
					warnings = []string{"the MP3 is cut off inside a frame, which is left out"}
				}
				if !slices.Equal(d.Warnings(), warnings) {
					t.Errorf("warns %q, want %q", d.Warnings(), warnings)
				}
			})
		}
	}
}

// Sentences that were encoded separately and concatenated have no gaps between them.
func TestMP3Concatenated(t *testing.T) {
	for _, name := range []string{taggedMP3, stereoMP3} {
		mp3 := readMP3File(t, name)
		one, _ := decodeMP3(t, mp3)
		got, d := decodeMP3(t, join(id3(nil), mp3, id3(random(1, 200)), mp3, mp3))
		if !slices.Equal(got, slices.Concat(one, one, one)) {
			t.Errorf("%s: %d samples, not those of three times %d", name, len(got), len(one))
		}
		if len(d.Warnings()) > 0 {
			t.Errorf("%s: warns %q", name, d.Warnings())
		}
		got, d = decodeMP3(t, join(mp3[:len(mp3)/2], mp3))
		if tail := got[len(got)-len(one):]; !slices.Equal(tail, one) {
			t.Errorf("%s: behind a cut stream the next one is not whole", name)
		}
		if w := strings.Join(d.Warnings(), "\n"); strings.Count(w, "the header claims") != 1 {
			t.Errorf("%s: warns %q", name, w)
		}
	}
}

// oneLine fails t unless err wraps cause and reads as one line.
func oneLine(t *testing.T, err, cause error) {
	t.Helper()
	if !errors.Is(err, cause) || strings.Contains(fmt.Sprint(err), "\n") {
		t.Errorf("%v, want one line that wraps %q", err, cause)
	}
}

func TestMP3Truncated(t *testing.T) {
	for _, name := range []string{taggedMP3, untaggedMP3, stereoMP3} {
		mp3 := readMP3File(t, name)
		want, whole := decodeMP3(t, mp3)
		for n := 0; n < len(mp3); n += 37 {
			d, err := openMP3(bytes.NewReader(mp3[:n]))
			if err != nil {
				oneLine(t, err, audio.ErrFormat)
				if n > 2000 {
					t.Errorf("%s cut to %d bytes: %v", name, n, err)
				}
				continue
			}
			got, err := audiotest.Collect(d)
			d.Close()
			if err != nil {
				t.Errorf("%s cut to %d bytes: %v", name, n, err)
			}
			if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
				t.Errorf("%s cut to %d bytes: not a prefix", name, n)
			}
			short := whole.Info().Declared >= 0 && len(got) < len(want)
			if w := d.Warnings(); short && len(w) != 1 || !short && len(w) > 0 &&
				(len(got) == len(want) || !strings.Contains(w[0], "cut off inside a frame")) {
				t.Errorf("%s cut to %d bytes: %d of %d samples, warns %q", name, n, len(got), len(want), w)
			}
		}
	}
}

func TestMP3WarnsOfBothLengths(t *testing.T) {
	mp3 := readMP3File(t, taggedMP3)
	_, d := decodeMP3(t, mp3[:len(mp3)/2])
	want := []string{"the header claims 14400 frames (0.600 s), the input holds 6383 (0.266 s)"}
	if !slices.Equal(d.Warnings(), want) {
		t.Errorf("warns %q, want %q", d.Warnings(), want)
	}
}

// editTag returns mp3 with its tag's number of frames and the 12-bit delay and
// padding replaced.
func editTag(mp3 []byte, frames uint32, delay, padding int) []byte {
	mp3 = bytes.Clone(mp3)
	info, lame := bytes.Index(mp3, []byte("Info")), bytes.Index(mp3, []byte("LAME"))
	binary.BigEndian.PutUint32(mp3[info+8:], frames)
	copy(mp3[lame+21:], []byte{byte(delay >> 4), byte(delay<<4 | padding>>8), byte(padding)})
	return mp3
}

func TestMP3DelayAndPadding(t *testing.T) {
	mp3 := readMP3File(t, taggedMP3)
	const frames = 27 // of sound, as the tag says
	bare := bytes.Clone(mp3)
	lame := bytes.Index(bare, []byte("LAME"))
	clear(bare[lame : lame+24])
	for name, test := range map[string]struct {
		data []byte
		want int
	}{
		"no delay":          {editTag(mp3, frames, 0, 1200), frames*576 - 1200},
		"no padding":        {editTag(mp3, frames, 576, 0), frames*576 - 576 - 529},
		"short padding":     {editTag(mp3, frames, 1105, 528), frames*576 - 1105 - 529},
		"decoder's padding": {editTag(mp3, frames, 1105, 529), frames*576 - 1105 - 529},
		"long padding":      {editTag(mp3, frames, 1000, 4000), frames*576 - 1000 - 4000},
		"no sound":          {editTag(mp3[:192*10], 9, 4000, 4000), 0},
		"no encoder":        {bare, frames * 576},
	} {
		samples, d := decodeMP3(t, test.data)
		if len(samples) != test.want || d.Info().Declared != int64(test.want) {
			t.Errorf("%s: %d frames, declared %d, want %d", name, len(samples), d.Info().Declared, test.want)
		}
		if len(d.Warnings()) > 0 {
			t.Errorf("%s: warns %q", name, d.Warnings())
		}
	}
}

// A tag with a wrong length loses no sound, wherever the claimed end is.
func TestMP3WrongLengthTag(t *testing.T) {
	mp3 := readMP3File(t, taggedMP3)
	const frames = 27
	whole, _ := decodeMP3(t, editTag(mp3, frames, 576, 529))
	for claimed := range uint32(frames) {
		for _, padding := range []int{0, 529, 1000, 4000} {
			got, d := decodeMP3(t, editTag(mp3, claimed, 576, padding))
			if !slices.Equal(got, whole) {
				t.Errorf("%d of %d frames, padding %d: %d samples, want %d", claimed, frames, padding, len(got), len(whole))
			}
			if wrong := claimed > 0; wrong != (len(d.Warnings()) == 1) {
				t.Errorf("%d of %d frames, padding %d: warns %q", claimed, frames, padding, d.Warnings())
			}
		}
	}
	if _, d := decodeMP3(t, editTag(mp3, 1<<32-1, 576, 1000)); d.Info().Declared < 1<<41 {
		t.Errorf("declared %d", d.Info().Declared)
	}
}

func TestMP3Broken(t *testing.T) {
	broken := errors.New("broken")
	for _, name := range []string{taggedMP3, untaggedMP3, stereoMP3} {
		mp3 := readMP3File(t, name)
		want, _ := decodeMP3(t, mp3)
		for n := 0; n <= len(mp3); n += 331 {
			d, err := openMP3(io.MultiReader(bytes.NewReader(mp3[:n]), iotest.ErrReader(broken)))
			if err != nil {
				oneLine(t, err, broken)
				if n > 2000 {
					t.Errorf("%s broken after %d bytes: %v", name, n, err)
				}
				continue
			}
			audiotest.TestBroken(t, d, want, broken)
			d.Close()
		}
		d, err := openMP3(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(mp3))))
		if !errors.Is(err, iotest.ErrTimeout) {
			t.Errorf("%s: %v, want the reader's error, said only once", name, err)
		}
		if err == nil {
			d.Close()
		}
	}
}

// Damage after the first two frames is heard, but the audio neither ends nor gets longer.
func TestMP3Damaged(t *testing.T) {
	for _, name := range []string{taggedMP3, untaggedMP3, stereoMP3} {
		mp3 := readMP3File(t, name)
		whole, _ := decodeMP3(t, mp3)
		for seed := range byte(200) {
			damage, damaged := rand.New(rand.NewChaCha8([32]byte{seed})), bytes.Clone(mp3)
			for range 1 + int(seed) {
				damaged[1100+damage.IntN(len(mp3)-1100)] ^= 1 << damage.IntN(8)
			}
			d, err := openMP3(bytes.NewReader(damaged))
			if err != nil {
				t.Fatal(err)
			}
			samples, err := audiotest.Collect(d)
			d.Close()
			if isRefusal(err) {
				continue // the damage made a frame of another kind
			}
			if err != nil {
				t.Errorf("%s, damage %d: %v", name, seed, err)
			}
			if len(samples) > len(whole) || len(samples) < len(whole)/20 {
				t.Errorf("%s, damage %d: %d samples of %d", name, seed, len(samples), len(whole))
			}
			for i, v := range samples {
				if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
					t.Fatalf("%s, damage %d: sample %d is %v", name, seed, i, v)
				}
			}
		}
	}
}

func TestMP3Refuses(t *testing.T) {
	mp3 := readMP3File(t, taggedMP3)
	frame := mp3[:192]
	for name, data := range map[string][]byte{
		"nothing":              nil,
		"one byte":             {0xFF},
		"text":                 []byte("hello"),
		"noise":                random(1, 200_000),
		"a lying ID3v2 tag":    join([]byte("ID3\x04\x00\x00\x7f\x7f\x7f\x7f"), mp3),
		"an ID3v2 tag alone":   id3(make([]byte, 1000)),
		"a cut ID3v2 header":   []byte("ID3\x04\x00"),
		"half a frame":         frame[:100],
		"the tag's frame only": frame,
		"frames too far":       join(make([]byte, 100_000), mp3),
	} {
		d, err := openMP3(bytes.NewReader(data))
		if err == nil {
			d.Close()
			t.Errorf("%s was opened", name)
			continue
		}
		oneLine(t, err, audio.ErrFormat)
	}
}

func TestMP3WrongTagIsNamed(t *testing.T) {
	_, err := openMP3(bytes.NewReader([]byte("ID3\x04\x00\x00\x00\x00\x7f\x7fshort")))
	if want := "an ID3v2 tag claims 16393 bytes, the input ends after 15"; !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("%v, want it to say %q", err, want)
	}
}

// countingZeros is an endless input that holds no memory.
type countingZeros struct{ n int64 }

func (z *countingZeros) Read(p []byte) (int, error) {
	clear(p)
	z.n += int64(len(p))
	return len(p), nil
}

func TestMP3ClaimsDoNotAllocate(t *testing.T) {
	zeros := new(countingZeros)
	tag := "ID3\x04\x00\x00\x1e\x7f\x7f\x7f"
	r := bufio.NewReaderSize(io.MultiReader(strings.NewReader(tag), zeros), 64<<10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := audio.OpenMP3(r)
	runtime.ReadMemStats(&after)
	oneLine(t, err, audio.ErrFormat)
	if zeros.n < 62<<20 {
		t.Errorf("read %d bytes, less than the tag claims", zeros.n)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("allocated %d bytes on the word of a tag", got)
	}
}

// A single frame is a stream too. It is decoded even if a length in its tag announces more.
func TestMP3OneFrame(t *testing.T) {
	mp3 := readMP3File(t, untaggedMP3)
	all, _ := decodeMP3(t, mp3)
	got, _ := decodeMP3(t, mp3[:104])
	if !slices.Equal(got, all[:576]) {
		t.Errorf("%d samples of one frame, want its 576", len(got))
	}
	if !audio.SniffMP3(bufio.NewReaderSize(bytes.NewReader(mp3[:104]), 64<<10)) {
		t.Error("one frame was not recognised")
	}
}

// The first samples are available when the second frame's header has arrived; after that, each
// frame is decoded before the next arrives.
func TestMP3FromAPipe(t *testing.T) {
	mp3 := readMP3File(t, untaggedMP3)
	want, _ := decodeMP3(t, mp3)
	r, w := io.Pipe()
	defer r.Close()
	heard := make(chan int)
	go func() {
		sent := 104 + 4
		w.Write(mp3[:sent])
		for n := range heard {
			if sent == len(mp3) {
				w.Close()
				continue
			}
			next := frameEnd(mp3, n/576+1)
			w.Write(mp3[sent:next])
			sent = next
		}
	}()
	d, err := openMP3(r)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var got []float32
	buf := make([]float32, 4096)
	for {
		n, err := d.ReadSamples(buf)
		if err != nil {
			break
		}
		got = append(got, buf[:n]...)
		heard <- len(got)
	}
	close(heard)
	if !slices.Equal(got, want) {
		t.Errorf("%d samples from the pipe, want %d", len(got), len(want))
	}
}

// frameEnd is where the first n frames of the untagged file end: 104 bytes
// each, 105 where the padding bit is set.
func frameEnd(mp3 []byte, n int) int {
	at := 0
	for ; n > 0 && at < len(mp3); n-- {
		at += 104 + int(mp3[at+2]>>1&1)
	}
	return at
}

func TestMP3Close(t *testing.T) {
	d, err := openMP3(bytes.NewReader(readMP3File(t, taggedMP3)))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if n, err := d.ReadSamples(make([]float32, 100)); n != 0 || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("after Close a read gave %d samples and %v", n, err)
	}
}

func FuzzMP3(f *testing.F) {
	for _, file := range mp3Files {
		mp3 := readMP3File(f, file.name+".mp3")
		f.Add(mp3[:min(len(mp3), 1500)])
	}
	mp3 := readMP3File(f, taggedMP3)[:1200]
	f.Add(join(id3(random(1, 50)), mp3, []byte("TAG"), random(2, 125)))
	f.Add(join(random(3, 100), mp3, random(4, 100), mp3))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := openMP3(bytes.NewReader(data))
		if err != nil {
			oneLine(t, err, audio.ErrFormat)
			return
		}
		defer d.Close()
		samples, err := audiotest.Collect(d)
		if err != nil && !errors.Is(err, audio.ErrFormat) {
			t.Errorf("ended with %v", err)
		}
		// The densest frame: 24 bytes for 576 samples and, joined, twice that.
		if len(samples) > 48*len(data) {
			t.Errorf("%d samples from %d bytes", len(samples), len(data))
		}
		for i, v := range samples {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Fatalf("sample %d is %v", i, v)
			}
		}
	})
}

func BenchmarkMP3(b *testing.B) {
	for _, name := range []string{taggedMP3, stereoMP3} {
		b.Run(strings.TrimSuffix(name, ".mp3"), func(b *testing.B) {
			mp3 := readMP3File(b, name)
			samples, _ := decodeMP3(b, mp3)
			r := bufio.NewReaderSize(nil, 64<<10)
			buf := make([]float32, 4096)
			b.SetBytes(int64(4 * len(samples)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(bytes.NewReader(mp3))
				d, err := audio.OpenMP3(r)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = d.ReadSamples(buf)
				}
				d.Close()
			}
		})
	}
}

// A tag that is shorter than its picture is skipped together with the picture.
func TestMP3TagShorterThanItsPicture(t *testing.T) {
	mp3 := readMP3File(t, taggedMP3)
	want, _ := decodeMP3(t, mp3)
	for _, picture := range []int{100, 40_000, 300_000} {
		data := join([]byte("ID3\x04\x00\x00\x00\x00\x00\x14"), make([]byte, 20),
			bytes.Repeat([]byte("JFIF"), picture/4), mp3)
		got, in, err := decode(t, bytes.NewReader(data), nil)
		if err != nil || !slices.Equal(got, want) || len(in.Warnings()) != 1 {
			t.Errorf("%d bytes: %d samples, %v; want %d", picture, len(got), err, len(want))
		}
	}
}

// A cut inside a frame is reported, even if no tag states the length.
func TestMP3CutInsideAFrame(t *testing.T) {
	whole := readMP3File(t, taggedMP3)
	untagged := whole[4+bytes.Index(whole[4:], whole[:2]):]
	for cut, want := range map[int]int{0: 0, 1: 1, 100: 1} {
		_, d := decodeMP3(t, untagged[:len(untagged)-cut])
		if len(d.Warnings()) != want {
			t.Errorf("%d bytes less: %q", cut, d.Warnings())
		}
	}
}
