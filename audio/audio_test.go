package audio_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"echocast/audio"
	"echocast/audio/audiotest"
)

// speechLike is n frames of a signal with the span of speech: a sweep and its
// overtone, the channels different, never beyond ±0.9.
func speechLike(n int, format audio.Format) []float32 {
	pcm := make([]float32, n*format.Channels)
	for i := range pcm {
		t := float64(i/format.Channels) / float64(format.Rate)
		f := 100 + 300*t + 50*float64(i%format.Channels)
		pcm[i] = float32(0.6*math.Sin(2*math.Pi*f*t) + 0.3*math.Sin(2*math.Pi*7.3*f*t))
	}
	return pcm
}

// to16 rounds to 16 bits, and back gives what a decoder must read.
func to16(pcm []float32) (data []byte, back []float32) {
	for _, v := range pcm {
		s := int16(math.RoundToEven(float64(v) * 32767))
		data = binary.LittleEndian.AppendUint16(data, uint16(s))
		back = append(back, float32(s)/32768)
	}
	return data, back
}

func toFloat(pcm []float32) (data []byte) {
	for _, v := range pcm {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return data
}

type chunk struct {
	id   string
	size int // as claimed; -1: the real one
	data []byte
}

// wavFile writes chunks with the claimed sizes, each with its pad byte.
func wavFile(chunks ...chunk) []byte {
	body := []byte("WAVE")
	for _, c := range chunks {
		size := uint32(len(c.data))
		if c.size >= 0 {
			size = uint32(c.size)
		}
		body = append(body, c.id...)
		body = binary.LittleEndian.AppendUint32(body, size)
		body = append(body, c.data...)
		if len(c.data)%2 == 1 {
			body = append(body, 0)
		}
	}
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

func fmtChunk(tag, channels, rate, align, bits int) chunk {
	var b []byte
	b = binary.LittleEndian.AppendUint16(b, uint16(tag))
	b = binary.LittleEndian.AppendUint16(b, uint16(channels))
	b = binary.LittleEndian.AppendUint32(b, uint32(rate))
	b = binary.LittleEndian.AppendUint32(b, uint32(rate*align))
	b = binary.LittleEndian.AppendUint16(b, uint16(align))
	b = binary.LittleEndian.AppendUint16(b, uint16(bits))
	return chunk{"fmt ", -1, b}
}

// extensible is a fmt chunk that says its encoding in the sub-format.
func extensible(tag, channels, rate, align, bits int) chunk {
	c := fmtChunk(0xFFFE, channels, rate, align, bits)
	c.data = binary.LittleEndian.AppendUint16(c.data, 22)
	c.data = binary.LittleEndian.AppendUint16(c.data, uint16(bits))
	c.data = binary.LittleEndian.AppendUint32(c.data, 3)
	c.data = binary.LittleEndian.AppendUint16(c.data, uint16(tag))
	c.data = append(c.data, "\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"...)
	return c
}

func data(b []byte) chunk            { return chunk{"data", -1, b} }
func claim(size int, b []byte) chunk { return chunk{"data", size, b} }
func other(id string, n int) chunk   { return chunk{id, -1, bytes.Repeat([]byte("x"), n)} }
func mono16(rate int) chunk          { return fmtChunk(1, 1, rate, 2, 16) }
func opener(file []byte) func() (audio.Source, error) {
	return func() (audio.Source, error) { return audio.Open(bytes.NewReader(file), nil) }
}

func TestWAV(t *testing.T) {
	format := audio.Format{Rate: 22050, Channels: 1}
	stereo := audio.Format{Rate: 44100, Channels: 2}
	m16, m := to16(speechLike(3001, format))
	s16, s := to16(speechLike(3001, stereo))
	float := speechLike(3001, stereo)
	for name, c := range map[string]struct {
		file []byte
		want []float32
	}{
		"16-bit mono":                {wavFile(mono16(22050), data(m16)), m},
		"16-bit stereo":              {wavFile(fmtChunk(1, 2, 44100, 4, 16), data(s16)), s},
		"float stereo":               {wavFile(fmtChunk(3, 2, 44100, 8, 32), data(toFloat(float))), float},
		"extensible 16-bit":          {wavFile(extensible(1, 1, 22050, 2, 16), data(m16)), m},
		"extensible float":           {wavFile(extensible(3, 2, 44100, 8, 32), data(toFloat(float))), float},
		"fmt of 18 bytes":            {wavFile(chunk{"fmt ", -1, append(mono16(22050).data, 0, 0)}, data(m16)), m},
		"size ffffffff (ffmpeg)":     {wavFile(mono16(22050), claim(0xffffffff, m16)), m},
		"size 7ffff000 (espeak-ng)":  {wavFile(mono16(22050), claim(0x7ffff000, m16)), m},
		"size 7fffffff (ElevenLabs)": {wavFile(mono16(22050), claim(0x7fffffff, m16)), m},
		"size 2000000000 (Pocket)":   {wavFile(mono16(22050), claim(2000000000, m16)), m},
		"size 0 (libsndfile)":        {wavFile(mono16(22050), claim(0, m16)), m},
		"LIST before the samples":    {wavFile(mono16(22050), other("LIST", 26), data(m16)), m},
		"odd chunk, JUNK first":      {wavFile(other("JUNK", 27), mono16(22050), other("bext", 603), data(m16)), m},
		"chunks after the samples":   {wavFile(mono16(22050), data(m16), other("LIST", 400)), m},
		"align 0":                    {wavFile(fmtChunk(1, 1, 22050, 0, 16), data(m16)), m},
	} {
		t.Run(name, func(t *testing.T) { audiotest.TestSource(t, opener(c.file), c.want) })
	}
}

// The samples are the same, however the reads split samples and chunk headers.
func TestSplitReads(t *testing.T) {
	s16, want := to16(speechLike(700, audio.Format{Rate: 44100, Channels: 2}))
	file := wavFile(fmtChunk(1, 2, 44100, 4, 16), other("LIST", 7), data(s16))
	raw := &audio.Options{Encoding: "s16le", Raw: audio.Format{Rate: 44100, Channels: 2}}
	for name, split := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader, "half": iotest.HalfReader,
		"data with EOF": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			audiotest.TestSource(t, func() (audio.Source, error) { return audio.Open(split(bytes.NewReader(file)), nil) }, want)
			audiotest.TestSource(t, func() (audio.Source, error) { return audio.Open(split(bytes.NewReader(s16)), raw) }, want)
		})
	}
}

// The first samples are available before the input ends.
func TestFirstSamplesBeforeInputEnds(t *testing.T) {
	s16, want := to16(speechLike(100, audio.Format{Rate: 24000, Channels: 1}))
	r, w := io.Pipe()
	defer r.Close()
	// It ends with its write; nothing is closed.
	go func() { _, _ = w.Write(wavFile(mono16(24000), claim(0xffffffff, s16))) }()
	in, err := audio.Open(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]float32, 4096)
	for got := 0; got < len(want); {
		n, err := in.ReadSamples(buf)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
}

func TestWrongHeaderLengths(t *testing.T) {
	m16, want := to16(speechLike(11025, audio.Format{Rate: 22050, Channels: 1}))
	for _, c := range []struct {
		file     []byte
		warnings string
	}{
		{wavFile(mono16(22050), claim(len(m16)*4, m16)), "the header claims 2.000 s and the samples end after " +
			"0.500 s; all of them are used"},
		{wavFile(mono16(22050), claim(0xffffffff, append(bytes.Clone(m16), 7))),
			"ignored the last 1 byte: not a whole 2-byte frame"},
		{wavFile(mono16(22050), data(m16)), ""},
		{wavFile(mono16(22050), claim(0xffffffff, m16)), ""},
	} {
		in, err := audio.Open(bytes.NewReader(c.file), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := audiotest.Collect(in)
		// The pad byte that wavFile adds after odd data is part of it here.
		if err != nil || len(got) != len(want) && len(got) != len(want)+1 {
			t.Errorf("%d samples, %v; want %d", len(got), err, len(want))
		}
		if warnings := strings.Join(in.Warnings(), "; "); c.warnings != warnings && len(got) == len(want) {
			t.Errorf("warnings %q, want %q", warnings, c.warnings)
		}
	}
}

func TestRawOddBytes(t *testing.T) {
	options := &audio.Options{Encoding: "s16le", Raw: audio.Format{Rate: 16000, Channels: 2}}
	in, err := audio.Open(strings.NewReader("1234\x00bc"), options)
	if err != nil {
		t.Fatal(err)
	}
	got, err := audiotest.Collect(in)
	if err != nil || len(got) != 2 {
		t.Fatalf("%d samples, %v", len(got), err)
	}
	if w := in.Warnings(); len(w) != 1 || w[0] != "ignored the last 3 bytes: not a whole 4-byte frame" {
		t.Errorf("warnings %q", w)
	}
	if in.Frames() != 1 {
		t.Errorf("%d frames counted", in.Frames())
	}
}

func TestRefusals(t *testing.T) {
	some := bytes.Repeat([]byte{1, 2}, 500)
	for name, c := range map[string]struct {
		file []byte
		want string // in the message
	}{
		"text":                {[]byte("Hello there, this is a sentence.\n"), "text-to-speech"},
		"long text":           {[]byte(strings.Repeat("Grüße aus dem Norden. ", 5000)), "text-to-speech"},
		"noise":               {bytes.Repeat([]byte{0xfe, 0x01, 0x80}, 3000), "raw samples need their encoding"},
		"zeros":               {make([]byte, 100000), "raw samples need their encoding"},
		"PNG":                 {[]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"), "PNG"},
		"Ogg":                 {[]byte("OggS\x00\x02\x00\x00\x00\x00\x00\x00"), "Ogg"},
		"M4A":                 {[]byte("\x00\x00\x00\x20ftypM4A \x00\x00"), "M4A"},
		"AVI":                 {[]byte("RIFF\x24\x00\x00\x00AVI LIST"), "an AVI file"},
		"8SVX":                {[]byte("FORM\x00\x00\x00\x248SVXVHDR"), `an IFF file of type "8SVX"`},
		"40-bit WAV":          {wavFile(fmtChunk(1, 1, 8000, 5, 40), data(some)), "40-bit integer"},
		"0-bit WAV":           {wavFile(fmtChunk(1, 1, 8000, 2, 0), data(some)), "0-bit integer"},
		"half-float WAV":      {wavFile(fmtChunk(3, 1, 8000, 2, 16), data(some)), "16-bit float"},
		"MP3 in WAV":          {wavFile(fmtChunk(0x55, 1, 24000, 1, 0), data(some)), "MP3 samples"},
		"WAV without samples": {wavFile(mono16(24000)), "ends before its samples"},
		"WAV header only":     {[]byte("RIFF\x24\x00\x00\x00WAVE"), "ends before its samples"},
		"WAV without fmt":     {wavFile(data(some)), "before it says their format"},
		"fmt cut short":       {wavFile(mono16(24000), data(some))[:25], `inside its "fmt " chunk`},
		"fmt of 14 bytes": {wavFile(chunk{"fmt ", -1, mono16(24000).data[:14]}, data(some)),
			"fmt chunk claims 14 bytes"},
		"fmt of 2 GB":          {wavFile(chunk{"fmt ", 0x7fffffff, mono16(24000).data}, data(some)), "fmt chunk claims"},
		"LIST of 4 GB":         {wavFile(mono16(24000), chunk{"LIST", 0xfffffffe, some}), "claims 4294967294 bytes"},
		"rate 0":               {wavFile(mono16(0), data(some)), "0 Hz"},
		"rate 4 GHz":           {wavFile(mono16(4_000_000_000), data(some)), "Hz is outside"},
		"no channels":          {wavFile(fmtChunk(1, 0, 24000, 2, 16), data(some)), "0 channels"},
		"65535 channels":       {wavFile(fmtChunk(1, 65535, 24000, 2, 16), data(some)), "65535 channels"},
		"extensible cut short": {wavFile(fmtChunk(0xFFFE, 1, 24000, 2, 16), data(some)), "cut short"},
		"three bytes":          {[]byte{1, 2, 3}, "raw samples need their encoding"},
	} {
		_, err := audio.Open(bytes.NewReader(c.file), nil)
		if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want one line that speaks of %q", name, err, c.want)
		}
	}
	if _, err := audio.Open(strings.NewReader(""), nil); !errors.Is(err, audio.ErrEmpty) {
		t.Errorf("an empty input: %v, want ErrEmpty", err)
	}
	for _, o := range []*audio.Options{{Encoding: "s16le"}, {Encoding: "s16le", Raw: audio.Format{Rate: 8000}},
		{Encoding: "s17le"}, {Encoding: "wav"},
		{Encoding: "s16le", Raw: audio.Format{Rate: 100, Channels: 1}},
		{Encoding: "s16le", Raw: audio.Format{Rate: 8000, Channels: 9}}} {
		if _, err := audio.Open(bytes.NewReader(some), o); !errors.Is(err, audio.ErrFormat) {
			t.Errorf("%+v: %v, want ErrFormat", *o, err)
		}
	}
}

// If an input breaks, the error says where and keeps the cause, also in a header.
func TestBrokenInput(t *testing.T) {
	broke := errors.New("the cable is out")
	m16, want := to16(speechLike(24000, audio.Format{Rate: 24000, Channels: 1}))
	file := wavFile(mono16(24000), data(m16))
	for _, at := range []int{0, 5, 12, 20, 40} {
		if _, err := audio.Open(io.MultiReader(bytes.NewReader(file[:at]), iotest.ErrReader(broke)),
			nil); !errors.Is(err, broke) {
			t.Errorf("broken after %d bytes: %v, want %v", at, err, broke)
		}
	}
	in, err := audio.Open(io.MultiReader(bytes.NewReader(file[:44+2*12000+1]), iotest.ErrReader(broke)), nil)
	if err != nil {
		t.Fatal(err)
	}
	audiotest.TestBroken(t, in, want, broke)
	_, err = in.ReadSamples(make([]float32, 1))
	var where *audio.InputError
	if !errors.As(err, &where) || where.At != 500*time.Millisecond {
		t.Errorf("%v; want a break at 0.5 s", err)
	}
}

// An error that wraps io.EOF is an error, not an end: the connection broke.
func TestOnlyEOFIsTheEnd(t *testing.T) {
	broke := fmt.Errorf("connection reset: %w", io.EOF)
	m16, _ := to16(speechLike(2400, audio.Format{Rate: 24000, Channels: 1}))
	in, err := audio.Open(io.MultiReader(bytes.NewReader(wavFile(mono16(24000), claim(0xffffffff, m16))),
		iotest.ErrReader(broke)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audiotest.Collect(in); err == nil || !strings.Contains(err.Error(), "connection reset") {
		t.Errorf("ended with %v, want %v", err, broke)
	}
}

func TestReaderWithoutProgress(t *testing.T) {
	raw := &audio.Options{Encoding: "s16le", Raw: audio.Format{Rate: 16000, Channels: 1}}
	in, err := audio.Open(emptyReader{}, raw)
	if err == nil {
		_, err = in.ReadSamples(make([]float32, 10))
	}
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v, want io.ErrNoProgress", err)
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

// Floats may have any value, but samples are finite and bounded.
func TestFloatsAreFiniteAndBounded(t *testing.T) {
	in := []float32{0.5, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 1e30, -1e30, 1.5, -1.5}
	want := []float32{0.5, 0, 16, -16, 16, -16, 1.5, -1.5}
	audiotest.TestSource(t, opener(wavFile(fmtChunk(3, 1, 24000, 4, 32), data(toFloat(in)))), want)
}

func TestMono(t *testing.T) {
	for _, channels := range []int{1, 2, 3, 8} {
		pcm := speechLike(5000, audio.Format{Rate: 24000, Channels: channels})
		s16, back := to16(pcm)
		want := make([]float32, 5000)
		for i := range want {
			var sum float64
			for _, v := range back[i*channels : (i+1)*channels] {
				sum += float64(v)
			}
			want[i] = float32(sum / float64(channels))
		}
		src := func() (audio.Source, error) {
			in, err := audio.Open(bytes.NewReader(wavFile(fmtChunk(1, channels, 24000, 2*channels, 16), data(s16))), nil)
			if err != nil {
				return nil, err
			}
			return audio.Mono(in), nil
		}
		got, err := src()
		if err != nil {
			t.Fatal(err)
		}
		samples, err := audiotest.Collect(got)
		if err != nil || len(samples) != len(want) {
			t.Fatalf("%d channels: %d samples, %v", channels, len(samples), err)
		}
		for i := range want {
			if math.Abs(float64(samples[i]-want[i])) > 1e-6 {
				t.Fatalf("%d channels: sample %d is %v, want %v", channels, i, samples[i], want[i])
			}
		}
		audiotest.TestSource(t, src, samples)
	}
}

// A mix of two loud samples does not overflow, as it would in integers.
func TestMonoOfLoudChannels(t *testing.T) {
	file := wavFile(fmtChunk(1, 2, 24000, 4, 16), data([]byte{0x30, 0x75, 0x30, 0x75})) // 30000, 30000
	in, err := audio.Open(bytes.NewReader(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := audiotest.Collect(audio.Mono(in))
	if err != nil || len(got) != 1 || got[0] != 30000.0/32768 {
		t.Errorf("%v, %v; want 30000/32768", got, err)
	}
}

// A hostile header does not make the decoder allocate more than its fixed buffers.
func TestHeaderClaimsDoNotAllocate(t *testing.T) {
	file := wavFile(mono16(24000), chunk{"LIST", 0xfffffff0, []byte("INFO")})
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = audio.Open(bytes.NewReader(file), nil)
		}
	})
	if bytes := result.AllocedBytesPerOp(); bytes > 200<<10 {
		t.Errorf("a header of %d bytes made the decoder allocate %d", len(file), bytes)
	}
}

func TestFormat(t *testing.T) {
	f := audio.Format{Rate: 44100, Channels: 2}
	if got := f.Duration(44100*3600*1000 + 22050); got != 1000*time.Hour+500*time.Millisecond {
		t.Errorf("Duration is %v", got)
	}
	if got := f.Frames(1000*time.Hour + 500*time.Millisecond); got != 44100*3600*1000+22050 {
		t.Errorf("Frames is %d", got)
	}
	for f, want := range map[audio.Format]string{f: "44100 Hz stereo", {Rate: 8000, Channels: 1}: "8000 Hz mono",
		{Rate: 8000, Channels: 6}: "8000 Hz, 6 channels"} {
		if f.String() != want {
			t.Errorf("%q, want %q", f.String(), want)
		}
	}
}
