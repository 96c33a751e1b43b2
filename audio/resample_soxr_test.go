//go:build cgo

package audio_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"testing"

	"echocast/audio"
	"echocast/audio/audiotest"
	"echocast/internal/oneshot"
)

// samples is a mono Source of pcm that hands out at most step at a time, and
// then err.
type samples struct {
	rate, step, at int
	pcm            []float32
	err            error
}

func (s *samples) Format() audio.Format { return audio.Format{Rate: s.rate, Channels: 1} }

func (s *samples) ReadSamples(p []float32) (int, error) {
	if s.at == len(s.pcm) {
		return 0, s.err
	}
	n := copy(p[:min(len(p), s.step)], s.pcm[s.at:])
	s.at += n
	return n, nil
}

func resampled(pcm []float32, rate, step int) func() (audio.Source, error) {
	return func() (audio.Source, error) {
		return audio.Resample(&samples{rate: rate, step: step, pcm: pcm, err: io.EOF}, 24000)
	}
}

var rates = []int{8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192000,
	4000, 384000, 11127, 44056, 44099, 47999}

// The binding to libsoxr and zaf/resample give the same samples, bit for bit, whatever the
// sizes of the reads.
func TestResampleEqualsZaf(t *testing.T) {
	for _, rate := range rates {
		pcm := speechLike(rate/2+37, audio.Format{Rate: rate, Channels: 1})
		var results [][]float32
		for _, c := range []struct {
			method audio.Method
			step   int
		}{{audio.Zaf, 1151}, {audio.Soxr, 1 << 20}, {audio.Soxr, 13}} {
			src, err := audio.ResampleBy(c.method, &samples{rate: rate, step: c.step, pcm: pcm, err: io.EOF}, 24000)
			if err != nil {
				t.Fatal(err)
			}
			got, err := audiotest.Collect(src)
			if err != nil {
				t.Fatal(err)
			}
			_ = src.Close()
			results = append(results, got)
		}
		for i, got := range results[1:] {
			if len(got) == 0 || !slices.Equal(got, results[0]) {
				t.Errorf("%d Hz: result %d differs from that of zaf/resample", rate, i)
			}
		}
	}
}

// Resampling allocates nothing.
func TestResampleAllocatesNothing(t *testing.T) {
	input := &samples{rate: 44100, step: 1 << 20, pcm: make([]float32, 44100*30), err: io.EOF}
	src, err := audio.Resample(input, 24000)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	p := make([]float32, 1200)
	if allocs := testing.AllocsPerRun(500, func() {
		if _, err := src.ReadSamples(p); err != nil {
			t.Fatal(err)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations a read", allocs)
	}
}

// zaf/resample drops input on writes with an incomplete output, and its 16-bit output is
// dithered at random. In whole blocks of float32 it equals one call of libsoxr over the whole
// signal, sample for sample.
func TestResampleEqualsOneShot(t *testing.T) {
	for _, rate := range rates {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			t.Parallel()
			pcm := speechLike(3*rate+37, audio.Format{Rate: rate, Channels: 1})
			want, err := oneshot.Resample(pcm, rate, 24000)
			if err != nil {
				t.Fatal(err)
			}
			if rate == 24000 {
				want = pcm // passed through
			}
			src, err := resampled(pcm, rate, 1151)()
			if err != nil {
				t.Fatal(err)
			}
			got, err := audiotest.Collect(src)
			if err != nil {
				t.Fatal(err)
			}
			exact := int(math.Floor(float64(len(pcm))*24000/float64(rate) + 0.5))
			if len(got) != exact {
				t.Errorf("%d samples became %d, want %d", len(pcm), len(got), exact)
			}
			for i := range min(len(got), len(want)) {
				if math.Abs(float64(got[i]-want[i])) > 1.0/32768 {
					t.Fatalf("sample %d is %v, one call of libsoxr gives %v", i, got[i], want[i])
				}
			}
		})
	}
}

func TestResampleLength(t *testing.T) {
	for _, rate := range rates {
		for _, n := range []int{0, 1, 2, 3, 146, 147, 148, 441, 1000, 4411} {
			src, err := resampled(speechLike(n, audio.Format{Rate: rate, Channels: 1}), rate, 100000)()
			if err != nil {
				t.Fatal(err)
			}
			got, err := audiotest.Collect(src)
			if want := (2*n*24000 + rate) / (2 * rate); err != nil || len(got) != want {
				t.Errorf("%d samples at %d Hz became %d, want %d (%v)", n, rate, len(got), want, err)
			}
		}
	}
}

// The same input gives the same samples, however it is split into reads.
func TestResampleDoesNotDependOnReads(t *testing.T) {
	for _, rate := range []int{8000, 11025, 22050, 44100, 48000, 44099} {
		pcm := speechLike(rate/4+11, audio.Format{Rate: rate, Channels: 1})
		src, err := resampled(pcm, rate, 1<<20)()
		if err != nil {
			t.Fatal(err)
		}
		want, err := audiotest.Collect(src)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []int{1, 7, 1151} {
			audiotest.TestSource(t, resampled(pcm, rate, step), want)
		}
	}
}

// At usual rates a block holds back at most 20 ms of input.
func TestResampleBlocksAreShort(t *testing.T) {
	for _, rate := range []int{8000, 11025, 12000, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000} {
		input := &samples{rate: rate, step: 1, pcm: make([]float32, rate), err: io.EOF}
		src, err := audio.Resample(input, 24000)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]float32, 1)
		if _, err := src.ReadSamples(buf); err != nil {
			t.Fatal(err)
		}
		// libsoxr itself needs up to 84 ms before its first output.
		if ms := 1000 * input.at / rate; ms > 105 {
			t.Errorf("%d Hz: the first sample takes %d ms of input", rate, ms)
		}
		_ = src.Close()
	}
}

func TestResampleRefuses(t *testing.T) {
	for _, s := range []audio.Source{&samples{rate: 999}, &samples{rate: 384001}, &samples{rate: 0},
		&samples{rate: -1}, stereo{}} {
		if _, err := audio.Resample(s, 24000); err == nil {
			t.Errorf("%v was accepted", s.Format())
		}
	}
	if _, err := audio.Resample(&samples{rate: 8000}, 0); err == nil {
		t.Error("a rate of 0 was accepted")
	}
}

type stereo struct{ audio.Source }

func (stereo) Format() audio.Format { return audio.Format{Rate: 48000, Channels: 2} }

func TestResampleOfABrokenSource(t *testing.T) {
	broke := errors.New("broke")
	pcm := speechLike(20000, audio.Format{Rate: 48000, Channels: 1})
	src, err := resampled(pcm, 48000, 100)()
	if err != nil {
		t.Fatal(err)
	}
	want, err := audiotest.Collect(src)
	if err != nil {
		t.Fatal(err)
	}
	broken, err := audio.Resample(&samples{rate: 48000, step: 100, pcm: pcm[:15000], err: broke}, 24000)
	if err != nil {
		t.Fatal(err)
	}
	audiotest.TestBroken(t, broken, want, broke)
	for range 2 {
		if err := broken.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}
