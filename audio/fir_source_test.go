package audio_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"echocast/audio"
	"echocast/audio/audiotest"
)

// firInput is a mono Source that hands out at most size samples a read, any
// number up to there if random is set, and ends with err.
type firInput struct {
	samples []float32
	rate    int
	size    int
	random  *rand.Rand
	err     error
}

func (s *firInput) Format() audio.Format { return audio.Format{Rate: s.rate, Channels: 1} }

func (s *firInput) ReadSamples(p []float32) (int, error) {
	if len(s.samples) == 0 {
		return 0, s.err
	}
	size := s.size
	if s.random != nil {
		size = 1 + s.random.IntN(size)
	}
	n := copy(p[:min(size, len(p))], s.samples)
	s.samples = s.samples[n:]
	return n, nil
}

func firNoise(n int) []float32 {
	random := rand.New(rand.NewPCG(1, 2))
	samples := make([]float32, n)
	for i := range samples {
		samples[i] = 2*random.Float32() - 1
	}
	return samples
}

func openFIR(t *testing.T, in firInput) audio.Source {
	t.Helper()
	src, err := audio.NewFIR(&in, 24000)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// The samples are the same, whatever the sizes of the reads on either side.
func TestFIRIsASource(t *testing.T) {
	for _, rate := range []int{8000, 11127, 16000, 24000, 44099, 44100, 48000, 384000} {
		whole := firInput{samples: firNoise(5000), rate: rate, size: 5000, err: io.EOF}
		want, err := audiotest.Collect(openFIR(t, whole))
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 7} {
			in := whole
			in.size = size
			got, err := audiotest.Collect(openFIR(t, in))
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%d Hz by %d samples: the result differs from that of one read (error %v)", rate, size, err)
			}
		}
		audiotest.TestSource(t, func() (audio.Source, error) {
			in := whole
			in.size, in.random = 500, rand.New(rand.NewPCG(3, 4))
			return openFIR(t, in), nil
		}, want)
	}
}

func TestFIROfBrokenInput(t *testing.T) {
	cause := errors.New("the line went dead")
	const rate, n = 44100, 10000
	samples := firNoise(n)
	whole := firInput{samples: samples, rate: rate, size: n, err: io.EOF}
	want, err := audiotest.Collect(openFIR(t, whole))
	if err != nil {
		t.Fatal(err)
	}
	broken := firInput{samples: samples, rate: rate, size: 300, err: cause}
	audiotest.TestBroken(t, openFIR(t, broken), want, cause)

	// All that n inputs allow came before the error, and no invented silence.
	got, err := audiotest.Collect(openFIR(t, broken))
	if !errors.Is(err, cause) {
		t.Fatalf("ended with %v, want %v", err, cause)
	}
	const lookahead = 131
	if want := ((n-lookahead)*24000 + rate - 1) / rate; len(got) != want {
		t.Errorf("%d samples before the break, want %d", len(got), want)
	}
}
