package audio_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"echocast/audio"
	"echocast/audio/audiotest"
)

const corpusFolder = "../testdata/wav"

// corpus is every file that testdata/wav/make.sh makes, and what it is.
var corpus = []struct {
	name     string
	codec    string
	channels int
	declared int64
}{
	{"u8_mono.wav", "pcm_u8", 1, 800},
	{"u8_stereo.wav", "pcm_u8", 2, 800},
	{"s16le_mono.wav", "pcm_s16le", 1, 800},
	{"s16le_stereo.wav", "pcm_s16le", 2, 800},
	{"s16le_5.1.wav", "pcm_s16le", 6, 320},
	{"s24le_mono.wav", "pcm_s24le", 1, 800},
	{"s24le_stereo.wav", "pcm_s24le", 2, 800},
	{"s24le_7.1.wav", "pcm_s24le", 8, 320},
	{"s32le_mono.wav", "pcm_s32le", 1, 800},
	{"f32le_mono.wav", "pcm_f32le", 1, 800},
	{"f64le_mono.wav", "pcm_f64le", 1, 800},
	{"alaw_mono.wav", "pcm_alaw", 1, 800},
	{"mulaw_mono.wav", "pcm_mulaw", 1, 800},
	{"mulaw_stereo.wav", "pcm_mulaw", 2, 800},
	{"codes_alaw.wav", "pcm_alaw", 1, 256},
	{"codes_mulaw.wav", "pcm_mulaw", 1, 256},
	{"bext.wav", "pcm_s16le", 1, 800},
	{"rf64.wav", "pcm_s16le", 1, 800},
	{"pipe_ffmpeg.wav", "pcm_s16le", 1, -1},
	{"pipe_ffmpeg_bitexact.wav", "pcm_s16le", 1, -1},
	{"pipe_ffmpeg_f32le.wav", "pcm_f32le", 1, -1},
	{"pipe_ffmpeg_rf64.wav", "pcm_s16le", 1, -1},
	{"pipe_sox.wav", "pcm_s16le", 1, -1},
	{"pipe_sox_s24le.wav", "pcm_s24le", 1, -1},
	{"pipe_espeak.wav", "pcm_s16le", 1, -1},
	{"two_files.wav", "pcm_s16le", 1, 800},
	{"two_pipes.wav", "pcm_s16le", 1, -1},
	{"two_pipes_s24le.wav", "pcm_s24le", 1, -1},
	{"rifx_8.wav", "pcm_u8", 2, 800},
	{"rifx_16.wav", "pcm_s16be", 2, 800},
	{"rifx_24.wav", "pcm_s24be", 2, 800},
	{"rifx_32.wav", "pcm_s32be", 2, 800},
	{"rifx_float.wav", "pcm_f32be", 1, 800},
	{"rifx_mulaw.wav", "pcm_mulaw", 1, 800},
	{"ima_sox_mono.wav", "adpcm_ima_wav", 1, 800},
	{"ima_sox_stereo.wav", "adpcm_ima_wav", 2, 800},
	{"ima_sox_mono_cut.wav", "adpcm_ima_wav", 1, 800},
	{"ima_sox_stereo_cut.wav", "adpcm_ima_wav", 2, 800},
	{"ima_ffmpeg_mono.wav", "adpcm_ima_wav", 1, 1010},
	{"ima_ffmpeg_stereo.wav", "adpcm_ima_wav", 2, 996},
	{"ms_sox_mono.wav", "adpcm_ms", 1, 800},
	{"ms_sox_stereo.wav", "adpcm_ms", 2, 800},
	{"ms_sox_mono_cut.wav", "adpcm_ms", 1, 800},
	{"ms_sox_stereo_cut.wav", "adpcm_ms", 2, 800},
	{"ms_ffmpeg_mono.wav", "adpcm_ms", 1, 1000},
	{"ms_ffmpeg_stereo.wav", "adpcm_ms", 2, 976},
	{"s8.aiff", "pcm_s8", 2, 800},
	{"s16.aiff", "pcm_s16be", 2, 800},
	{"s24.aiff", "pcm_s24be", 2, 800},
	{"s32.aiff", "pcm_s32be", 2, 800},
	{"none.aifc", "pcm_s16be", 1, 800},
	{"s16le.aifc", "pcm_s16le", 1, 800},
	{"f32be.aifc", "pcm_f32be", 1, 800},
	{"f64be.aifc", "pcm_f64be", 1, 800},
	{"alaw.aifc", "pcm_alaw", 1, 800},
	{"mulaw.aifc", "pcm_mulaw", 1, 800},
	{"pipe_ffmpeg.aiff", "pcm_s16be", 1, -1},
	{"pipe_sox.aiff", "pcm_s16be", 1, -1},
	{"mulaw.au", "pcm_mulaw", 1, 800},
	{"alaw.au", "pcm_alaw", 1, 800},
	{"s8.au", "pcm_s8", 1, 800},
	{"s16be.au", "pcm_s16be", 1, 800},
	{"s24be.au", "pcm_s24be", 1, 800},
	{"s32be.au", "pcm_s32be", 1, 800},
	{"f32be.au", "pcm_f32be", 1, 800},
	{"f64be.au", "pcm_f64be", 1, 800},
	{"pipe_ffmpeg.au", "pcm_s16be", 2, -1},
	{"s16_sox.au", "pcm_s16be", 2, 800},
}

// corpusFile reads a file and its samples as another program decodes it.
func corpusFile(t testing.TB, name string) (file []byte, want []float32) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(corpusFolder, name))
	if err != nil {
		t.Fatal(err)
	}
	samples, err := os.ReadFile(filepath.Join(corpusFolder, name+".f32"))
	if err != nil {
		t.Fatal(err)
	}
	for ; len(samples) >= 4; samples = samples[4:] {
		want = append(want, math.Float32frombits(binary.LittleEndian.Uint32(samples)))
	}
	return file, want
}

func container(name string) string {
	switch filepath.Ext(name) {
	case ".aiff", ".aifc":
		return "aiff"
	case ".au":
		return "au"
	}
	return "wav"
}

// Every file gives, bit for bit, the samples that sox or FFmpeg gives.
func TestCorpus(t *testing.T) {
	for _, c := range corpus {
		t.Run(c.name, func(t *testing.T) {
			file, want := corpusFile(t, c.name)
			audiotest.TestSource(t, opener(file), want)
			in, err := audio.Open(bytes.NewReader(file), nil)
			if err != nil {
				t.Fatal(err)
			}
			rate := 8000
			if c.name == "pipe_espeak.wav" {
				rate = 22050
			}
			info := audio.Info{Container: container(c.name), Codec: c.codec,
				Format: audio.Format{Rate: rate, Channels: c.channels}, Declared: c.declared}
			if in.Info() != info {
				t.Errorf("found %+v, want %+v", in.Info(), info)
			}
			if _, err := audiotest.Collect(in); err != nil {
				t.Error(err)
			}
			if w := in.Warnings(); (len(w) > 0) != strings.Contains(c.name, "_cut") {
				t.Errorf("warnings %q", w)
			}
		})
	}
}

func TestCorpusIsComplete(t *testing.T) {
	entries, err := os.ReadDir(corpusFolder)
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".f32") {
			files++
		}
	}
	if files != len(corpus) {
		t.Errorf("%d files have samples, %d are tested", files, len(corpus))
	}
}

// smallReader gives at most seven bytes a read, and never waits.
type smallReader struct{ r *bytes.Reader }

func (b smallReader) Read(p []byte) (int, error) { return b.r.Read(p[:min(7, len(p))]) }
func (b smallReader) Len() int                   { return b.r.Len() }

func TestCorpusInSmallReads(t *testing.T) {
	for _, c := range corpus {
		file, want := corpusFile(t, c.name)
		for size, r := range map[int]io.Reader{1: iotest.OneByteReader(bytes.NewReader(file)),
			7: smallReader{bytes.NewReader(file)}} {
			in, err := audio.Open(r, nil)
			if err != nil {
				t.Errorf("%s by %d bytes: %v", c.name, size, err)
				continue
			}
			if got, err := audiotest.Collect(in); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s by %d bytes: %d samples, %v; want %d", c.name, size, len(got), err, len(want))
			}
		}
	}
}

// A file that is cut off before its first samples is refused, or read up to the cut.
func TestCorpusCutShort(t *testing.T) {
	for _, c := range corpus {
		file, want := corpusFile(t, c.name)
		for at := range min(len(file), 300) {
			in, err := audio.Open(bytes.NewReader(file[:at]), &audio.Options{Encoding: container(c.name)})
			if err != nil {
				if !errors.Is(err, audio.ErrFormat) {
					t.Fatalf("%s cut at byte %d: %v", c.name, at, err)
				}
				continue
			}
			got, err := audiotest.Collect(in)
			if err != nil || len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
				t.Fatalf("%s cut at byte %d: %d samples, %v; want a prefix of the whole", c.name, at, len(got), err)
			}
		}
	}
}

// Two concatenated files that are cut off at the seam never panic and give no samples that are
// not there.
func TestConcatenatedFilesCutShort(t *testing.T) {
	for _, name := range []string{"two_files.wav", "two_pipes.wav", "two_pipes_s24le.wav"} {
		file, want := corpusFile(t, name)
		for at := range file {
			in, err := audio.Open(bytes.NewReader(file[:at]), &audio.Options{Encoding: "wav"})
			if err != nil {
				continue
			}
			got, err := audiotest.Collect(in)
			if err != nil && !errors.Is(err, audio.ErrFormat) || len(got) > len(want) {
				t.Fatalf("%s cut at byte %d: %d samples, %v", name, at, len(got), err)
			}
		}
	}
}

// The payload of a file, read as raw samples, gives the same samples as the file.
func TestRawEncodings(t *testing.T) {
	from := map[string]string{
		"u8": "u8_mono.wav", "s8": "s8.au", "s16le": "s16le_mono.wav", "s16be": "s16be.au", "s24le": "s24le_mono.wav",
		"s32le": "s32le_mono.wav",
		"f32le": "f32le_mono.wav", "f64le": "f64le_mono.wav", "alaw": "alaw_mono.wav", "mulaw": "mulaw_mono.wav",
	}
	bytesOf := map[string]int{"u8": 1, "s8": 1, "s16le": 2, "s16be": 2, "s24le": 3, "s32le": 4, "f32le": 4,
		"f64le": 8, "alaw": 1, "mulaw": 1}
	for _, encoding := range audio.RawEncodings() {
		t.Run(encoding, func(t *testing.T) {
			file, want := corpusFile(t, from[encoding])
			raw := file[len(file)-800*bytesOf[encoding]:]
			options := &audio.Options{Encoding: encoding, Raw: audio.Format{Rate: 8000, Channels: 1}}
			audiotest.TestSource(t, func() (audio.Source, error) { return audio.Open(bytes.NewReader(raw), options) }, want)
			in, err := audio.Open(bytes.NewReader(raw), options)
			if err != nil || in.Info().Codec != "pcm_"+encoding {
				t.Errorf("%+v, %v; want pcm_%s", in.Info(), err, encoding)
			}
		})
	}
}

// fuzzContainer demands of any bytes what the contract of Source demands, the
// same samples however they are read, and no more of them than four bits each.
func fuzzContainer(f *testing.F, encoding string) {
	for _, c := range corpus {
		if container(c.name) == encoding {
			file, _ := corpusFile(f, c.name)
			f.Add(file[:min(len(file), 700)])
			f.Add(append(slices.Clip(file), make([]byte, 22)...)) // behind the declared end
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		read := func(r io.Reader) ([]float32, string) {
			in, err := audio.Open(r, &audio.Options{Encoding: encoding})
			if err != nil {
				return nil, err.Error()
			}
			if err := in.Format().Check(); err != nil {
				t.Fatal(err)
			}
			got, err := audiotest.Collect(in)
			return got, fmt.Sprint(err, in.Warnings())
		}
		got, end := read(bytes.NewReader(file))
		if len(got) > 2*len(file) {
			t.Fatalf("%d samples from %d bytes", len(got), len(file))
		}
		for i, v := range got {
			if !(v >= -16 && v <= 16) {
				t.Fatalf("sample %d is %v", i, v)
			}
		}
		split, splitEnd := read(smallReader{bytes.NewReader(file)})
		if !slices.Equal(split, got) || splitEnd != end {
			t.Fatalf("%d samples and %q, by seven bytes %d samples and %q", len(got), end, len(split), splitEnd)
		}
	})
}

func FuzzWAV(f *testing.F)  { fuzzContainer(f, "wav") }
func FuzzAIFF(f *testing.F) { fuzzContainer(f, "aiff") }
func FuzzAU(f *testing.F)   { fuzzContainer(f, "au") }

// BenchmarkDecode is the speed of each codec in bytes of the file. The last is
// a header before every 0.1 s.
func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{
		"u8_stereo.wav", "s16le_stereo.wav", "s24le_stereo.wav", "s32le_mono.wav", "f32le_mono.wav", "f64le_mono.wav",
		"alaw_mono.wav", "mulaw_stereo.wav",
		"rifx_16.wav", "rifx_24.wav", "rifx_32.wav", "ima_sox_stereo.wav", "ms_sox_stereo.wav",
	} {
		b.Run(strings.TrimSuffix(name, ".wav"), func(b *testing.B) { benchmarkDecode(b, unendingWAV(b, name)) })
	}
	file, _ := corpusFile(b, "s16le_mono.wav")
	b.Run("files", func(b *testing.B) { benchmarkDecode(b, bytes.Repeat(file, 1<<20/len(file))) })
}

func benchmarkDecode(b *testing.B, stream []byte) {
	buf := make([]float32, 8192)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		in, err := audio.Open(bytes.NewReader(stream), nil)
		for err == nil {
			_, err = in.ReadSamples(buf)
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	}
}

// unendingWAV is a WAV file of unknown size with the samples of name over and over.
func unendingWAV(b *testing.B, name string) []byte {
	file, _ := corpusFile(b, name)
	start := bytes.Index(file, []byte("data")) + 8
	stream := append(bytes.Clone(file[:start-4]), 0xff, 0xff, 0xff, 0xff)
	return append(stream, bytes.Repeat(file[start:], 1+1<<20/len(file))...)
}
