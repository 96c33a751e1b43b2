package audio_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"echocast/audio"
	"echocast/audio/audiotest"
)

// Bytes are the declared raw samples, unless they begin with a header.
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
		if _, err := audio.Open(strings.NewReader(text), options); !errors.Is(err, audio.ErrFormat) ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	told := *options
	told.TrustHeader = false
	if in, err := audio.Open(bytes.NewReader(wav), &told); err != nil || in.Info().Container != "raw" {
		t.Errorf("what is not to be doubted is: %v", err)
	}
}

// Other types of files are refused by name, with and without a declared encoding; quoted text
// has its control characters escaped.
func TestOtherFileTypesAreRefused(t *testing.T) {
	data, _ := to16(speechLike(400, mono24))
	wav := wavFile(mono16(24000), chunk{"data", -1, data})
	adts := bytes.Repeat(append([]byte{0xff, 0xf1, 0x50, 0x80, 0x02, 0x1f, 0xfc}, make([]byte, 9)...), 3)
	packets := bytes.Repeat(append([]byte{'G', 0x40}, make([]byte, 186)...), 4)
	for name, c := range map[string]struct{ bytes, want string }{
		"ADTS":              {string(adts), "an AAC file"},
		"gzip":              {"\x1f\x8b\x08\x00" + string(data), "a gzip file"},
		"WMA":               {"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + string(data), "a WMA"},
		"transport stream":  {string(packets), "an MPEG transport stream"},
		"AMR":               {"#!AMR\n" + string(data), "an AMR file"},
		"WavPack":           {"wvpk" + string(data), "a WavPack file"},
		"TTA":               {"TTA1" + string(data), "a TTA file"},
		"Wave64":            {"riff\x2e\x91\xcf\x11" + string(data), "a Wave64 file"},
		"M4A":               {"\x00\x00\x00\x20ftypM4A " + string(data), "an M4A file"},
		"headers":           {"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\n\r\n" + string(data), "an HTTP response"},
		"base64":            {base64.StdEncoding.EncodeToString(data), "this is text"},
		"Unauthorized":      {"Unauthorized", `"Unauthorized"`},
		"a line in front":   {"\n{\"detail\":\"quota\"}", "quota"},
		"a string":          {`"invalid key"`, "invalid key"},
		"UTF-8":             {"Ungültiger Schlüssel", "Ungültiger Schlüssel"},
		"escapes":           {"bad\x1b[31m key\r\n", `\x1b[31m key"`},
		"long":              {strings.Repeat("no more credits ", 900), `no more…"`},
		"mark before a WAV": {"\xef\xbb\xbf" + string(wav), "begins at byte 3;"},
		"log before a WAV": {"INFO ready\n" + string(wav), "begins at byte 11; leave out what stands before " +
			"it, for example with tail -c +12"},
	} {
		for _, opts := range []*audio.Options{nil, {Encoding: "s16le", Raw: mono24},
			{Encoding: "s16le", Raw: mono24, TrustHeader: true}} {
			_, err := audio.Open(strings.NewReader(c.bytes), opts)
			if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), c.want) ||
				strings.ContainsAny(err.Error(), "\n\r\x1b") || len(err.Error()) > 400 {
				t.Errorf("%s, %+v: %v", name, opts, err)
			}
		}
	}
}

// Samples that look like text or a header for a while are still samples.
func TestSamplesThatLookLikeTextOrHeader(t *testing.T) {
	for name, c := range map[string]struct {
		encoding string
		bytes    []byte
	}{
		"quiet A-law":      {"alaw", bytes.Repeat([]byte("UTUWQPVU"), 100)},
		"quiet u8":         {"u8", bytes.Repeat([]byte("~}~|{~"), 100)},
		"a few letters":    {"s16le", []byte("abcdefgh\x00\x01\x02")},
		"one sync word":    {"s16le", []byte("\xff\xf1\x50\x80\x02\x1f\xfc\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a")},
		"RIFF and no WAVE": {"s16le", append([]byte("RI\x00\x00"), make([]byte, 40)...)},
		"two bytes":        {"s16le", []byte("ab")},
	} {
		for _, trust := range []bool{false, true} {
			in, err := audio.Open(bytes.NewReader(c.bytes), &audio.Options{Encoding: c.encoding, Raw: mono24,
				TrustHeader: trust})
			if err != nil || in.Info().Container != "raw" || len(in.Warnings()) > 0 {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A header under a declared encoding is read as declared, with one warning.
func TestHeaderUnderADeclaredEncoding(t *testing.T) {
	for _, name := range []string{"mp3/speech_22050hz_mono_cbr64.mp3", "wav/s16le_mono.wav",
		"wav/s16be.au", "wav/s16.aiff"} {
		file, err := os.ReadFile("../testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		in, err := audio.Open(bytes.NewReader(file), &audio.Options{Encoding: "s16le", Raw: mono24})
		if err != nil || len(in.Warnings()) != 1 || !strings.Contains(in.Warnings()[0], "is read as s16le") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
