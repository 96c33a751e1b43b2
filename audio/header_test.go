package audio_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"echocast/audio"
	"echocast/audio/audiotest"
)

// Raw samples are what bytes are declared to be, unless they begin with a
// header.
func TestTrustHeader(t *testing.T) {
	data, pcm := to16(speechLike(4000, mono24))
	mp3, err := os.ReadFile("../testdata/mp3/speech_22050hz_mono_cbr64.mp3")
	if err != nil {
		t.Fatal(err)
	}
	wav := wavFile(fmtChunk(1, 1, 16000, 2, 16), chunk{"data", -1, data})
	options := &audio.Options{Encoding: "s16le", Raw: mono24, TrustHeader: true}
	for name, c := range map[string]struct {
		data      []byte
		container string
		rate      int
	}{
		"samples":              {data, "raw", 24000},
		"WAV":                  {wav, "wav", 16000},
		"MP3":                  {mp3, "mp3", 22050},
		"MP3 without a tag":    {mp3[bytes.Index(mp3[4:], mp3[:2])+4:], "mp3", 22050},
		"a frame header alone": {append([]byte{0xff, 0xf3, 0x44, 0xc4}, data...), "raw", 24000},
		"markup in samples":    {append([]byte("<a"), data...), "raw", 24000},
		"nothing":              {nil, "raw", 24000},
	} {
		in, err := audio.Open(bytes.NewReader(c.data), options)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if in.Info().Container != c.container || in.Format().Rate != c.rate {
			t.Errorf("%s: taken for %+v", name, in.Info())
		}
		got, err := audiotest.Collect(in)
		if err != nil || name == "samples" && !slices.Equal(got, pcm) {
			t.Errorf("%s: %d samples, %v", name, len(got), err)
		}
		_ = in.Close()
	}
	for text, want := range map[string]string{
		`{"error": {"message": "invalid key"}}`: "invalid key",
		"<html><body>Bad gateway</body></html>": "Bad gateway",
		"RF64aaaaWAVE":                          "ends before its samples",
	} {
		if _, err := audio.Open(strings.NewReader(text), options); !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	told := *options
	told.TrustHeader = false
	if in, err := audio.Open(bytes.NewReader(wav), &told); err != nil || in.Info().Container != "raw" {
		t.Errorf("what is not to be doubted is: %v", err)
	}
}
