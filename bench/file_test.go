package bench

import (
	"bytes"
	"context"
	"io"
	"testing"

	"echocast/audio"
	"echocast/echo"
)

// BenchmarkFile goes the whole way: a file in memory is opened, decoded, mixed,
// resampled, cut, encoded and written as lines to nowhere.
func BenchmarkFile(b *testing.B) {
	inputs := []struct {
		name string
		data []byte
	}{
		{"wav-24000Hz-mono", wavFile(24000, 1, 60*24000, false)},
		{"wav-48000Hz-mono", wavFile(48000, 1, 60*48000, false)},
		{"wav-44100Hz-stereo", wavFile(44100, 2, 30*44100, false)},
		{"wav-22050Hz-mono-2s", wavFile(22050, 1, 2*22050, false)},
		{"mp3-24000Hz-mono-64k", mp3File(b, "speech_24000hz_mono_cbr64.mp3")},
		{"mp3-44100Hz-stereo-160k", mp3File(b, "speech_44100hz_joint_cbr160.mp3")},
	}
	for _, input := range inputs {
		n := decodeAll(b, input.data, make([]float32, 4096))
		b.Run(input.name+"/echocast", func(b *testing.B) {
			benchmarkFile(b, input.data, n, speakFile)
		})
		b.Run(input.name+"/naive", func(b *testing.B) {
			benchmarkFile(b, input.data, n, naiveFile)
		})
		b.Run(input.name+"/memcpy", func(b *testing.B) { benchmarkCopy(b, n) })
	}
}

// benchmarkFile opens data for each call of speak.
func benchmarkFile(b *testing.B, data []byte, n int, speak func(*testing.B, audio.Source)) {
	var format audio.Format
	countSamples(b, n)
	for b.Loop() {
		in, err := audio.Open(bytes.NewReader(data), nil)
		if err != nil {
			b.Fatal(err)
		}
		src, err := audio.Resample(audio.Mono(in), echo.DefaultRate)
		if err != nil {
			b.Fatal(err)
		}
		speak(b, src)
		format = in.Format()
		_ = src.Close()
		_ = in.Close()
	}
	reportSpeed(b, format.Duration(int64(n/format.Channels)))
}

// speakFile is what the encode command does.
func speakFile(b *testing.B, src audio.Source) {
	lines := echo.NewLines(io.Discard, false)
	session, err := echo.NewSession(echo.NewMessages(lines, "c0ffee1234567890a", 0), &echo.Options{
		Pace:      echo.Pace{Mode: echo.BurstMode},
		SkipHeard: true,
		SkipReady: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer session.Close()
	if _, err := session.Speak(context.Background(), echo.Speech{Samples: src}); err != nil {
		b.Fatal(err)
	}
	if err := lines.Flush(); err != nil {
		b.Fatal(err)
	}
}

// naiveFile reads whole chunks and writes naive messages. It does not know which
// one is the last.
func naiveFile(b *testing.B, src audio.Source) {
	u, pcm := newUtterance(), make([]float32, samplesOf(echo.DefaultChunk))
	for have := 0; ; {
		n, err := src.ReadSamples(pcm[have:])
		have += n
		if have < len(pcm) && err == nil {
			continue
		}
		msg, failed := naiveEncode(u, pcm[:have], err == io.EOF)
		if failed != nil {
			b.Fatal(failed)
		}
		_, _ = io.Discard.Write(append(msg, '\n'))
		if err == io.EOF {
			return
		}
		if err != nil {
			b.Fatal(err)
		}
		have = 0
	}
}
