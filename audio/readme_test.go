package audio_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"echocast/audio"
)

// sample is an input that shows that a claim is true, and how it is opened.
type sample struct {
	data []byte
	opts *audio.Options
}

// claims are what the README's table says of inputs, by row, and the inputs that
// show it. Those of the row about ffmpeg are how such files begin.
func claims(t *testing.T) map[string]map[string][]sample {
	files := func(names ...string) (all []sample) {
		for _, name := range names {
			data, err := os.ReadFile(filepath.Join("../testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, sample{data: data})
		}
		return all
	}
	joined := func(names ...string) []sample {
		var data []byte
		for _, f := range files(names...) {
			data = append(data, f.data...)
		}
		return []sample{{data: data}}
	}
	made := func(data ...[]byte) (all []sample) {
		for _, d := range data {
			all = append(all, sample{data: d})
		}
		return all
	}
	pcm, _ := to16(speechLike(4000, mono24))
	wav := wavFile(mono16(24000), data(pcm))
	coded, hexed := base64.StdEncoding.EncodeToString(wav), hex.EncodeToString(wav)
	field := &audio.Options{Encoding: "ndjson", JSON: audio.JSONOptions{Field: "my.audio"}}
	raw := map[string][]sample{}
	for _, encoding := range audio.RawEncodings() {
		raw[encoding] = []sample{{pcm, &audio.Options{Encoding: encoding, Raw: mono24}}}
	}
	mp3 := files("mp3/speech_22050hz_mono_cbr64.mp3")[0].data
	return map[string]map[string][]sample{
		"WAV": {
			"integers of 8 to 32 bits": files("wav/u8_mono.wav", "wav/s16le_mono.wav",
				"wav/s24le_mono.wav", "wav/s32le_mono.wav"),
			"floats of 32 and 64 bits": files("wav/f32le_mono.wav", "wav/f64le_mono.wav"),
			"A-law and mu-law":         files("wav/alaw_mono.wav", "wav/mulaw_mono.wav"),
			"IMA and Microsoft ADPCM":  files("wav/ima_sox_stereo.wav", "wav/ms_ffmpeg_mono.wav"),
			"1 to 8 channels, EXTENSIBLE": files("wav/s16le_mono.wav", "wav/s16le_5.1.wav",
				"wav/s24le_7.1.wav"),
			"1000 to 384000 Hz": made(wavFile(mono16(1000), data(pcm)),
				wavFile(mono16(384000), data(pcm))),
			"RF64, BW64 and RIFX": slices.Concat(files("wav/rf64.wav", "wav/rifx_24.wav"),
				made(append([]byte("BW64"), files("wav/rf64.wav")[0].data[4:]...))),
			"wrong sizes (0, 0x7ffff000, 0xffffffff and more)": made(wavFile(mono16(24000), claim(0, pcm)),
				wavFile(mono16(24000), claim(0x7ffff000, pcm)), wavFile(mono16(24000), claim(0xffffffff, pcm))),
			"wrong frame lengths": made(wavFile(fmtChunk(1, 1, 24000, 4, 16), data(pcm))),
			"a new header in mid-stream, also of another rate": slices.Concat(files("wav/two_pipes.wav"),
				made(append(slices.Clone(wav), wavFile(mono16(8000), data(pcm))...))),
			"a WAV inside a WAV": made(wavFile(mono16(24000), data(wav))),
			"junk at the end":    made(append(slices.Clone(wav), 0, 1, 2, 3, 4, 5)),
		},
		"MP3": {
			"MPEG-1, 2 and 2.5": files("mp3/speech_44100hz_mono_cbr96_crc.mp3",
				"mp3/speech_24000hz_mono_cbr64.mp3", "mp3/speech_8000hz_mono_cbr32.mp3"),
			"layers I to III": files("mp3/speech_44100hz_joint_layer2.mp3",
				"mp3/speech_48000hz_mono_cbr96.mp3"),
			"any bit rate and free format": files("mp3/speech_22050hz_mono_vbr2.mp3",
				"mp3/speech_44100hz_joint_free400.mp3"),
			"ID3 and APE tags": made(slices.Concat(id3(make([]byte, 99)),
				mp3, []byte("APETAGEX"), make([]byte, 24))),
			"garbage between frames": made(slices.Concat(mp3, random(1, 500), mp3)),
			"concatenated files, also of different rates": joined("mp3/speech_24000hz_mono_cbr64.mp3",
				"mp3/speech_48000hz_mono_cbr96.mp3"),
			"trimmed to the encoder's input if there is a LAME tag": files("mp3/speech_24000hz_mono_cbr64.mp3"),
		},
		"AIFF, AIFF-C, AU": {
			"integers, floats, A-law and mu-law of either byte order": files("wav/s16.aiff", "wav/s8.aiff", "wav/s16le.aifc",
				"wav/f64be.aifc", "wav/alaw.aifc", "wav/s24be.au", "wav/f32be.au", "wav/mulaw.au"),
		},
		"Ogg Opus, Ogg Vorbis, FLAC": {
			"exact to the sample": files("ogg/silk_mono_20ms.opus",
				"ogg/vorbis_44100hz_stereo.ogg", "flac/48000hz_stereo_24bit.flac"),
			"Opus straight to 24 kHz": files("ogg/opusenc_44100hz.opus"),
			"concatenated streams, also of different rates": slices.Concat(joined("ogg/celt_mono_20ms.opus",
				"ogg/vorbis_22050hz_mono.ogg"), joined("flac/24000hz_mono_16bit.flac", "flac/44100hz_stereo_16bit.flac")),
		},
		"raw, with `--rate` and `--channels`": raw,
		"JSON, recognised or with `-f ndjson`": {
			"base64 or hex": made([]byte(`{"audio":"`+coded+`"}`), []byte(`{"data":{"audio":"`+hexed+`"}}`)),
			"lines, rows, arrays and server-sent events, of any length": made([]byte(`[{"audio":"`+coded+`"},{"a":1}]`),
				[]byte("data: {\"audio\":\n\""+coded+"\"}\n\ndata: [DONE]\n")),
			"the field of a known service, or that of `--field`": append(made([]byte(`{"audioContent":"`+coded+`"}`)),
				sample{[]byte(`{"my":{"audio":"` + coded + `"}}`), field}),
		},
		"M4A, MP4, MOV, WebM, AAC, CAF, WMA, AMR, WavPack, TTA, Wave64, AVI, MPEG-TS; GSM, G.722, G.726, MP3 " +
			"and 64-bit samples in WAV": {
			"by ffmpeg if it is installed": nil,
			"`--no-ffmpeg` forbids it":     nil,
			"otherwise refused in one line that names the format and how to convert it": made(
				[]byte("\x00\x00\x00\x20ftypM4A mp42"),
				[]byte("\x00\x00\x00\x20ftypisomisom"), []byte("\x00\x00\x00\x14ftypqt  \x00\x00"),
				[]byte("\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81"),
				bytes.Repeat(append([]byte{0xff, 0xf1, 0x50, 0x80, 0x02, 0x1f, 0xfc}, make([]byte, 9)...), 3), cafFile(24000, pcm),
				[]byte("\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa"), []byte("#!AMR\n\x3c\x00\x00\x00\x00\x00"),
				[]byte("wvpk\x00\x00\x00\x00\x00\x00\x00\x00"), []byte("TTA1\x00\x00\x00\x00\x00\x00\x00\x00"),
				[]byte("riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb"), []byte("RIFF\x00\x00\x00\x00AVI LIST"),
				bytes.Repeat(append([]byte{'G'}, make([]byte, 187)...), 3),
				wavFile(fmtChunk(0x31, 1, 8000, 65, 0), data(pcm)), wavFile(fmtChunk(0x28F, 1, 16000, 1, 4), data(pcm)),
				wavFile(fmtChunk(0x45, 1, 8000, 1, 4), data(pcm)),
				wavFile(fmtChunk(0x55, 1, 24000, 1, 0), data(pcm)), wavFile(fmtChunk(1, 1, 24000, 8, 64), data(pcm))),
		},
		"anything else": {
			"text is refused and quoted": made([]byte("Unauthorized: no such key")),
			"pictures, archives and others are named": made([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"),
				[]byte("PK\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00")),
		},
	}
}

// Inputs show every claim of the table in docs/inputs.md, and nothing beyond it.
func TestTableOfInputs(t *testing.T) {
	page, err := os.ReadFile("../docs/inputs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "| input | read |\n| --- | --- |\n")
	if !found {
		t.Fatal("there is no table of inputs")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	all := claims(t)
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 2 {
			t.Fatalf("no row of two cells: %s", line)
		}
		row := strings.TrimSpace(cells[0])
		for claim := range strings.SplitSeq(cells[1], ";") {
			claim = strings.TrimSpace(claim)
			samples, ok := all[row][claim]
			if !ok {
				t.Errorf("%s: nothing shows %q", row, claim)
			}
			delete(all[row], claim)
			for i, s := range samples {
				show(t, row, claim, i, s)
			}
		}
	}
	for row, left := range all {
		for claim := range left {
			t.Errorf("%s: the table does not say %q", row, claim)
		}
	}
}

// show reads a sample to its end, or expects a refusal if the row says so.
func show(t *testing.T, row, claim string, i int, s sample) {
	t.Helper()
	got, _, err := decode(t, bytes.NewReader(s.data), s.opts)
	isStatic := audio.DefaultMethod() == audio.FIR
	switch {
	case strings.HasPrefix(row, "M4A"):
		if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), "or convert it: ffmpeg -i") ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s, %s, %d: %v", row, claim, i, err)
		}
	case row == "anything else":
		if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), "this is") {
			t.Errorf("%s, %s, %d: %v", row, claim, i, err)
		}
	case isStatic && row == "MP3" && err != nil && strings.Contains(err.Error(), "this build does not read"):
	case err != nil || len(got) == 0:
		t.Errorf("%s, %s, %d: %d samples, %v", row, claim, i, len(got), err)
	}
}
