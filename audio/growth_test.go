package audio

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// family is a kind of input that can have any length: a head, then a part again
// and again.
type family struct {
	head, part []byte
}

func (f family) sized(size int) []byte {
	return append(slices.Clone(f.head), bytes.Repeat(f.part, max(1, (size-len(f.head))/len(f.part)))...)
}

// degenerateFamilies are inputs in which the least sound takes the most structure,
// for every reader.
func degenerateFamilies(t *testing.T) map[string]family {
	read := func(name string) []byte {
		file, err := os.ReadFile(filepath.Join("..", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	wav := func(size uint32) []byte {
		head := []byte("RIFF\xff\xff\xff\xffWAVEfmt " +
			"\x10\x00\x00\x00\x01\x00\x01\x00\xc0\x5d\x00\x00\x80\xbb\x00\x00\x02\x00\x10\x00data")
		return binary.LittleEndian.AppendUint32(head, size)
	}
	aiff := []byte(
		"FORM\xff\xff\xff\xffAIFFCOMM\x00\x00\x00\x12" +
			"\x00\x01\x00\x00\x00\x00\x00\x10\x40\x0d\xbb\x80\x00\x00\x00\x00\x00\x00")
	au := []byte(".snd\x00\x00\x00\x18\xff\xff\xff\xff\x00\x00\x00\x03\x00\x00\x5d\xc0\x00\x00\x00\x01")
	opusHead := testOggPage(oggBegins, 0, []byte("OpusHead\x01\x01\x00\x00\x80\xbb\x00\x00\x00\x00\x00"))
	opus := append(slices.Clone(opusHead), testOggPage(0, 1, []byte("OpusTags\x00\x00\x00\x00\x00\x00\x00\x00"))...)
	streamInfo := append(
		[]byte("fLaC\x00\x00\x00\x22\x10\x00\x10\x00\x00\x00\x00\x00\x00\x00\x05\xdc\x00\xf0\x00\x00\x00\x00"),
		make([]byte, 16)...)
	vorbis := read("ogg/" + firstNamed(t, "../testdata/ogg", "vorbis"))
	event := `{"audio":"` + base64.StdEncoding.EncodeToString(wav(0xffffffff)) + `"}` + "\n"
	families := map[string]family{
		"WAV, empty data chunks":  {wav(0)[:36], []byte("data\x00\x00\x00\x00")},
		"WAV, data chunks":        {wav(2), []byte("\x01\x02data\x02\x00\x00\x00")},
		"WAV, empty other chunks": {wav(2), []byte("\x00\x00LIST\x00\x00\x00\x00")},
		"WAV, headers":            {nil, wav(0xffffffff)},
		"WAV, almost headers":     {wav(0xffffffff), []byte("RIFFRIFFWAVE")},
		"AIFF, empty chunks":      {aiff, []byte("ANNO\x00\x00\x00\x00")},
		"AIFF, two samples": {append(slices.Clone(aiff),
			"SSND\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02"...), []byte("ANNO\x00\x00\x00\x00")},
		"AU":                      {au, []byte{1}},
		"Ogg, empty pages":        {opus, testOggPage(0, 2, nil)},
		"Ogg, tiny packets":       {opus, testOggPage(0, 2, []byte{0xf8})},
		"Ogg, heads":              {nil, opusHead},
		"Ogg, damaged pages":      {opus, []byte("OggS\x00\x00")},
		"Ogg Vorbis, whole files": {nil, vorbis},
		"Ogg Vorbis, empty pages": {vorbis[:len(vorbis)/2], testOggPage(0, 2, nil)},
		"FLAC, empty metadata":    {streamInfo, []byte{1, 0, 0, 0}},
		"FLAC, streams":           {nil, append(slices.Clone(streamInfo[:4]), append([]byte{0x80}, streamInfo[5:]...)...)},
		"FLAC, sync codes": {append(slices.Clone(streamInfo[:4]), append([]byte{0x80}, streamInfo[5:]...)...),
			[]byte{0xff, 0xf8}},
		"JSON, empty objects":       {nil, []byte("{}")},
		"JSON, an array":            {[]byte("["), []byte("{},")},
		"JSON, one object":          {[]byte("{"), []byte(`"a":1,`)},
		"JSON, many keys":           {[]byte("{"), []byte(`"` + strings.Repeat("k", 400) + `":"v",`)},
		"JSON, escapes":             {[]byte(`{"a":"`), []byte(`\u0041`)},
		"JSON, nested":              {nil, []byte(strings.Repeat(`{"a":`, 60) + "1" + strings.Repeat("}", 60))},
		"JSON, empty audio":         {[]byte(event), []byte(`{"audio":""}`)},
		"JSON, two bytes of audio":  {[]byte(event), []byte(`{"audio":"AQI="}`)},
		"JSON, no audio after some": {[]byte(event), []byte(`{"type":"ping"}`)},
		"JSON, spaces in audio":     {[]byte(event + `{"audio":"`), []byte(" ")},
		"SSE, comments":             {nil, []byte(": \n")},
		"SSE, empty lines":          {[]byte("data: " + event), []byte("\n")},
		"SSE, one long line":        {[]byte("event: "), []byte("x")},
		"SSE, tiny events":          {[]byte("data: " + event), []byte("data: {\"audio\":\"AQI=\"}\n\n")},
	}
	for name, frames := range degenerateFrames(16) {
		families["MP3, "+name] = family{part: frames}
	}
	return families
}

// firstNamed returns the first file in folder with a name that begins with prefix.
func firstNamed(t *testing.T, folder, prefix string) string {
	files, err := filepath.Glob(filepath.Join(folder, prefix+"*.og[ga]"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s* in %s: %v", prefix, folder, err)
	}
	return filepath.Base(files[0])
}

// work is what reading an input takes, in counts that no other program disturbs.
type work struct {
	read   int64 // bytes
	calls  int64 // of ReadSamples
	allocs int64 // pieces of memory
	memory int64 // bytes of them
}

// readAll reads an input to its end or first error.
func readAll(input []byte) (w work) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	source := &recorder{r: bytes.NewReader(input)}
	if in, err := Open(source, nil); err == nil {
		buf := make([]float32, 8192)
		for err == nil {
			_, err = in.ReadSamples(buf)
			w.calls++
		}
		_ = in.Close()
	}
	runtime.ReadMemStats(&after)
	w.read = source.read.Load()
	w.allocs = int64(after.Mallocs - before.Mallocs)
	w.memory = int64(after.TotalAlloc - before.TotalAlloc)
	return w
}

// In every format, four times the bytes take little more than four times the work.
func TestWorkIsLinearInBytes(t *testing.T) {
	const small, factor = 32 << 10, 4
	for name, f := range degenerateFamilies(t) {
		few, many := f.sized(small), f.sized(factor*small)
		readAll(few) // tables that are made once
		once, more := readAll(few), readAll(many)
		for what, c := range map[string]struct{ once, more, free int64 }{
			"bytes read":           {once.read, more.read, 0},
			"calls of ReadSamples": {once.calls, more.calls, 8},
			"allocations":          {once.allocs, more.allocs, 300},
			"bytes allocated":      {once.memory, more.memory, 1 << 20},
		} {
			if c.more > factor*5/4*c.once+c.free {
				t.Errorf("%s: %d %s for %d bytes, and %d for %d", name, c.once, what, len(few), c.more, len(many))
			}
		}
		if more.read > int64(len(many)) {
			t.Errorf("%s: %d bytes read of %d", name, more.read, len(many))
		}
	}
}
