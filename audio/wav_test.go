package audio_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"echocast/audio"
	"echocast/audio/audiotest"
	"echocast/internal/testwait"
)

// magic gives a file another magic number.
func magic(name string, file []byte) []byte { return append([]byte(name), file[4:]...) }

// ds64 is the chunk that holds the sizes of an RF64 file.
func ds64(size uint64) chunk {
	b := make([]byte, 28)
	binary.LittleEndian.PutUint64(b[8:], size)
	return chunk{"ds64", -1, b}
}

func fact(frames uint32) chunk {
	return chunk{"fact", -1, binary.LittleEndian.AppendUint32(nil, frames)}
}

// packed puts 16-bit samples into containers of more bytes, on the left.
func packed(s16 []byte, width int) (wide []byte) {
	for i := 0; i < len(s16); i += 2 {
		wide = append(append(wide, make([]byte, width-2)...), s16[i:i+2]...)
	}
	return wide
}

// Headers in use, besides those in TestWAV and the corpus, are read.
func TestWAVHeaders(t *testing.T) {
	s16, want := to16(speechLike(301, audio.Format{Rate: 24000, Channels: 1}))
	twice := slices.Concat(want, want)
	mono := func(c ...chunk) []byte { return wavFile(append([]chunk{mono16(24000)}, c...)...) }
	mono24 := func(c ...chunk) []byte {
		return wavFile(append([]chunk{fmtChunk(1, 1, 24000, 3, 24)}, c...)...)
	}
	noPad := slices.Concat([]byte("junk\x0d\x00\x00\x00"), bytes.Repeat([]byte("x"), 13))
	file := mono(data(s16))
	for name, c := range map[string]struct {
		file     []byte
		want     []float32
		warnings string
	}{
		"odd chunk without its pad byte": {slices.Concat(file[:36], noPad, file[36:]), want, ""},
		"odd chunk with a pad byte of x": {slices.Concat(file[:36], noPad, []byte("\xff"), file[36:]), want, ""},
		"RF64 with a size": {magic("RF64", wavFile(ds64(602), mono16(24000), claim(0xffffffff, s16),
			other("LIST", 30))), want, ""},
		"RF64 with an absurd size": {magic("RF64", wavFile(ds64(math.MaxUint64), mono16(24000),
			claim(0xffffffff, s16))), want, ""},
		"RF64 with a size of 2^60": {magic("RF64", wavFile(ds64(1<<60), mono16(24000), claim(0xffffffff, s16))),
			want, ""},
		"RF64 with a short ds64": {magic("RF64", wavFile(other("ds64", 12), mono16(24000), claim(0xffffffff, s16))),
			want, ""},
		"RF64 with a small size": {magic("RF64", wavFile(ds64(99), mono16(24000), claim(602, s16),
			other("LIST", 30))), want, ""},
		"BW64": {magic("BW64", wavFile(ds64(602), mono16(24000), claim(0xffffffff, s16),
			other("axml", 31))), want, ""},
		"20 bits in 3 bytes":    {wavFile(fmtChunk(1, 1, 24000, 3, 20), data(packed(s16, 3))), want, ""},
		"12 bits in 2 bytes":    {wavFile(fmtChunk(1, 1, 24000, 2, 12), data(s16)), want, ""},
		"extensible, 24 bits":   {wavFile(extensible(1, 1, 24000, 3, 24), data(packed(s16, 3))), want, ""},
		"fmt after a fmt":       {wavFile(fmtChunk(7, 2, 8000, 2, 8), mono16(24000), data(s16)), want, ""},
		"fact of no use":        {mono(fact(1), data(s16)), want, ""},
		"samples in two chunks": {mono(data(s16), other("LIST", 3), data(s16)), twice, ""},
		"junk after the samples": {slices.Concat(file, []byte("\x00\x01\x02junk after it")), want,
			"what follows the samples is no WAV chunk and left out: 16 bytes, 0.000 s if they were samples"},
		"three bytes after the samples": {slices.Concat(file, []byte("LIS")), want,
			"what follows the samples is no WAV chunk and left out: 3 bytes, 0.000 s if they were samples"},
		"a last chunk that is cut":      {slices.Concat(file, []byte("LIST\xff\xff\x00\x00INFO")), want, ""},
		"header, samples, header again": {slices.Concat(file, mono(claim(0xffffffff, s16))), twice, ""},
		"header after LIST":             {slices.Concat(mono(data(s16), other("LIST", 33)), file), twice, ""},
		"header after unknown size":     {slices.Concat(mono(claim(0x7ffff000, s16)), file), twice, ""},
		"header after no samples":       {slices.Concat(mono(claim(0, nil)), file, file), twice, ""},
		"header of another kind": {slices.Concat(file,
			magic("RF64", wavFile(ds64(602), mono16(24000), claim(0xffffffff, s16)))), twice, ""},
		"three bytes, then a header": {slices.Concat(mono(claim(3, s16[:3]), other("LIST", 2)), file),
			slices.Concat(want[:1], want), "ignored the last 1 byte: not a whole 2-byte frame"},
		"pad byte of a pipe": {slices.Concat(mono24(claim(0xffffffff, packed(s16, 3))),
			mono24(data(packed(s16, 3)))), twice, ""},
		"shorter than claimed": {mono(claim(1602, s16)), want,
			"the header claims 0.033 s and the samples end after 0.013 s; all of them are used"},
	} {
		t.Run(name, func(t *testing.T) {
			audiotest.TestSource(t, opener(c.file), c.want)
			in, err := audio.Open(bytes.NewReader(c.file), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := audiotest.Collect(in); err != nil {
				t.Error(err)
			}
			if got := strings.Join(in.Warnings(), "; "); got != c.warnings {
				t.Errorf("warnings %q, want %q", got, c.warnings)
			}
		})
	}
}

// A warning that every file of a long stream deserves is given once.
func TestWarningsAreBounded(t *testing.T) {
	file := wavFile(mono16(24000), claim(3, []byte{0, 1, 2}))
	in, err := audio.Open(bytes.NewReader(bytes.Repeat(file, 1000)), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := audiotest.Collect(in)
	if err != nil || len(got) != 1000 || len(in.Warnings()) != 1 {
		t.Errorf("%d samples, %v, %d warnings; want 1000 and 1 warning", len(got), err, len(in.Warnings()))
	}
}

// A header inside samples of unknown size is found wherever the reads are split.
func TestHeaderBetweenReads(t *testing.T) {
	s16, want := to16(speechLike(40, audio.Format{Rate: 24000, Channels: 1}))
	s16 = append(s16, "RIFFRI"...) // as if a header had begun
	want = append(want, 0x4952/32768.0, 0x4646/32768.0, 0x4952/32768.0)
	first, second := wavFile(mono16(24000), claim(0xffffffff, s16)), wavFile(mono16(24000), data(s16))
	stream := slices.Concat(first, second)
	for at := len(first) - 20; at < len(first)+50; at++ {
		in, err := audio.Open(io.MultiReader(bytes.NewReader(stream[:at]), bytes.NewReader(stream[at:])), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := audiotest.Collect(in); err != nil || !slices.Equal(got, slices.Concat(want, want)) {
			t.Errorf("split at byte %d: %d samples, %v", at-len(first), len(got), err)
		}
	}
}

// Samples that look like the beginning of a header are samples.
func TestSamplesThatLookLikeAHeader(t *testing.T) {
	s16 := []byte("RIFFRIFFRIFFxxWAVERIFFxxxxWAVFRF64BW64xxWAVERIFxWAVExRIFFxxxxWAVExRIFX")
	var want []float32
	for i := 0; i < len(s16); i += 2 {
		want = append(want, float32(int16(binary.LittleEndian.Uint16(s16[i:])))/32768)
	}
	file := wavFile(mono16(24000), claim(0xffffffff, s16))
	audiotest.TestSource(t, opener(file), want)
	audiotest.TestSource(t,
		func() (audio.Source, error) { return audio.Open(iotest.OneByteReader(bytes.NewReader(file)), nil) }, want)
}

// A stream that breaks after its last sample is not finished.
func TestReadErrorAfterLastSample(t *testing.T) {
	broke := errors.New("the cable is out")
	s16, want := to16(speechLike(12000, audio.Format{Rate: 24000, Channels: 1}))
	file := wavFile(mono16(24000), data(s16))
	for name, c := range map[string]struct {
		after io.Reader
		err   string
	}{
		"an unread format": {bytes.NewReader(wavFile(fmtChunk(0x55, 1, 24000, 1, 0), data(s16))),
			"broke off at 0.500 s: unsupported audio format: the WAV holds MP3"},
		"a header cut off": {bytes.NewReader(file[:30]), `broke off at 0.500 s: unsupported audio format: ` +
			`the WAV ends inside its "fmt " chunk`},
		"a broken input": {iotest.ErrReader(broke), "broke off at 0.500 s: the cable is out"},
		"broken in a chunk": {io.MultiReader(strings.NewReader("LIST\x04\x00\x00\x00IN"), iotest.ErrReader(broke)),
			"the cable is out"},
		"broken in an id": {io.MultiReader(strings.NewReader("LI"), iotest.ErrReader(broke)), "the cable is out"},
	} {
		in, err := audio.Open(io.MultiReader(bytes.NewReader(file), c.after), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := audiotest.Collect(in)
		var where *audio.InputError
		if !slices.Equal(got, want) || !errors.As(err, &where) || where.At != 500*time.Millisecond ||
			!strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %d samples, then %v; want %d, then %q", name, len(got), err, len(want), c.err)
		}
	}
}

// All samples of a WAV of known size are available while its pipe is still open.
func TestOpenPipe(t *testing.T) {
	s16, want := to16(speechLike(100, audio.Format{Rate: 24000, Channels: 1}))
	for name, size := range map[string]int{"known size": -1, "unknown size": 0xffffffff} {
		r, w := io.Pipe()
		ended := make(chan struct{})
		go func() { // ends with its write, or with r
			defer close(ended)
			_, _ = w.Write(wavFile(mono16(24000), claim(size, s16)))
		}()
		in, err := audio.Open(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]float32, 4096)
		var got []float32
		for len(got) < len(want) {
			n, err := in.ReadSamples(buf)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, buf[:n]...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: other samples", name)
		}
		testwait.Receive(t, ended)
		_ = w.Close()
		if n, err := in.ReadSamples(buf); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: %d samples, %v after the writer closed; want the end", name, n, err)
		}
	}
}

// withMask returns an EXTENSIBLE file. Each of its channels holds its own value,
// (channel+1)/128.
func withMask(channels int, mask uint32) []byte {
	c := extensible(1, channels, 24000, channels, 8)
	binary.LittleEndian.PutUint32(c.data[20:], mask)
	frame := make([]byte, channels)
	for i := range frame {
		frame[i] = byte(129 + i)
	}
	return wavFile(c, data(bytes.Repeat(frame, 10)))
}

// The channel for low-frequency effects is read, and is not part of the mix.
func TestLFE(t *testing.T) {
	for name, c := range map[string]struct {
		channels int
		mask     uint32
		lfe      int
		mix      float32 // times 128
	}{
		"5.1":                     {6, 0x3f, 3, (1 + 2 + 3 + 5 + 6) / 5.0},
		"7.1":                     {8, 0x63f, 3, (1 + 2 + 3 + 5 + 6 + 7 + 8) / 7.0},
		"2.1":                     {3, 0x0b, 2, 1.5},
		"1.1":                     {2, 0x0c, 1, 1},
		"quad":                    {4, 0x33, -1, 2.5},
		"no mask":                 {6, 0, -1, 3.5},
		"mask of more than there": {2, 0x0b, -1, 1.5},
		"nothing else":            {1, 0x08, 0, 1},
	} {
		in, err := audio.Open(bytes.NewReader(withMask(c.channels, c.mask)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if in.LFE() != c.lfe || in.Format().Channels != c.channels {
			t.Errorf("%s: LFE %d of %d channels, want %d of %d", name, in.LFE(), in.Format().Channels, c.lfe, c.channels)
		}
		got, err := audiotest.Collect(audio.Mono(in))
		if err != nil || len(got) != 10 || math.Abs(float64(got[0]*128-c.mix)) > 1e-5 {
			t.Errorf("%s: %v, %v; want 10 of %v/128", name, got, err, c.mix)
		}
	}
	raw, err := audio.Open(strings.NewReader("ab"),
		&audio.Options{Encoding: "s16le", Raw: audio.Format{Rate: 8000, Channels: 1}})
	if err != nil || raw.LFE() != -1 {
		t.Errorf("raw samples: LFE %d, %v", raw.LFE(), err)
	}
}

// adpcm is a fmt chunk of a codec in blocks.
func adpcm(tag, channels, align int, extra ...byte) chunk {
	c := fmtChunk(tag, channels, 24000, align, 4)
	c.data = append(binary.LittleEndian.AppendUint16(c.data, uint16(len(extra))), extra...)
	return c
}

func TestADPCMRefusals(t *testing.T) {
	extensibleGUID := extensible(1, 1, 24000, 2, 16)
	extensibleGUID.data[39] = 0
	rifx, _ := corpusFile(t, "rifx_16.wav")
	rifx = bytes.Clone(rifx)
	rifx[21], rifx[35] = 17, 4
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"IMA, no room for a header": {wavFile(adpcm(17, 2, 7), data(make([]byte, 100))),
			"blocks of 7 bytes are too short"},
		"Microsoft, no room for a header": {wavFile(adpcm(2, 1, 6), data(make([]byte, 100))),
			"blocks of 6 bytes are too short"},
		"no block":              {wavFile(adpcm(17, 1, 0), data(make([]byte, 100))), "blocks of 0 bytes"},
		"long blocks":           {wavFile(adpcm(2, 1, 0xffff), data(make([]byte, 100))), "blocks of 65535 bytes"},
		"three channels":        {wavFile(adpcm(17, 3, 256), data(make([]byte, 100))), "3-channel ADPCM"},
		"three bits":            {wavFile(fmtChunk(17, 1, 24000, 256, 3), data(make([]byte, 100))), "3-bit"},
		"big-endian":            {rifx, "big-endian ADPCM"},
		"an unknown sub-format": {wavFile(extensibleGUID, data(make([]byte, 100))), "unknown sub-format"},
	} {
		if _, err := audio.Open(bytes.NewReader(c.file), nil); !errors.Is(err, audio.ErrFormat) ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}

// Blocks with headers out of bounds are still decoded.
func TestADPCMBlocks(t *testing.T) {
	// The index of ima is beyond the last. ms has no such predictor, and a step of 16.
	// predicted is 4 samples a block, and one pair: 128, 0. The step of loud only grows.
	ima := []byte{0x00, 0x40, 200, 0, 0x77, 0x77, 0x77, 0x77}
	ms := []byte{99, 16, 0, 0, 0x20, 0, 0x40, 0x10, 0x00}
	predicted := []byte{4, 0, 1, 0, 128, 0, 0, 0}
	loud := append([]byte{0, 0xff, 0x7f, 0xff, 0x7f, 0, 0}, bytes.Repeat([]byte{0x78}, 93)...)
	for name, c := range map[string]struct {
		file []byte
		want []float32 // times 32768
	}{
		"index beyond the last step": {wavFile(adpcm(17, 1, 8), data(ima)),
			[]float32{16384, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767}},
		"fewer samples than fit": {wavFile(adpcm(17, 1, 8, 2, 0), data(slices.Concat(ima, ima))),
			[]float32{16384, 32767, 16384, 32767}},
		"more samples than fit":    {wavFile(adpcm(17, 1, 8, 0xff, 0xff), data(ima[:4])), []float32{16384}},
		"predictor that is not":    {wavFile(adpcm(2, 1, 9), data(ms)), []float32{16384, 8192, 8208, 8208, 8208, 8208}},
		"predictors of the header": {wavFile(adpcm(2, 1, 9, predicted...), data(ms)), []float32{16384, 8192, 4112, 2056}},
		"no end of loudness": {wavFile(adpcm(2, 1, 100), data(loud)),
			append([]float32{0, 32767}, slices.Repeat([]float32{32767, -32768}, 93)...)},
		"fact cuts the last block": {wavFile(adpcm(17, 1, 8), fact(10), data(slices.Concat(ima, ima))),
			[]float32{16384, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 16384}},
		"fact cuts too much": {wavFile(adpcm(17, 1, 4), fact(1), data(slices.Concat(ima[:4], ima[:4]))),
			[]float32{16384, 16384}},
		"fact claims too much": {wavFile(adpcm(17, 1, 4), fact(99), data(ima[:4])), []float32{16384}},
		"extensible": {wavFile(extensible(17, 1, 24000, 8, 4), data(ima)),
			[]float32{16384, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767}},
		"two files": {slices.Concat(wavFile(adpcm(17, 1, 8, 2, 0), claim(0xffffffff, ima)),
			wavFile(adpcm(17, 1, 4), data(ima[:4]))), []float32{16384, 32767, 16384}},
		"unknown size, short block": {slices.Concat(wavFile(adpcm(17, 1, 8), claim(0xffffffff, ima[:4])),
			wavFile(adpcm(17, 1, 4), data(ima[:4]))), []float32{16384, 16384}},
	} {
		t.Run(name, func(t *testing.T) {
			want := make([]float32, len(c.want))
			for i, v := range c.want {
				want[i] = v / 32768
			}
			audiotest.TestSource(t, opener(c.file), want)
		})
	}
}

// The length in the fact chunk counts if it is possible for the blocks.
func TestADPCMDeclared(t *testing.T) {
	for frames, want := range map[uint32]int64{0: 18, 1: 18, 9: 18, 10: 10, 17: 17, 18: 18, 19: 18, 0xffffffff: 18} {
		in, err := audio.Open(bytes.NewReader(wavFile(adpcm(17, 1, 8), fact(frames), data(make([]byte, 16)))), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := in.Info().Declared; got != want {
			t.Errorf("a fact of %d frames: %d are declared, want %d", frames, got, want)
		}
	}
}

// A big-endian file may store the sub-format's first number either way around.
func TestRIFXSubFormat(t *testing.T) {
	file, want := corpusFile(t, "rifx_24.wav")
	if string(file[44:48]) != "\x00\x01\x00\x00" {
		t.Fatalf("the sub-format begins with %x", file[44:48])
	}
	copy(file[44:], "\x00\x00\x00\x01")
	audiotest.TestSource(t, opener(file), want)
}

func TestBrokenBlock(t *testing.T) {
	broke := errors.New("the cable is out")
	file, want := corpusFile(t, "ima_sox_stereo.wav")
	in, err := audio.Open(io.MultiReader(bytes.NewReader(file[:700]), iotest.ErrReader(broke)), nil)
	if err != nil {
		t.Fatal(err)
	}
	audiotest.TestBroken(t, in, want, broke)
}

// Whatever a header claims, opening allocates only the fixed buffers.
func TestHostileHeadersAllocateLittle(t *testing.T) {
	files := map[string][]byte{
		"LIST of 4 GB":     wavFile(mono16(24000), chunk{"LIST", 0xfffffff0, []byte("INFO")}),
		"fmt of 2 GB":      wavFile(chunk{"fmt ", 0x7fffffff, mono16(24000).data}),
		"fact of 4 GB":     wavFile(mono16(24000), chunk{"fact", 0xfffffffe, []byte("INFO")}),
		"ds64 of 4 GB":     wavFile(mono16(24000), chunk{"ds64", 0xfffffffe, make([]byte, 28)}),
		"RF64 of 35 TB":    magic("RF64", wavFile(ds64(1<<45-1), mono16(24000), claim(0xffffffff, nil))),
		"large blocks":     wavFile(adpcm(17, 1, 16384), data(nil)),
		"many predictors":  wavFile(adpcm(2, 1, 16384, bytes.Repeat([]byte{0xff}, 4000)...), data(nil)),
		"AIFF, COMM":       []byte("FORM\xff\xff\xff\xffAIFFCOMM\xff\xff\xff\xff\x00\x01"),
		"AIFF, other":      []byte("FORM\xff\xff\xff\xffAIFFANNO\xff\xff\xff\xff\x00\x01"),
		"AU, note":         []byte(".snd\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x03\x00\x00\x1f\x40\x00\x00\x00\x01"),
		"AU, note of 60MB": []byte(".snd\x03\xc0\x00\x00\xff\xff\xff\xff\x00\x00\x00\x03\x00\x00\x1f\x40\x00\x00\x00\x01"),
	}
	for name, file := range files {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if in, err := audio.Open(bytes.NewReader(file), nil); err == nil {
			_, _ = in.ReadSamples(make([]float32, 8))
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 400<<10 {
			t.Errorf("%s: %d bytes made the decoder allocate %d", name, len(file), used)
		}
	}
}

// A stream that changes its encoding continues. One that changes its rate or channels
// continues in its first format.
func TestWAVChangesItsFormat(t *testing.T) {
	s16, want := to16(speechLike(12000, mono24))
	file := wavFile(mono16(24000), data(s16))
	for name, c := range map[string]struct {
		next   []byte
		frames int
		warned bool
	}{
		"another encoding": {wavFile(fmtChunk(7, 1, 24000, 1, 8), data(s16)), 24000, false},
		"another rate":     {wavFile(mono16(48000), data(s16)), 6000, true},
		"more channels":    {wavFile(fmtChunk(1, 2, 24000, 4, 16), data(s16)), 6000, true},
		"six channels":     {wavFile(fmtChunk(1, 6, 12000, 12, 16), data(s16)), 4000, true},
	} {
		got, in, err := decode(t, bytes.NewReader(slices.Concat(file, c.next, file)), nil)
		if err != nil || len(got) != 24000+c.frames || !slices.Equal(got[:12000], want) ||
			!slices.Equal(got[12000+c.frames:], want) ||
			c.warned != (len(in.Warnings()) > 0) {
			t.Errorf("%s: %d samples, %v, %q", name, len(got), err, in.Warnings())
		}
		got, _, err = decode(t, bytes.NewReader(slices.Concat(c.next, file)), nil)
		if err != nil || len(got) == 0 {
			t.Errorf("%s first: %d samples, %v", name, len(got), err)
		}
	}
}

// If a header states a wrong frame length, the bits per sample count, with a warning.
func TestWAVWrongFrameLength(t *testing.T) {
	s16, want := to16(speechLike(1000, mono24))
	for _, align := range []int{1, 4, 16, 3, 100} {
		got, in, err := decode(t, bytes.NewReader(wavFile(fmtChunk(1, 1, 24000, align, 16), data(s16))), nil)
		if err != nil || !slices.Equal(got, want) || len(in.Warnings()) != 1 ||
			!strings.Contains(in.Warnings()[0], "1 channel of 16 bits are 2") {
			t.Errorf("align %d: %d samples, %v, %q", align, len(got), err, in.Warnings())
		}
	}
	got, in, err := decode(t, bytes.NewReader(wavFile(fmtChunk(1, 2, 24000, 2, 16), data(s16))), nil)
	if err != nil || !slices.Equal(got, want) || in.Format().Channels != 2 || len(in.Warnings()) != 1 {
		t.Errorf("stereo: %d samples, %v, %q", len(got), err, in.Warnings())
	}
	var s24in32 []byte
	for i := 0; i < len(s16); i += 2 {
		s24in32 = append(s24in32, 0, 0, s16[i], s16[i+1])
	}
	got, in, err = decode(t, bytes.NewReader(wavFile(fmtChunk(1, 1, 24000, 4, 24), data(s24in32))), nil)
	if err != nil || !slices.Equal(got, want) || len(in.Warnings()) > 0 {
		t.Errorf("24 bits in 4 bytes: %d samples, %v, %q", len(got), err, in.Warnings())
	}
}

// If the samples of a WAV are another WAV file, the inner file is read.
func TestWAVInsideAWAV(t *testing.T) {
	s16, want := to16(speechLike(1000, mono24))
	inner := wavFile(mono16(24000), data(s16))
	for name, file := range map[string][]byte{
		"once":   wavFile(mono16(24000), data(inner)),
		"twice":  wavFile(mono16(16000), data(wavFile(mono16(8000), data(inner)))),
		"behind": slices.Concat(wavFile(mono16(24000), data(inner)), inner[:0]),
	} {
		got, _, err := decode(t, iotest.OneByteReader(bytes.NewReader(file)), nil)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %d samples, %v", name, len(got), err)
		}
	}
}

// A warning says how many bytes of a file are left out.
func TestWAVTrailingBytes(t *testing.T) {
	s16, _ := to16(speechLike(1000, mono24))
	name := filepath.Join(t.TempDir(), "x.wav")
	junk := append([]byte{0, 1, 2, 3}, s16[:1996]...)
	if err := os.WriteFile(name, append(wavFile(mono16(24000), data(s16)), junk...), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_, in, err := decode(t, file, nil)
	if err != nil || len(in.Warnings()) != 1 || !strings.Contains(in.Warnings()[0],
		"left out: 2000 bytes, 0.042 s if they were samples") {
		t.Errorf("%v, %q", err, in.Warnings())
	}
}

// sparse returns a WAV of this length with this size in its header; its samples take no room.
func sparse(t *testing.T, samples int64, claim uint32) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "x.wav"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	head := wavFile(mono16(24000), chunk{"data", int(claim), nil})
	if _, err := file.Write(head); err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(int64(len(head)) + samples); err != nil {
		t.Skip(err) // no sparse files here
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return file
}

// The size of a regular file replaces one that the header cannot state, and tells whether an
// odd size is correct.
func TestWAVSizesOfFiles(t *testing.T) {
	const beyond = 1<<32 + 480000
	for name, c := range map[string]struct {
		bytes    int64
		claim    uint32
		declared int64 // frames
	}{
		"more than 32 bits":          {beyond, 480000, beyond / 2},
		"and a chunk behind":         {beyond + 100, 480000, beyond / 2},
		"twice as much":              {2<<32 + 480000, 480000, (2<<32 + 480000) / 2},
		"2 GB, truly":                {0x7ffff000, 0x7ffff000, 0x7ffff000 / 2},
		"2000000000, truly":          {2_000_000_000, 2_000_000_000, 1_000_000_000},
		"to the end":                 {480000, 0x7ffff000, -1},
		"to the end by 32 ones":      {0xffffffff, 0xffffffff, -1},
		"what it says":               {480000, 480000, 240000},
		"more behind than it claims": {48_000_000, 480000, 240000},
	} {
		in, err := audio.Open(sparse(t, c.bytes, c.claim), nil)
		if err != nil || in.Info().Declared != c.declared {
			t.Errorf("%s: declared %d, %v; want %d", name, in.Info().Declared, err, c.declared)
		}
	}
}

// A block says its first sample exactly, so the drift of the wrong rounding shows
// at its end: the files of sox, which rounds each term, and of FFmpeg, which
// rounds the sum, come out as their encoders meant them.
func TestIMARounding(t *testing.T) {
	sum := func(code byte, step int) int { return (2*int(code) + 1) * step >> 3 }
	terms := func(code byte, step int) int {
		return step>>3 + int(code>>2)*step + int(code>>1&1)*(step>>1) + int(code&1)*(step>>2)
	}
	quiet := make([]int, 24000)
	for i := range quiet {
		x := float64(i) / 24000
		quiet[i] = int(600*math.Sin(2*math.Pi*170*x)*math.Sin(2*math.Pi*3*x) + 200*math.Sin(2*math.Pi*410*x))
	}
	for name, rounding := range map[string]func(byte, int) int{"each term": terms, "the sum": sum} {
		const blockSize = 256
		coded, want := imaEncoded(quiet, blockSize, rounding)
		got := mustDecode(t, wavFile(adpcm(17, 1, blockSize, 0xf9, 1), data(coded)))
		if !slices.Equal(got, want) {
			t.Errorf("%s: %.1f dB from what the encoder meant", name, ratioOf(got, want))
		}
	}
}

// ratioOf is the signal in want to the noise in got, in decibels.
func ratioOf(got, want []float32) float64 {
	var signal, noise float64
	for i, v := range want[:min(len(got), len(want))] {
		signal += float64(v) * float64(v)
		noise += float64(got[i]-v) * float64(got[i]-v)
	}
	return 10 * math.Log10(signal/noise)
}

// imaEncoded is mono samples in IMA ADPCM, as whole blocks, and what a decoder
// with the encoder's rounding gives.
func imaEncoded(samples []int, blockSize int, difference func(code byte, step int) int) (coded []byte,
	decoded []float32) {
	indexes := []int{-1, -1, -1, -1, 2, 4, 6, 8}
	index := 0
	for perBlock := 1 + 2*(blockSize-4); len(samples) >= perBlock; samples = samples[perBlock:] {
		value := samples[0]
		coded = append(binary.LittleEndian.AppendUint16(coded, uint16(value)), byte(index), 0)
		decoded = append(decoded, float32(value)/32768)
		for i, sample := range samples[1:perBlock] {
			step := audio.IMASteps[index]
			code := byte(min(7, max(sample-value, value-sample)*4/step))
			d := difference(code, step)
			index = max(0, min(len(audio.IMASteps)-1, index+indexes[code]))
			if sample < value {
				code, d = code|8, -d
			}
			value += d
			decoded = append(decoded, float32(value)/32768)
			if i%2 == 0 {
				coded = append(coded, code)
			} else {
				coded[len(coded)-1] |= code << 4
			}
		}
	}
	return coded, decoded
}
