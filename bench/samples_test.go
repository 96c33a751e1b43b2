package bench

import (
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"echocast/audio"
	"echocast/echo"
)

// workingSet is how many samples the benchmarks walk over: 16 MB.
const workingSet = 4 << 20

// samples is the working set: a voice-like tone with noise whose loudness rises
// and falls, so that its peaks go beyond full scale.
var samples = sync.OnceValue(func() []float32 {
	random := rand.New(rand.NewPCG(1, 2))
	pcm := make([]float32, workingSet)
	for i := range pcm {
		at := float64(i) / echo.DefaultRate
		loudness := 0.535 + 0.45*math.Sin(2*math.Pi*3*at)
		pcm[i] = float32(loudness * (0.9*math.Sin(2*math.Pi*170*at) + 0.2*random.Float64()))
	}
	return pcm
})

// endless is a Source that walks over the working set for ever. It gives as
// much as is asked for.
type endless struct {
	rate int
	pcm  []float32
	at   int
}

func newEndless(rate int) *endless { return &endless{rate: rate, pcm: samples()} }

func (s *endless) Format() audio.Format { return audio.Format{Rate: s.rate, Channels: 1} }

func (s *endless) ReadSamples(p []float32) (int, error) {
	n := copy(p, s.pcm[s.at:])
	if s.at += n; s.at == len(s.pcm) {
		s.at = 0
	}
	return n, nil
}

// next returns the next n samples of the working set, without a copy.
func (s *endless) next(n int) []float32 {
	if s.at+n > len(s.pcm) {
		s.at = 0
	}
	s.at += n
	return s.pcm[s.at-n : s.at]
}

// chunks are the lengths that are measured.
var chunks = []time.Duration{20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond}

// samplesOf is the number of samples in d at the rate of the wire.
func samplesOf(d time.Duration) int { return int(d * echo.DefaultRate / time.Second) }

// newUtterance has ids of the usual lengths.
func newUtterance() echo.Utterance {
	return echo.Utterance{ConversationID: "c0ffee1234567890a", InferenceID: echo.NewInferenceID(), Rate: echo.DefaultRate}
}

func newEncoder(t testing.TB) *echo.Encoder {
	t.Helper()
	encoder, err := echo.NewEncoder(newUtterance())
	if err != nil {
		t.Fatal(err)
	}
	return encoder
}

// countSamples makes MB/s count n float32 samples an operation.
func countSamples(b *testing.B, n int) {
	b.ReportAllocs()
	b.SetBytes(4 * int64(n))
}

// reportSpeed adds how many times faster than its playing time it went.
func reportSpeed(b *testing.B, perOperation time.Duration) {
	b.ReportMetric(float64(perOperation)*float64(b.N)/float64(b.Elapsed()), "x-real-time")
}

// benchmarkCopy is the floor: n samples of the working set are copied.
func benchmarkCopy(b *testing.B, n int) {
	src, dst := newEndless(echo.DefaultRate), make([]float32, n)
	countSamples(b, n)
	for b.Loop() {
		copy(dst, src.next(n))
	}
}

// drain reads src to its end.
func drain(b *testing.B, src audio.Source, p []float32) (n int) {
	for {
		got, err := src.ReadSamples(p)
		n += got
		if err == io.EOF {
			return n
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// wavFile returns a WAV file with frames of the working set, as
// 16-bit integers or 32-bit floats.
func wavFile(rate, channels, frames int, float bool) []byte {
	tag, bits := uint16(1), 16
	if float {
		tag, bits = 3, 32
	}
	size := frames * channels * bits / 8
	file := make([]byte, 0, 44+size)
	file = append(file, "RIFF"...)
	file = binary.LittleEndian.AppendUint32(file, uint32(36+size))
	file = append(file, "WAVEfmt \x10\x00\x00\x00"...)
	file = binary.LittleEndian.AppendUint16(file, tag)
	file = binary.LittleEndian.AppendUint16(file, uint16(channels))
	file = binary.LittleEndian.AppendUint32(file, uint32(rate))
	file = binary.LittleEndian.AppendUint32(file, uint32(rate*channels*bits/8))
	file = binary.LittleEndian.AppendUint16(file, uint16(channels*bits/8))
	file = binary.LittleEndian.AppendUint16(file, uint16(bits))
	file = append(file, "data"...)
	file = binary.LittleEndian.AppendUint32(file, uint32(size))
	for _, v := range samples()[:frames*channels] {
		if float {
			file = binary.LittleEndian.AppendUint32(file, math.Float32bits(v))
		} else {
			file = binary.LittleEndian.AppendUint16(file, uint16(naiveSample(v)))
		}
	}
	return file
}

// The working set must hold what the benchmarks claim.
func TestWorkingSetClips(t *testing.T) {
	clipped := 0
	for _, v := range samples() {
		if v > 1 {
			clipped++
		}
	}
	if one := len(samples()) / max(clipped, 1); one < 200 || one > 300 {
		t.Errorf("one sample in %d is beyond full scale, not one in about 250", one)
	}
}
