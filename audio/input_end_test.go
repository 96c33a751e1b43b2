package audio_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"echocast/audio"
)

// In every format, the bytes after the declared end are counted, in files and in pipes; in a
// pipe that stays open, those that have arrived.
func TestTrailingBytesAreCounted(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("../testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	s16, _ := to16(speechLike(1000, mono24))
	au := []byte(".snd")
	for _, v := range []uint32{24, uint32(len(s16)), 3, 24000, 1} {
		au = binary.BigEndian.AppendUint32(au, v)
	}
	behind := bytes.Repeat([]byte{0x7e, 0x01, 0x55}, 8000)
	for name, c := range map[string]struct {
		file []byte
		long string // how long they would be
	}{
		"WAV":    {wavFile(mono16(24000), data(s16)), ", 0.500 s if they were samples"},
		"AIFF":   {aiffFile("AIFF", comm(1, 16, rate24000, ""), ssnd(0, s16)), ", 0.500 s if they were samples"},
		"AU":     {append(au, s16...), ", 0.500 s if they were samples"},
		"FLAC":   {read("flac/24000hz_mono_16bit.flac"), ""},
		"Opus":   {read("ogg/celt_mono_20ms.opus"), ""},
		"Vorbis": {read("ogg/vorbis_22050hz_mono.ogg"), ""},
	} {
		whole := slices.Concat(c.file, behind)
		path := filepath.Join(t.TempDir(), "input")
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for way, r := range map[string]io.Reader{
			"file": file, "memory": bytes.NewReader(whole),
			"pipe": pipeOf(t, whole, true), "pipe held open": pipeOf(t, whole, false),
		} {
			t.Run(name+"/"+way, func(t *testing.T) {
				want := "left out: 24000 bytes" + c.long
				if runtime.GOOS == "windows" && strings.HasPrefix(way, "pipe") {
					want = "left out: at least"
				} else if way == "pipe held open" {
					want = "left out: at least 24000 bytes" + c.long
				}
				_, in, err := decode(t, r, &audio.Options{})
				if text := strings.Join(in.Warnings(), "; "); err != nil || !strings.Contains(text, want) {
					t.Errorf("%v, %q; want %q", err, text, want)
				}
			})
		}
	}
}

// pipeOf is a pipe that content comes out of.
func pipeOf(t *testing.T, content []byte, closed bool) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = w.Write(content) // the reader may have gone
		if closed {
			_ = w.Close()
		}
	}()
	t.Cleanup(func() {
		_ = r.Close()
		<-written
		_ = w.Close()
	})
	return r
}

// endlessChunks is what follows a file in memory: one chunk of a megabyte after the other.
type endlessChunks struct {
	io.Reader
	passed int64
}

func (e *endlessChunks) Len() int { return 1 } // it can be read at once

func (e *endlessChunks) Read(p []byte) (int, error) {
	if n, err := e.Reader.Read(p); err == nil {
		return n, nil
	}
	e.Reader = bytes.NewReader(append([]byte("NAME\x00\x10\x00\x00"), make([]byte, 1<<20)...))
	if e.passed += 1 << 20; e.passed > 200<<20 {
		return 0, io.ErrUnexpectedEOF
	}
	return e.Reader.Read(p)
}

// The sound of an AIFF ends even if endless chunks follow.
func TestEndlessChunksBehindAIFF(t *testing.T) {
	s16, _ := to16(speechLike(1000, mono24))
	input := &endlessChunks{Reader: bytes.NewReader(aiffFile("AIFF", comm(1, 16, rate24000, ""), ssnd(0, s16)))}
	got, in, err := decode(t, input, nil)
	if err != nil || len(got) != 1000 || input.passed > 150<<20 || len(in.Warnings()) != 1 {
		t.Errorf("%d samples, %v, %d MB passed, %q", len(got), err, input.passed>>20, in.Warnings())
	}
}
