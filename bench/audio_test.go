package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"echocast/audio"
	"echocast/echo"
)

// rates are the sampling rates that speech comes in.
var rates = []int{8000, 11025, 12000, 16000, 22050, 32000, 44100, 48000, 96000}

// BenchmarkResample converts mono samples to the rate of the wire, 50 ms an
// operation.
func BenchmarkResample(b *testing.B) {
	for _, rate := range rates {
		out := samplesOf(echo.DefaultChunk)
		in := out * rate / echo.DefaultRate
		b.Run(fmt.Sprintf("%dHz/echocast", rate), func(b *testing.B) {
			src, err := audio.Resample(newEndless(rate), echo.DefaultRate)
			if err != nil {
				b.Fatal(err)
			}
			defer src.Close()
			p := make([]float32, out)
			read(b, src, p)
			countSamples(b, in)
			for b.Loop() {
				read(b, src, p)
			}
			reportSpeed(b, echo.DefaultChunk)
		})
		b.Run(fmt.Sprintf("%dHz/memcpy", rate), func(b *testing.B) { benchmarkCopy(b, in) })
	}
}

// read fills p.
func read(b *testing.B, src audio.Source, p []float32) {
	for have := 0; have < len(p); {
		n, err := src.ReadSamples(p[have:])
		if err != nil {
			b.Fatal(err)
		}
		have += n
	}
}

// BenchmarkDecode opens a file in memory and reads its samples: those in the
// file, before they are mixed and resampled.
func BenchmarkDecode(b *testing.B) {
	inputs := []struct {
		name string
		data []byte
	}{
		{"wav-s16-mono", wavFile(44100, 1, 60*44100, false)},
		{"wav-s16-stereo", wavFile(44100, 2, 30*44100, false)},
		{"wav-f32-mono", wavFile(44100, 1, 60*44100, true)},
		{"wav-f32-stereo", wavFile(44100, 2, 30*44100, true)},
		{"mp3-24000Hz-mono-64k", mp3File(b, "speech_24000hz_mono_cbr64.mp3")},
		{"mp3-44100Hz-mono-96k", mp3File(b, "speech_44100hz_mono_cbr96_crc.mp3")},
		{"mp3-44100Hz-stereo-160k", mp3File(b, "speech_44100hz_joint_cbr160.mp3")},
	}
	for _, input := range inputs {
		p := make([]float32, 4096)
		n := decodeAll(b, input.data, p)
		b.Run(input.name+"/echocast", func(b *testing.B) {
			var format audio.Format
			countSamples(b, n)
			for b.Loop() {
				in, err := audio.Open(bytes.NewReader(input.data), nil)
				if err != nil {
					b.Fatal(err)
				}
				drain(b, in, p)
				format = in.Format()
				_ = in.Close()
			}
			reportSpeed(b, format.Duration(int64(n/format.Channels)))
		})
		b.Run(input.name+"/memcpy", func(b *testing.B) { benchmarkCopy(b, n) })
	}
}

func decodeAll(b *testing.B, data []byte, p []float32) int {
	in, err := audio.Open(bytes.NewReader(data), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	return drain(b, in, p)
}

// mp3File is a committed MP3 file of 0.6 s, a hundred times over: the decoder
// meets its beginning and its end in every one.
func mp3File(b *testing.B, name string) []byte {
	b.Helper()
	file, err := os.ReadFile(filepath.Join("..", "testdata", "mp3", name))
	if err != nil {
		b.Fatal(err)
	}
	return bytes.Repeat(file, 100)
}
