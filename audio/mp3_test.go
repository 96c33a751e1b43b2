package audio

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestParseMPEGHeader(t *testing.T) {
	tests := []struct {
		hex     string
		want    mpegHeader
		length  int
		samples int
		codec   string
	}{
		{"fffb9064", mpegHeader{mpeg1, 3, 128000, 44100, 2, false, false, 0}, 417, 1152, "MPEG-1 layer III"},
		{"fffb9264", mpegHeader{mpeg1, 3, 128000, 44100, 2, true, false, 0}, 418, 1152, "MPEG-1 layer III"},
		{"fffa94c4", mpegHeader{mpeg1, 3, 128000, 48000, 1, false, true, 0}, 384, 1152, "MPEG-1 layer III"},
		{"fffbe8c4", mpegHeader{mpeg1, 3, 320000, 32000, 1, false, false, 0}, 1440, 1152, "MPEG-1 layer III"},
		{"fff340c4", mpegHeader{mpeg2, 3, 32000, 22050, 1, false, false, 0}, 104, 576, "MPEG-2 layer III"},
		{"fff342c4", mpegHeader{mpeg2, 3, 32000, 22050, 1, true, false, 0}, 105, 576, "MPEG-2 layer III"},
		{"fff384c4", mpegHeader{mpeg2, 3, 64000, 24000, 1, false, false, 0}, 192, 576, "MPEG-2 layer III"},
		{"ffe318c4", mpegHeader{mpeg25, 3, 8000, 8000, 1, false, false, 0}, 72, 576, "MPEG-2.5 layer III"},
		{"fffde404", mpegHeader{mpeg1, 2, 384000, 48000, 2, false, false, 0}, 1152, 1152, "MPEG-1 layer II"},
		{"ffe5eac4", mpegHeader{mpeg25, 2, 160000, 8000, 1, true, false, 0}, maxMPEGFrame, 1152, "MPEG-2.5 layer II"},
		{"ffffc204", mpegHeader{mpeg1, 1, 384000, 44100, 2, true, false, 0}, 420, 384, "MPEG-1 layer I"},
		{"fff718c4", mpegHeader{mpeg2, 1, 32000, 16000, 1, false, false, 0}, 96, 384, "MPEG-2 layer I"},
	}
	for _, test := range tests {
		b, _ := hex.DecodeString(test.hex)
		h, ok := parseMPEGHeader(b)
		if !ok || h != test.want {
			t.Errorf("%s: %+v, %v, want %+v", test.hex, h, ok, test.want)
			continue
		}
		if h.length() != test.length || h.samples() != test.samples || h.codec() != test.codec {
			t.Errorf("%s: %d bytes, %d samples, %q, want %d, %d, %q",
				test.hex, h.length(), h.samples(), h.codec(), test.length, test.samples, test.codec)
		}
	}
}

func TestParseMPEGHeaderRefuses(t *testing.T) {
	for name, code := range map[string]string{
		"no sync":                "fefb9064",
		"short sync":             "ffdb9064",
		"reserved version":       "ffeb9064",
		"reserved layer":         "fff99064",
		"free format":            "fffb0064",
		"reserved bit rate":      "fffbf064",
		"reserved sampling rate": "fffb9c64",
		"reserved emphasis":      "fffb9066",
		"three bytes":            "fffb90",
		"nothing":                "",
	} {
		b, _ := hex.DecodeString(code)
		if h, ok := parseMPEGHeader(b); ok {
			t.Errorf("%s: %s was read as %+v", name, code, h)
		}
	}
}

// tagFrame builds the first frame of a stream with h's header and a tag.
func tagFrame(header string, at int, flags uint32, fields []uint32, lame []byte) (mpegHeader, []byte) {
	b, _ := hex.DecodeString(header)
	h, _ := parseMPEGHeader(b)
	frame := append(b, make([]byte, at-len(b))...)
	frame = append(frame, "Xing"...)
	frame = binary.BigEndian.AppendUint32(frame, flags)
	for _, v := range fields {
		frame = binary.BigEndian.AppendUint32(frame, v)
	}
	frame = append(frame, lame...)
	return h, append(frame, make([]byte, max(0, h.length()-len(frame)))...)
}

func TestParseXingTag(t *testing.T) {
	seek := make([]uint32, 25)
	lame := append([]byte("LAME3.100\x01\x00xxxxxxxx\x00\x40"), 0x24, 0x03, 0x26)
	tests := []struct {
		name   string
		header string
		at     int
		flags  uint32
		fields []uint32
		lame   []byte
		want   xingTag
		frames int64 // of sound
	}{
		{"all fields, MPEG-1 stereo", "fffb9064", 36, 15, append(append([]uint32{100, 5000}, seek...), 80),
			lame, xingTag{100, 576, 806}, 115200 - 576 - 806},
		{"all fields, MPEG-1 mono", "fffb90c4", 21, 15, append(append([]uint32{100, 5000}, seek...), 80), lame,
			xingTag{100, 576, 806}, 115200 - 576 - 806},
		{"frames only, MPEG-2 mono", "fff384c4", 13, 1, []uint32{100}, lame, xingTag{100, 576, 806}, 57600 - 576 - 806},
		{"MPEG-2 stereo", "fff38404", 21, 1, []uint32{100}, lame, xingTag{100, 576, 806}, 57600 - 576 - 806},
		{"no frames", "fff384c4", 13, 2, []uint32{5000}, lame, xingTag{-1, 576, 806}, -1},
		{"no flags", "fff384c4", 13, 0, nil, lame, xingTag{-1, 576, 806}, -1},
		{"no encoder", "fff384c4", 13, 1, []uint32{100}, nil, xingTag{100, -1, -1}, 57600},
		{"frames never filled in", "fff384c4", 13, 1, []uint32{0}, lame, xingTag{0, 576, 806}, -1},
		{"short padding", "fff384c4", 13, 1, []uint32{100}, lame[:22], xingTag{100, 576, 0}, 57600 - 576 - 529},
		{"all frames are padding", "fff384c4", 13, 1, []uint32{1}, lame, xingTag{1, 576, 806}, 0},
		{"four billion frames", "fff384c4", 13, 1, []uint32{1<<32 - 1}, nil, xingTag{1<<32 - 1, -1, -1}, (1<<32 - 1) * 576},
	}
	for _, test := range tests {
		h, frame := tagFrame(test.header, test.at, test.flags, test.fields, test.lame)
		got, ok := parseXingTag(h, frame)
		if !ok || got != test.want {
			t.Errorf("%s: %+v, %v, want %+v", test.name, got, ok, test.want)
		}
		if n := got.duration(h); n != test.frames {
			t.Errorf("%s: %d frames of sound, want %d", test.name, n, test.frames)
		}
		for cut := range frame {
			parseXingTag(h, frame[:cut]) // must not reach beyond
		}
	}
}

func TestParseXingTagRefuses(t *testing.T) {
	h, frame := tagFrame("fff384c4", 13, 1, []uint32{100}, nil)
	sound := bytes.Clone(frame)
	sound[9] = 1 // side information: a frame of sound that happens to spell Xing
	layer2, _ := parseMPEGHeader([]byte{0xFF, 0xF5, 0x84, 0xC4})
	moved := append(bytes.Clone(frame[:4]), append([]byte{0}, frame[4:]...)...)
	for name, test := range map[string]struct {
		h     mpegHeader
		frame []byte
	}{
		"sound":   {h, sound},
		"layer 2": {layer2, frame},
		"moved":   {h, moved},
		"cut":     {h, frame[:20]},
	} {
		if tag, ok := parseXingTag(test.h, test.frame); ok {
			t.Errorf("%s was read as %+v", name, tag)
		}
	}
}

func TestParseID3Header(t *testing.T) {
	for _, test := range []struct {
		header string
		size   int
		ok     bool
	}{
		{"ID3\x03\x00\x00\x00\x00\x00\x00", 10, true},
		{"ID3\x04\x00\x00\x00\x00\x02\x01", 10 + 257, true},
		{"ID3\x04\x00\x10\x00\x00\x02\x01", 20 + 257, true},
		{"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", 10 + 1<<28 - 1, true},
		{"ID3\x04\x00\x00\x80\x00\x00\x00", 0, false},
		{"ID3\xff\x00\x00\x00\x00\x00\x00", 0, false},
		{"ID3\x04\x00\x00\x00\x00\x00", 0, false},
		{"TAG\x04\x00\x00\x00\x00\x00\x00", 0, false},
	} {
		if size, ok := parseID3Header([]byte(test.header)); size != test.size || ok != test.ok {
			t.Errorf("%q: %d, %v, want %d, %v", test.header, size, ok, test.size, test.ok)
		}
	}
}

// testMP3 reads a file of testdata/mp3.
func testMP3(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", "mp3", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testMP3Names(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "testdata", "mp3", pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	names := make([]string, len(paths))
	for i, path := range paths {
		names[i] = filepath.Base(path)
	}
	return names
}

func id3Tag(body []byte) []byte {
	n := len(body)
	tag := []byte{'I', 'D', '3', 4, 0, 0, byte(n >> 21 & 0x7F), byte(n >> 14 & 0x7F), byte(n >> 7 & 0x7F), byte(n & 0x7F)}
	return append(tag, body...)
}

func noise(seed uint64, n int) []byte {
	random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	b := make([]byte, n)
	random.Read(b)
	return b
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestSniffMP3(t *testing.T) {
	for _, name := range testMP3Names(t, "*.mp3") {
		mp3 := testMP3(t, name)
		for kind, data := range map[string][]byte{
			"as it is":            mp3,
			"after an ID3v2 tag":  join(id3Tag([]byte("title")), mp3),
			"after two":           join(id3Tag(make([]byte, 5000)), id3Tag(make([]byte, 100)), mp3),
			"after a large one":   join(id3Tag(make([]byte, 400_000)), mp3),
			"after 3000 of noise": join(noise(1, 3000), mp3),
			"after 3000 of zeros": join(make([]byte, 3000), mp3),
			"cut":                 mp3[:len(mp3)-5],
		} {
			if strings.Contains(name, "free") && strings.HasPrefix(kind, "after 3000") {
				continue // must be the first of all
			}
			r := bufio.NewReaderSize(bytes.NewReader(data), 64<<10)
			if !beginsMP3(r) {
				t.Errorf("%s %s was not recognised", name, kind)
			}
			if rest, err := io.ReadAll(r); err != nil || !bytes.Equal(rest, data) {
				t.Errorf("%s %s: the sniffer consumed %d bytes", name, kind, len(data)-len(rest))
			}
		}
	}
}

func TestSniffMP3RefusesOthers(t *testing.T) {
	mp3 := testMP3(t, "speech_24000hz_mono_cbr64.mp3")
	wav := []byte("RIFF\xff\xff\xff\xffWAVEfmt " +
		"\x10\x00\x00\x00\x55\x00\x01\x00\xc0\x5d\x00\x00\x40\x1f\x00\x00\x01\x00\x00\x00data\xff\xff\xff\xff")
	hiss := make([]byte, 60_000) // values -1, 0 and 1: rich in sync patterns
	for i, v := range noise(2, len(hiss)/2) {
		binary.LittleEndian.PutUint16(hiss[2*i:], uint16(int16(v%3)-1))
	}
	others := map[string][]byte{
		"nothing":            nil,
		"WAV around an MP3":  join(wav, mp3),
		"PNG around an MP3":  join([]byte("\x89PNG\r\n\x1a\n"), mp3),
		"Ogg":                join([]byte("OggS\x00\x02"), noise(3, 40_000)),
		"FLAC behind ID3v2":  join(id3Tag(make([]byte, 99)), []byte("fLaC"), noise(4, 40_000)),
		"text":               []byte(strings.Repeat("an mp3 of sync words: ÿûÿû\n", 2000)),
		"text in UTF-16":     join([]byte("\xff\xfe"), bytes.Repeat([]byte("a\x00"), 20_000)),
		"zeros":              make([]byte, 100_000),
		"ones":               bytes.Repeat([]byte{0xFF}, 100_000),
		"faint noise, s16le": hiss,
		"faint noise, s16be": hiss[1:],
		"a tag alone":        id3Tag(make([]byte, 300)),
		"a cut tag":          id3Tag(make([]byte, 300))[:200],
		"one header":         mp3[:4],
		"a frame and a half": mp3[:100],
		"headers too close":  bytes.Repeat(mp3[:5], 1000),
	}
	for _, name := range testMP3Names(t, "*.s16") {
		others[name] = testMP3(t, name)
	}
	for name, data := range others {
		if beginsMP3(bufio.NewReaderSize(bytes.NewReader(data), 64<<10)) {
			t.Errorf("%s was taken for MP3", name)
		}
	}
	for seed := range uint64(300) {
		if beginsMP3(bufio.NewReaderSize(bytes.NewReader(noise(seed, 65_536)), 64<<10)) {
			t.Errorf("random bytes %d were taken for MP3", seed)
		}
	}
}

// strictReader fails the test if more is read than it has.
type strictReader struct {
	t    *testing.T
	data []byte
}

func (r *strictReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		r.t.Error("read beyond what was there")
		return 0, io.EOF
	}
	n := copy(p, r.data[:1])
	r.data = r.data[n:]
	return n, nil
}

func TestSniffMP3ReadsTwoFrames(t *testing.T) {
	mp3 := testMP3(t, "speech_22050hz_mono_cbr32.mp3")
	h, _ := parseMPEGHeader(mp3)
	needed := h.length() + mpegHeaderLength
	if !beginsMP3(bufio.NewReaderSize(&strictReader{t, mp3[:needed]}, 64<<10)) {
		t.Errorf("%d bytes of a pipe were not recognised", needed)
	}
	if beginsMP3(bufio.NewReaderSize(&strictReader{t, []byte("RIFF")}, 64<<10)) {
		t.Error("a WAV was taken for MP3")
	}
}

func TestMPEGFramesReadError(t *testing.T) {
	mp3 := testMP3(t, "speech_22050hz_mono_cbr32.mp3")
	broken := errors.New("broken")
	for _, n := range []int{0, 3, 50, 104, 107} {
		r := io.MultiReader(bytes.NewReader(mp3[:n]), iotest.ErrReader(broken))
		f := mpegFrames{r: bufio.NewReaderSize(r, 64<<10)}
		if err := f.start(); !errors.Is(err, broken) {
			t.Errorf("broken after %d bytes: %v", n, err)
		}
	}
}

func TestMPEGFramesLongJunk(t *testing.T) {
	mp3 := testMP3(t, "speech_22050hz_mono_cbr32.mp3")
	data := join(mp3, noise(1, 3*mpegWindow+1234), mp3)
	f := mpegFrames{r: bufio.NewReaderSize(bytes.NewReader(data), 64<<10)}
	if err := f.start(); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for {
		_, frame, err := f.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, frame...)
	}
	if !bytes.Equal(got, join(mp3, mp3)) {
		t.Errorf("%d bytes of frames, want %d", len(got), 2*len(mp3))
	}
	if want := int64(3*mpegWindow + 1234); f.skipped != want {
		t.Errorf("%d bytes left out, want %d", f.skipped, want)
	}
}

// If headers without a bit rate are not at equal distances, the stream is not in free format.
func TestMPEGFreeFormatLength(t *testing.T) {
	mp3 := testMP3(t, "speech_24000hz_mono_free100.mp3")
	for name, test := range map[string]struct {
		data []byte
		want int
	}{
		"whole":               {mp3, 300},
		"two frames":          {mp3[:600], 300},
		"two and a byte":      {mp3[:601], 300},
		"one frame":           {mp3[:300], 0},
		"two, then noise":     {join(mp3[:600], noise(1, 5000)), 0},
		"too far apart":       {bytes.Repeat(join(mp3[:300], make([]byte, maxMPEGFrame)), 4), 0},
		"unequally far apart": {join(mp3[:600], make([]byte, 10), mp3[:300], make([]byte, 20), mp3[:300], noise(2, 5000)), 0},
	} {
		f := mpegFrames{r: bufio.NewReaderSize(bytes.NewReader(test.data), 64<<10)}
		if err := f.start(); f.stream.Free != test.want || (err == nil) != (test.want > 0) {
			t.Errorf("%s: frames of %d bytes, %v, want %d", name, f.stream.Free, err, test.want)
		}
	}
}

func FuzzMPEGHeaders(f *testing.F) {
	for _, name := range testMP3Names(f, "*.mp3") {
		f.Add(testMP3(f, name)[:300])
	}
	_, frame := tagFrame("fffb9064", 36, 15, make([]uint32, 28), []byte("LAME3.100"))
	f.Add(frame)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := parseMPEGHeader(b)
		if !ok {
			return
		}
		if n := h.length(); n < 24 || n > maxMPEGFrame {
			t.Errorf("%+v: a frame of %d bytes", h, n)
		}
		if err := h.format().Check(); err != nil {
			t.Errorf("%+v: %v", h, err)
		}
		if !strings.HasPrefix(h.codec(), "MPEG-") {
			t.Errorf("%+v: codec %q", h, h.codec())
		}
		tag, ok := parseXingTag(h, b[:min(len(b), h.length())])
		if n := tag.duration(h); ok && (n < -1 || n > 1<<32*1152) {
			t.Errorf("%+v: %d frames of sound", tag, n)
		}
	})
}
