package audio_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
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

const flacFiles = "../testdata/flac"

var flacFormats = []struct {
	name     string
	bits     int
	format   audio.Format
	declared bool
}{
	{"24000hz_mono_16bit", 16, audio.Format{Rate: 24000, Channels: 1}, true},
	{"24000hz_mono_16bit_pipe", 16, audio.Format{Rate: 24000, Channels: 1}, false},
	{"8000hz_mono_8bit", 8, audio.Format{Rate: 8000, Channels: 1}, true},
	{"44100hz_stereo_16bit", 16, audio.Format{Rate: 44100, Channels: 2}, true},
	{"48000hz_stereo_24bit", 24, audio.Format{Rate: 48000, Channels: 2}, true},
	{"16000hz_8ch_16bit", 16, audio.Format{Rate: 16000, Channels: 8}, true},
	{"176400hz_mono_16bit", 16, audio.Format{Rate: 176400, Channels: 1}, true},
}

// fromRaw reads signed little-endian samples of whole bytes.
func fromRaw(b []byte, bits int) []float32 {
	size := (bits + 7) / 8
	pcm := make([]float32, len(b)/size)
	for i := range pcm {
		var v int32
		for k := range size {
			v |= int32(b[i*size+k]) << (8*k + 32 - 8*size)
		}
		pcm[i] = float32(v>>(32-8*size)) / float32(int(1)<<(bits-1))
	}
	return pcm
}

// quiet fails the test if anything is written to the standard logger.
func quiet(t *testing.T) {
	t.Helper()
	var out bytes.Buffer
	log.SetOutput(&out)
	t.Cleanup(func() {
		log.SetOutput(os.Stderr)
		if out.Len() > 0 {
			t.Errorf("the standard logger was written to: %.200s", out.String())
		}
	})
}

// The decoded samples equal the encoded ones, bit for bit, and nothing is logged.
func TestFLAC(t *testing.T) {
	quiet(t)
	for _, test := range flacFormats {
		t.Run(test.name, func(t *testing.T) {
			file := readFile(t, flacFiles, test.name+".flac")
			want := fromRaw(readFile(t, flacFiles, test.name+".raw"), test.bits)
			audiotest.TestSource(t, opener(file), want)
			got, in, err := decode(t, iotest.OneByteReader(bytes.NewReader(file)), nil)
			if err != nil || len(in.Warnings()) > 0 || !slices.Equal(got, want) {
				t.Errorf("byte by byte: %d samples, %v, %q", len(got), err, in.Warnings())
			}
			info := audio.Info{Container: "flac", Codec: fmt.Sprintf("FLAC %d-bit", test.bits),
				Format: test.format, Declared: -1}
			if test.declared {
				info.Declared = int64(len(want) / test.format.Channels)
			}
			if in.Info() != info {
				t.Errorf("%+v, want %+v", in.Info(), info)
			}
		})
	}
}

// bitWriter writes bits from the highest of each byte on.
type bitWriter struct {
	b    []byte
	free int // bits in the last byte
}

func (w *bitWriter) write(v uint64, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.free == 0 {
			w.b, w.free = append(w.b, 0), 8
		}
		w.free--
		w.b[len(w.b)-1] |= byte(v>>i&1) << w.free
	}
}

// crc computes a checksum of width bits, bit by bit.
func crc(p []byte, width int, polynomial uint64) (sum uint64) {
	for _, b := range p {
		for i := 7; i >= 0; i-- {
			high := sum>>(width-1)&1 ^ uint64(b>>i&1)
			sum = (sum<<1 ^ polynomial*high) & (1<<width - 1)
		}
	}
	return sum
}

// flacHeader is "fLaC" and STREAMINFO.
func flacHeader(format audio.Format, bits int, total uint64) []byte {
	w := &bitWriter{b: []byte("fLaC\x80\x00\x00\x22")}
	w.write(16, 16)
	w.write(65535, 16)
	w.write(0, 48)
	w.write(uint64(format.Rate), 20)
	w.write(uint64(format.Channels-1), 3)
	w.write(uint64(bits-1), 5)
	w.write(total, 36)
	return append(w.b, make([]byte, 16)...)
}

// flacFrame encodes one channel of verbatim samples. rateBits and sizeBits are the header's codes
// of rate and sample size; rate is the value at the end of the header, if the code says so.
func flacFrame(number uint64, rateBits uint64, rate []byte, sizeBits uint64, bits int, samples []int32) []byte {
	w := &bitWriter{}
	w.write(0x3FFE, 14)
	w.write(0, 2)
	w.write(7, 4) // 16 bits of block size
	w.write(rateBits, 4)
	w.write(0, 4)
	w.write(sizeBits, 3)
	w.write(0, 1)
	w.b = append(w.b, string(rune(number))...)
	w.write(uint64(len(samples)-1), 16)
	for _, b := range rate {
		w.write(uint64(b), 8)
	}
	w.write(crc(w.b, 8, 0x07), 8)
	w.write(1<<1, 8) // verbatim
	for _, v := range samples {
		w.write(uint64(v), bits)
	}
	w.free = 0
	w.write(crc(w.b, 16, 0x8005), 16)
	return w.b
}

// Sample sizes and ways to say the rate that the encoders here do not use.
func TestFLACRareFrames(t *testing.T) {
	quiet(t)
	for name, c := range map[string]struct {
		bits, rate int
		sizeBits   uint64
		rateBits   uint64
		spelled    []byte
	}{
		"20 bits":               {20, 24000, 5, 7, nil},
		"12 bits":               {12, 24000, 2, 7, nil},
		"24 bits":               {24, 176400, 6, 2, nil},
		"16 bits":               {16, 24000, 4, 7, nil},
		"bits in STREAMINFO":    {17, 24000, 0, 7, nil},
		"rate in STREAMINFO":    {16, 24000, 4, 0, nil},
		"rate in kHz":           {16, 24000, 4, 12, []byte{24}},
		"rate in Hz":            {16, 24000, 4, 13, []byte{24000 >> 8, 24000 & 0xFF}},
		"rate in tens of Hz":    {16, 24000, 4, 14, []byte{2400 >> 8, 2400 & 0xFF}},
		"rate of telephones":    {16, 8000, 4, 4, nil},
		"rate of 192 kHz":       {16, 192000, 4, 3, nil},
		"rate of music, 16 bit": {16, 44100, 4, 9, nil},
	} {
		file := flacHeader(audio.Format{Rate: c.rate, Channels: 1}, c.bits, 0)
		var want []float32
		for number := range uint64(300) {
			samples := make([]int32, 5)
			for i := range samples {
				samples[i] = int32(number*7919+uint64(i)*104729) % (1 << (c.bits - 1))
				if i%2 == 1 {
					samples[i] = -samples[i] - 1
				}
				want = append(want, float32(samples[i])/float32(int(1)<<(c.bits-1)))
			}
			file = append(file, flacFrame(number, c.rateBits, c.spelled, c.sizeBits, c.bits, samples)...)
		}
		got, in, err := decode(t, bytes.NewReader(file), nil)
		if err != nil || len(in.Warnings()) > 0 || !slices.Equal(got, want) {
			t.Errorf("%s: %d samples, %v, want %d", name, len(got), err, len(want))
		}
	}
}

// Tags before and after the audio are neither sound nor damage.
func TestFLACTags(t *testing.T) {
	file := readFile(t, flacFiles, "24000hz_mono_16bit.flac")
	want := mustDecode(t, file)
	tag := func(n int) []byte {
		return append([]byte{'I', 'D', '3', 4, 0, 0, 0, byte(n >> 14), byte(n >> 7 & 0x7F), byte(n & 0x7F)},
			make([]byte, n)...)
	}
	audiotest.TestSource(t, opener(append(tag(300), file...)), want)
	audiotest.TestSource(t, opener(slices.Concat(tag(20), tag(40_000), file)), want)
	got, _, err := decode(t, bytes.NewReader(append(tag(100_000), file...)), &audio.Options{Encoding: "flac"})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("a long tag in front: %d samples, %v", len(got), err)
	}
	got, in, err := decode(t, bytes.NewReader(append(slices.Clone(file), append([]byte("TAG"), make([]byte, 125)...)...)),
		nil)
	if err != nil || !slices.Equal(got, want) || len(in.Warnings()) != 1 {
		t.Errorf("a tag behind: %d samples, %v, %q", len(got), err, in.Warnings())
	}
}

// Two FLAC streams one after the other are decoded as one, with tags between them and in
// another format.
func TestFLACChained(t *testing.T) {
	first, second := readFile(t, flacFiles, "24000hz_mono_16bit.flac"), readFile(t, flacFiles, "44100hz_stereo_16bit.flac")
	want := mustDecode(t, first)
	tag := append([]byte("ID3\x04\x00\x00\x00\x00\x00\x14"), make([]byte, 20)...)
	audiotest.TestSource(t, opener(slices.Concat(first, tag, first)), slices.Concat(want, want))
	got, in, err := decode(t, bytes.NewReader(slices.Concat(first, second, first)), nil)
	frames := int(float64(len(mustDecode(t, second))/2)*24000/44100 + 0.5)
	if err != nil || len(got) != 2*len(want)+frames || !slices.Equal(got[len(want)+frames:], want) ||
		len(in.Warnings()) != 2 {
		t.Errorf("another format: %d samples, %v, %q; want %d", len(got), err, in.Warnings(), 2*len(want)+frames)
	}
}

// Wherever the input is cut, the complete frames are heard and a warning says so.
func TestFLACCutAnywhere(t *testing.T) {
	for _, name := range []string{"44100hz_stereo_16bit", "24000hz_mono_16bit_pipe"} {
		file := readFile(t, flacFiles, name+".flac")
		want := mustDecode(t, file)
		heard := 0
		for cut := 1; cut < len(file); cut += 53 {
			got, in, err := decode(t, bytes.NewReader(file[:cut]), nil)
			if in == nil {
				if !errors.Is(err, audio.ErrFormat) {
					t.Fatalf("%s cut at %d: %v, want ErrFormat", name, cut, err)
				}
				continue
			}
			if err != nil || len(got) >= len(want) || !slices.Equal(got, want[:len(got)]) {
				t.Fatalf("%s cut at %d: %d samples, %v", name, cut, len(got), err)
			}
			if in.Info().Declared >= 0 && len(in.Warnings()) != 1 {
				t.Fatalf("%s cut at %d: warnings %q", name, cut, in.Warnings())
			}
			heard = len(got)
		}
		if heard == 0 {
			t.Errorf("%s: nothing was heard before the end", name)
		}
	}
}

// Damage in a frame is an error after the frames before it, and never becomes sound.
func TestFLACDamageAnywhere(t *testing.T) {
	quiet(t)
	for _, name := range []string{"44100hz_stereo_16bit", "24000hz_mono_16bit"} {
		file := readFile(t, flacFiles, name+".flac")
		want := mustDecode(t, file)
		start := bytes.Index(file, []byte{0xFF, 0xF8})
		for at := start; at < len(file); at += 43 {
			broken := slices.Clone(file)
			broken[at] ^= 0x04
			got, in, err := decode(t, bytes.NewReader(broken), nil)
			if warning := strings.Join(in.Warnings(), ""); err == nil && !strings.HasPrefix(warning, "the header claims") {
				t.Fatalf("%s, byte %d: no error but %q", name, at, warning) // the decoder may only run into the end
			}
			if len(got) >= len(want) || !slices.Equal(got, want[:len(got)]) {
				t.Fatalf("%s, byte %d: %d samples, %v; want fewer than %d, and the same", name, at, len(got), err, len(want))
			}
			if err != nil && (!errors.Is(err, audio.ErrFormat) || strings.Contains(err.Error(), "\n")) {
				t.Fatalf("%s, byte %d: %v", name, at, err)
			}
		}
	}
}

func TestFLACRefuses(t *testing.T) {
	mono := audio.Format{Rate: 24000, Channels: 1}
	head := flacHeader(mono, 16, 0)
	change := func(b []byte, at int, v byte) []byte {
		b = slices.Clone(b)
		b[at] = v
		return b
	}
	sound := flacFrame(0, 7, nil, 4, 16, make([]int32, 16))
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"magic only":       {[]byte("fLaC"), "ends inside its metadata"},
		"cut STREAMINFO":   {head[:20], "ends inside its metadata"},
		"another block":    {change(head, 4, 0x81), "begin with STREAMINFO"},
		"block of 35":      {change(head, 7, 35), "begin with STREAMINFO"},
		"endless metadata": {change(head, 4, 0), "ends inside its metadata"},
		"25 bits":          {flacHeader(mono, 25, 0), "FLAC of 25 bits"},
		"3 bits":           {flacHeader(mono, 3, 0), "FLAC of 3 bits"},
		"rate 0":           {flacHeader(audio.Format{Channels: 1}, 16, 0), "0 Hz"},
		"no frame":         {append(slices.Clone(head), make([]byte, 100)...), "invalid sync-code"},
		"bad number":       {append(slices.Clone(head), change(sound, 4, 0xFF)...), "parseHeader"},
		"bad checksum":     {append(slices.Clone(head), change(sound, 7, 1)...), "CRC-8"},
		"bad sum of frame": {append(slices.Clone(head), change(sound, 20, 1)...), "CRC-16"},
		"other rate": {append(slices.Clone(head), flacFrame(0, 8, nil, 4, 16, make([]int32, 16))...),
			"goes on at 32000 Hz"},
		"other bits": {append(slices.Clone(head), flacFrame(0, 7, nil, 6, 24, make([]int32, 16))...),
			"a frame of another format"},
		"other channels": {append(flacHeader(audio.Format{Rate: 24000, Channels: 2}, 16, 0), sound...),
			"a frame of another format"},
	} {
		_, _, err := decode(t, bytes.NewReader(c.file), nil)
		if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want one line that speaks of %q", name, err, c.want)
		}
	}
	_, err := audio.Open(strings.NewReader("RIFF"), &audio.Options{Encoding: "flac"})
	if !errors.Is(err, audio.ErrFormat) {
		t.Errorf("no FLAC at all: %v", err)
	}
}

func TestFLACBroken(t *testing.T) {
	broke := errors.New("the cable is out")
	file := readFile(t, flacFiles, "24000hz_mono_16bit.flac")
	want := mustDecode(t, file)
	for _, at := range []int{3, 6, 30, 50} {
		if _, err := audio.Open(io.MultiReader(bytes.NewReader(file[:at]), iotest.ErrReader(broke)),
			nil); !errors.Is(err, broke) {
			t.Errorf("broken after %d bytes: %v, want %v", at, err, broke)
		}
	}
	for _, at := range []int{len(file) - 1, len(file), len(file) - 3000} {
		in, err := audio.Open(io.MultiReader(bytes.NewReader(file[:at]), iotest.ErrReader(broke)), nil)
		if err != nil {
			t.Fatal(err)
		}
		audiotest.TestBroken(t, in, want, broke)
	}
}

func TestFLACStreamsFromPipe(t *testing.T) {
	head := flacHeader(audio.Format{Rate: 24000, Channels: 1}, 16, 0)
	frame := flacFrame(0, 7, nil, 4, 16, []int32{1, -1, 2, -2, 3})
	want := []float32{1. / 32768, -1. / 32768, 2. / 32768, -2. / 32768, 3. / 32768}
	if got := live(t, append(head, frame...), nil, 5); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// flacConstant is a frame of 32768 equal samples.
func flacConstant(number uint64) []byte {
	w := &bitWriter{}
	w.write(0xFFF8, 16)
	w.write(0x77, 8) // 16 bits of block size, 24 kHz
	w.write(0x08, 8) // mono, 16 bits
	w.b = append(w.b, string(rune(number))...)
	w.write(32767, 16)
	w.write(crc(w.b, 8, 0x07), 8)
	w.write(0, 24) // constant: 8 bits of kind, 16 of sample
	w.write(crc(w.b, 16, 0x8005), 16)
	return w.b
}

// A small file with an hour of audio is decoded in full, with a warning.
func TestExtremeCompression(t *testing.T) {
	for frames, want := range map[int]int{600: 1, 40: 0} {
		file := flacHeader(audio.Format{Rate: 24000, Channels: 1}, 16, 0)
		for number := range frames {
			file = append(file, flacConstant(uint64(number))...)
		}
		got, in, err := decode(t, bytes.NewReader(file), nil)
		if err != nil || len(got) != frames*32768 || len(in.Warnings()) != want {
			t.Errorf("%d bytes: %d samples, %v, %q", len(file), len(got), err, in.Warnings())
		}
	}
}

// Whatever a header claims, at most one frame is allocated.
func TestFLACHeaderClaimsDoNotAllocate(t *testing.T) {
	file := flacHeader(audio.Format{Rate: 24000, Channels: 8}, 24, 1<<36-1)
	file[4] = 0 // more metadata follows: a picture of 16 MB
	file = append(file, 0x86, 0xFF, 0xFF, 0xFF)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := audio.Open(bytes.NewReader(file), nil); !errors.Is(err, audio.ErrFormat) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("a header of %d bytes made the decoder allocate %d", len(file), grown)
	}
}

func FuzzFLAC(f *testing.F) {
	names, _ := filepath.Glob(flacFiles + "/*.flac")
	for _, name := range names {
		f.Add(readFile(f, flacFiles, filepath.Base(name)))
	}
	f.Add(append(flacHeader(audio.Format{Rate: 24000, Channels: 1}, 16, 0),
		flacFrame(0, 7, nil, 4, 16, make([]int32, 16))...))
	f.Fuzz(func(t *testing.T, file []byte) {
		if len(file) > 1<<16 {
			t.Skip("long inputs add nothing")
		}
		in, err := audio.Open(bytes.NewReader(file), &audio.Options{Encoding: "flac"})
		if err != nil {
			singleLine(t, err)
			return
		}
		defer in.Close()
		readFuzzed(t, in)
	})
}

// BenchmarkDecode is the cost of a second of sound, by codec.
func BenchmarkDecodeCompressed(b *testing.B) {
	for _, c := range []struct{ folder, name string }{
		{oggFiles, "celt_mono_20ms.opus"}, {oggFiles, "hybrid_mono_20ms.opus"}, {oggFiles, "silk_mono_20ms.opus"},
		{oggFiles, "vorbis_22050hz_mono.ogg"}, {flacFiles, "24000hz_mono_16bit.flac"},
		{flacFiles, "44100hz_stereo_16bit.flac"},
	} {
		b.Run(c.name, func(b *testing.B) {
			file := readFile(b, c.folder, c.name)
			samples := 0
			b.ReportAllocs()
			var in *audio.Input
			for b.Loop() {
				var err error
				var got []float32
				if got, in, err = decode(b, bytes.NewReader(file), nil); err != nil {
					b.Fatal(err)
				}
				samples = len(got)
			}
			seconds := in.Format().Duration(int64(samples / in.Format().Channels)).Seconds()
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/seconds, "µs/s")
		})
	}
}
