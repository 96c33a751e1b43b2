package audio_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"echocast/audio"
	"echocast/audio/audiotest"
)

// aiffFile writes chunks like wavFile.
func aiffFile(form string, chunks ...chunk) []byte {
	body := []byte(form)
	for _, c := range chunks {
		size := uint32(len(c.data))
		if c.size >= 0 {
			size = uint32(c.size)
		}
		body = binary.BigEndian.AppendUint32(append(body, c.id...), size)
		body = append(body, c.data...)
		if len(c.data)%2 == 1 {
			body = append(body, 0)
		}
	}
	return append(binary.BigEndian.AppendUint32([]byte("FORM"), uint32(len(body))), body...)
}

// rate24000 is 24000 as an 80-bit float.
const rate24000 = "\x40\x0d\xbb\x80\x00\x00\x00\x00\x00\x00"

func comm(channels, bits int, rate, encoding string) chunk {
	b := binary.BigEndian.AppendUint16(nil, uint16(channels))
	b = binary.BigEndian.AppendUint32(b, 0) // of frames; the size of SSND tells
	b = binary.BigEndian.AppendUint16(b, uint16(bits))
	return chunk{"COMM", -1, append(append(b, rate...), encoding...)}
}

func ssnd(gap int, samples []byte) chunk {
	b := binary.BigEndian.AppendUint32(nil, uint32(gap))
	return chunk{"SSND", -1, append(append(b, make([]byte, 4+gap)...), samples...)}
}

func TestAIFFHeaders(t *testing.T) {
	samples, want := []byte{0x40, 0, 0xc0, 0, 0x20, 0}, []float32{0.5, -0.5, 0.25}
	sowt := []byte{0, 0x40, 0, 0xc0, 0, 0x20}
	unknown := ssnd(0, samples)
	unknown.size = 0x7f000008
	short := ssnd(0, samples)
	short.size = 8 + 48000
	for name, c := range map[string]struct {
		file     []byte
		want     []float32
		warnings string
	}{
		"a gap": {aiffFile("AIFF", comm(1, 16, rate24000, ""), ssnd(5, samples)), want, ""},
		"other chunks": {aiffFile("AIFF", other("NAME", 5), comm(1, 16, rate24000, ""), other("MARK", 7),
			ssnd(0, samples), other("ANNO", 9)), want, ""},
		"twos": {aiffFile("AIFC", other("FVER", 4), comm(1, 16, rate24000, "twos\x00\x00"), ssnd(0, samples)),
			want, ""},
		"sowt": {aiffFile("AIFC", comm(1, 16, rate24000, "sowt\x00\x00"), ssnd(0, sowt)), want, ""},
		"upper case": {aiffFile("AIFC", comm(1, 32, rate24000, "FL32\x00\x00"), ssnd(0, []byte{0x3f, 0, 0, 0})),
			want[:1], ""},
		"12 bits":      {aiffFile("AIFF", comm(1, 12, rate24000, ""), ssnd(0, samples)), want, ""},
		"8 bits":       {aiffFile("AIFF", comm(1, 8, rate24000, ""), ssnd(0, []byte{0x40, 0xc0, 0x20})), want, ""},
		"unknown size": {aiffFile("AIFF", comm(1, 16, rate24000, ""), unknown), want, ""},
		"less than is said": {aiffFile("AIFF", comm(1, 16, rate24000, ""), short), want,
			"the header claims 1.000 s and the samples end after 0.000 s; all of them are used"},
		"more than is whole": {aiffFile("AIFF", comm(2, 16, rate24000, ""), ssnd(0, samples)), want[:2],
			"ignored the last 2 bytes: not a whole 4-byte frame"},
	} {
		t.Run(name, func(t *testing.T) {
			audiotest.TestSource(t, opener(c.file), c.want)
			in, err := audio.Open(bytes.NewReader(c.file), nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = audiotest.Collect(in)
			if got := strings.Join(in.Warnings(), "; "); got != c.warnings {
				t.Errorf("warnings %q, want %q", got, c.warnings)
			}
		})
	}
}

func TestAIFFRates(t *testing.T) {
	for rate, want := range map[string]int{
		rate24000: 24000,
		"\x40\x0e\xac\x44\x00\x00\x00\x00\x00\x00": 44100,
		"\x40\x0d\xac\x44\x00\x00\x00\x00\x00\x00": 22050,
		"\x40\x0c\xad\x9c\x70\x00\x00\x00\x00\x00": 11111, // 11111.11
		"\x40\x0c\xad\x9d\xff\x00\x00\x00\x00\x00": 11111, // 11111.498
		"\x40\x0b\xf9\xff\xff\xff\xff\xff\xff\xff": 8000,  // 7999.9999
	} {
		in, err := audio.Open(bytes.NewReader(aiffFile("AIFF", comm(1, 16, rate, ""), ssnd(0, make([]byte, 4)))), nil)
		if err != nil || in.Format().Rate != want {
			t.Errorf("%x: %v, want %d Hz", rate, err, want)
		}
	}
}

func TestAIFFAndAURefusals(t *testing.T) {
	some := make([]byte, 100)
	au := func(fields ...uint32) []byte {
		b := []byte(".snd")
		for _, v := range fields {
			b = binary.BigEndian.AppendUint32(b, v)
		}
		return append(b, some...)
	}
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"samples first": {aiffFile("AIFF", ssnd(0, some), comm(1, 16, rate24000, "")),
			"a stream cannot go back; convert it"},
		"no samples":     {aiffFile("AIFF", comm(1, 16, rate24000, "")), "the AIFF ends before its samples"},
		"no format":      {aiffFile("AIFF", other("NAME", 4)), "the AIFF ends before its samples"},
		"COMM too short": {aiffFile("AIFF", chunk{"COMM", -1, some[:17]}), "COMM chunk claims 17 bytes"},
		"COMM cut":       {aiffFile("AIFF", comm(1, 16, rate24000, ""))[:30], `inside its "COMM" chunk`},
		"chunk cut": {aiffFile("AIFF", chunk{"NAME", 1000, some}),
			`inside its "NAME" chunk, which claims 1000 bytes`},
		"SSND cut": {aiffFile("AIFF", comm(1, 16, rate24000, ""), ssnd(0, some))[:50], "inside its SSND chunk"},
		"IMA": {aiffFile("AIFC", comm(1, 16, rate24000, "ima4\x00\x00"), ssnd(0, some)),
			`16-bit "ima4" samples`},
		"40 bits":       {aiffFile("AIFF", comm(1, 40, rate24000, ""), ssnd(0, some)), `40-bit "NONE" samples`},
		"no bits":       {aiffFile("AIFF", comm(1, 0, rate24000, ""), ssnd(0, some)), `0-bit`},
		"no rate":       {aiffFile("AIFF", comm(1, 16, string(make([]byte, 10)), ""), ssnd(0, some)), "rate 0 Hz"},
		"negative rate": {aiffFile("AIFF", comm(1, 16, "\xc0"+rate24000[1:], ""), ssnd(0, some)), "rate 0 Hz"},
		"absurd rate": {aiffFile("AIFF", comm(1, 16, "\x7f"+rate24000[1:], ""), ssnd(0, some)),
			"rate 2147483647 Hz"},
		"9 channels": {aiffFile("AIFF", comm(9, 16, rate24000, ""), ssnd(0, some)), "9 channels"},
		"gap beyond the chunk": {aiffFile("AIFF", comm(1, 16, rate24000, ""),
			chunk{"SSND", -1, []byte{0, 0, 0, 9, 0, 0, 0, 0, 1, 2}}), "begin 9 bytes into an SSND chunk of 10"},
		"AU cut":           {au(24, 100, 3, 8000, 1)[:20], "the AU ends before its samples"},
		"AU note cut":      {au(2400, 100, 3, 8000, 1), "the AU ends before its samples"},
		"AU note absurd":   {au(0xffffffff, 100, 3, 8000, 1), "begin at byte 4294967295"},
		"AU note negative": {au(8, 100, 3, 8000, 1), "begin at byte 8"},
		"AU encoding":      {au(24, 100, 23, 8000, 1), "type 23"},
		"AU rate":          {au(24, 100, 3, 0xffffffff, 1), "rate 2147483647 Hz"},
		"AU channels":      {au(24, 100, 3, 8000, 0xffffffff), "2147483647 channels"},
	} {
		_, err := audio.Open(bytes.NewReader(c.file), nil)
		if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want one line that speaks of %q", name, err, c.want)
		}
	}
	for _, encoding := range []string{"aiff", "au"} {
		if _, err := audio.Open(bytes.NewReader(some), &audio.Options{Encoding: encoding}); !errors.Is(err, audio.ErrFormat) {
			t.Errorf("zeros as %s: %v", encoding, err)
		}
	}
}

// If the input breaks in a header, the error keeps the cause.
func TestBrokenAIFFAndAU(t *testing.T) {
	broke := errors.New("the cable is out")
	for _, name := range []string{"s16.aiff", "none.aifc", "s16_sox.au"} {
		file, want := corpusFile(t, name)
		for at := range len(file) {
			in, err := audio.Open(io.MultiReader(bytes.NewReader(file[:at]), iotest.ErrReader(broke)), nil)
			if err == nil {
				audiotest.TestBroken(t, in, want, broke)
			} else if !errors.Is(err, broke) {
				t.Fatalf("%s broken after %d bytes: %v, want %v", name, at, err, broke)
			}
		}
	}
}

// Samples after the declared end of a file are reported with their length; chunks that
// may be there are not.
func TestTrailingBytesInAIFFAndAU(t *testing.T) {
	some, behind := make([]byte, 100), bytes.Repeat([]byte{0xfe, 0x01}, 12000)
	au := []byte(".snd")
	for _, v := range []uint32{24, 100, 3, 24000, 1} {
		au = binary.BigEndian.AppendUint32(au, v)
	}
	au = append(au, some...)
	aiff := aiffFile("AIFF", comm(1, 16, rate24000, ""), ssnd(0, some))
	named := aiffFile("AIFF", comm(1, 16, rate24000, ""), ssnd(0, some), other("NAME", 5), other("ANNO", 40))
	const want = "what follows the declared end is left out: 24000 bytes, 0.500 s if they were samples"
	for name, c := range map[string]struct {
		file []byte
		want []string
	}{
		"AU":           {au, nil},
		"AU, longer":   {slices.Concat(au, behind), []string{want}},
		"AIFF":         {aiff, nil},
		"AIFF, chunks": {named, nil},
		"AIFF, longer": {slices.Concat(aiff, behind), []string{want}},
		"chunks, more": {slices.Concat(named, behind), []string{want}},
		"AIFF, a cut chunk": {slices.Concat(aiff, []byte("NAME\x00\x00\xff\xff")),
			[]string{"what follows the declared end is left out: 8 bytes, 0.000 s if they were samples"}},
	} {
		path := filepath.Join(t.TempDir(), "input")
		if err := os.WriteFile(path, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		got, in, err := decode(t, file, nil)
		if err != nil || len(got) != 50 || !slices.Equal(in.Warnings(), c.want) {
			t.Errorf("%s: %d samples, %v, %q; want %q", name, len(got), err, in.Warnings(), c.want)
		}
		file.Close()
	}
}
