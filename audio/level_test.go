package audio_test

import (
	"errors"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"echocast/audio"
	"echocast/audio/audiotest"
)

// fixedSource is a Source of pcm that hands out at most step samples at a time, then
// err.
type fixedSource struct {
	format audio.Format
	step   int
	pcm    []float32
	err    error
}

func (g *fixedSource) Format() audio.Format { return g.format }

func (g *fixedSource) ReadSamples(p []float32) (int, error) {
	if len(g.pcm) == 0 {
		return 0, g.err
	}
	room := min(len(p), max(g.step, g.format.Channels)) / g.format.Channels * g.format.Channels
	n := copy(p[:room], g.pcm)
	g.pcm = g.pcm[n:]
	return n, nil
}

// through checks a stage over pcm for the contract of Source and for the same
// result whatever the reads on both sides.
func through(t *testing.T, format audio.Format, pcm, want []float32, stage func(audio.Source) audio.Source) {
	t.Helper()
	steps := []int{101, 1 << 20}
	if len(pcm) <= 300 {
		steps = []int{1, 2, 7} // TestSource is slow over many small reads
	}
	for _, step := range steps {
		audiotest.TestSource(t, func() (audio.Source, error) {
			return stage(&fixedSource{format: format, step: step, pcm: pcm, err: io.EOF}), nil
		}, want)
	}
	cause := errors.New("cause")
	audiotest.TestBroken(t, stage(&fixedSource{format: format, step: 100, pcm: pcm, err: cause}), want, cause)
}

// noAllocations checks that reading a stage allocates nothing once it runs.
func noAllocations(t *testing.T, format audio.Format, stage func(audio.Source) audio.Source) {
	t.Helper()
	src := stage(&fixedSource{format: format, step: 1200, pcm: speechLike(400000, format), err: io.EOF})
	buf := make([]float32, 2400)
	for range 50 {
		if _, err := src.ReadSamples(buf); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(20, func() {
		if _, err := src.ReadSamples(buf); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a read", n)
	}
}

var (
	mono24   = audio.Format{Rate: 24000, Channels: 1}
	stereo24 = audio.Format{Rate: 24000, Channels: 2}
)

func TestGain(t *testing.T) {
	pcm := speechLike(100, stereo24)
	half := make([]float32, len(pcm))
	for i, v := range pcm {
		half[i] = v * float32(math.Pow(10, -6.0/20))
	}
	stage := func(src audio.Source) audio.Source { return audio.Gain(src, -6) }
	through(t, stereo24, pcm, half, stage)
	noAllocations(t, mono24, stage)
	src := &fixedSource{format: mono24}
	if audio.Gain(src, 0) != audio.Source(src) {
		t.Error("a gain of 0 dB adds a stage")
	}
	loud, err := audiotest.Collect(audio.Gain(&fixedSource{format: mono24, step: 1, pcm: []float32{0.5}, err: io.EOF}, 20))
	if err != nil || loud[0] != 5 {
		t.Errorf("%v, %v: beyond full scale is not for this stage to limit", loud, err)
	}
}

func TestChannel(t *testing.T) {
	format := audio.Format{Rate: 24000, Channels: 3}
	pcm := speechLike(100, format)
	for channel := range 3 {
		var want []float32
		for i := channel; i < len(pcm); i += 3 {
			want = append(want, pcm[i])
		}
		through(t, format, pcm, want, func(src audio.Source) audio.Source {
			one, err := audio.Channel(src, channel)
			if err != nil {
				t.Fatal(err)
			}
			return one
		})
	}
	for _, channel := range []int{-1, 3} {
		if _, err := audio.Channel(&fixedSource{format: format}, channel); !errors.Is(err, audio.ErrFormat) {
			t.Errorf("channel %d: %v", channel, err)
		}
	}
	src := audio.Source(&fixedSource{format: mono24})
	if one, err := audio.Channel(src, 0); err != nil || one != src {
		t.Error("the channel of a mono source is not the source")
	}
}

func TestAtRate(t *testing.T) {
	pcm := speechLike(100, stereo24)
	through(t, stereo24, pcm, pcm, func(src audio.Source) audio.Source { return audio.AtRate(src, 16000) })
	want := audio.Format{Rate: 16000, Channels: 2}
	if got := audio.AtRate(&fixedSource{format: stereo24}, 16000).Format(); got != want {
		t.Errorf("format %v", got)
	}
}

func TestPad(t *testing.T) {
	pcm := speechLike(100, stereo24)
	for _, c := range []struct{ before, after time.Duration }{{0, 0}, {time.Millisecond, 0}, {0, 200 * time.Millisecond},
		{500 * time.Millisecond, 300 * time.Millisecond}} {
		want := make([]float32, 2*stereo24.Frames(c.before))
		want = append(append(want, pcm...), make([]float32, 2*stereo24.Frames(c.after))...)
		through(t, stereo24, pcm, want, func(src audio.Source) audio.Source { return audio.Pad(src, c.before, c.after) })
	}
	noAllocations(t, mono24, func(src audio.Source) audio.Source { return audio.Pad(src, time.Second, time.Second) })
}

// Padding an empty input does not make an utterance of silence.
func TestPadOfEmptyInput(t *testing.T) {
	through(t, mono24, nil, []float32{},
		func(src audio.Source) audio.Source { return audio.Pad(src, time.Second, time.Second) })
}

func TestTrimSilence(t *testing.T) {
	const guard = 240 // 10 ms
	hiss := func(n int) []float32 {
		pcm := make([]float32, n)
		for i := range pcm {
			pcm[i] = 0.003 * float32(1-2*(i%2)) // -50.46 dBFS
		}
		return pcm
	}
	tone := func(n int) []float32 {
		pcm := make([]float32, n)
		for i := range pcm {
			pcm[i] = 0.0032 * float32(1-2*(i%2)) // -49.9 dBFS
		}
		return pcm
	}
	for name, c := range map[string]struct {
		pcm, want         []float32
		leading, trailing int64
	}{
		"both ends": {slices.Concat(hiss(5000), tone(2000), hiss(7000)),
			slices.Concat(hiss(guard), tone(2000), hiss(guard)), 5000 - guard, 7000 - guard},
		"a pause": {slices.Concat(hiss(500), tone(7), hiss(9000), tone(1), hiss(500)),
			slices.Concat(hiss(guard), tone(7), hiss(9000), tone(1), hiss(guard)), 260, 260},
		"less than the guard": {slices.Concat(hiss(100), tone(50), hiss(100)),
			slices.Concat(hiss(100), tone(50), hiss(100)), 0, 0},
		"no silence": {tone(9000), tone(9000), 0, 0},
		"short": {slices.Concat(hiss(242), tone(4), hiss(30)),
			slices.Concat(hiss(guard), tone(4), hiss(30)), 2, 0},
		"no sound": {hiss(9000), []float32{}, 9000, 0},
		"nothing":  {nil, []float32{}, 0, 0},
		"one sample": {slices.Concat(hiss(9998), tone(1), hiss(9999)),
			slices.Concat(hiss(guard), tone(1), hiss(guard)), 9998 - guard, 9999 - guard},
	} {
		t.Run(name, func(t *testing.T) {
			stage := func(src audio.Source) audio.Source { return audio.TrimSilence(src, -50, 10*time.Millisecond) }
			through(t, mono24, c.pcm, c.want, stage)
			src := audio.TrimSilence(&fixedSource{format: mono24, step: 777, pcm: c.pcm, err: io.EOF}, -50, 10*time.Millisecond)
			if _, err := audiotest.Collect(src); err != nil || src.Leading() != c.leading || src.Trailing() != c.trailing {
				t.Errorf("%v, %d left out in front and %d behind, want %d and %d", err, src.Leading(), src.Trailing(),
					c.leading, c.trailing)
			}
		})
	}
}

// If a silence is too long to hold back, its beginning is kept; the memory has a limit.
func TestTrimSilenceIsBounded(t *testing.T) {
	const held, quiet = 10 * 24000, 14 * 24000
	pcm := make([]float32, 1000+quiet)
	pcm[999] = 1
	for _, step := range []int{480, 100000} {
		in := &fixedSource{format: mono24, step: step, pcm: pcm, err: io.EOF}
		src := audio.TrimSilence(in, -50, 0)
		got, most := 0, 0
		buf := make([]float32, 2400)
		for {
			n, err := src.ReadSamples(buf)
			if err != nil {
				break
			}
			got += n
			most = max(most, len(pcm)-len(in.pcm)-int(src.Leading())-got)
		}
		if got != 1+quiet-held || src.Trailing() != held {
			t.Errorf("reads of %d: %d samples, %d left out at the end", step, got, src.Trailing())
		}
		if most > held+4096 {
			t.Errorf("reads of %d: %d samples were held back", step, most)
		}
	}
}

func TestTrimSilenceAllocatesNothing(t *testing.T) {
	noAllocations(t, mono24, func(src audio.Source) audio.Source {
		return audio.TrimSilence(src, audio.DefaultSilence, audio.DefaultGuard)
	})
}

func TestLevels(t *testing.T) {
	const frames = 48000
	pcm := make([]float32, 2*frames)
	for i := 480; i < frames-960; i++ {
		pcm[2*i] = float32(0.5 * math.Sin(2*math.Pi*100*float64(i)/24000))
		pcm[2*i+1] = 0.1
	}
	for _, i := range []int{1000, 1001, 1002, 3000, 5000, 5001} {
		pcm[2*i] = 1
	}
	for _, step := range []int{2, 14, 2 * frames} {
		l := audio.NewLevels(stereo24, -50)
		for rest := pcm; len(rest) > 0; {
			n := min(step, len(rest))
			l.Add(rest[:n])
			rest = rest[n:]
		}
		all := l.Channels()
		leading, trailing := l.Silence()
		if l.Frames() != frames || leading != 480 || trailing != 960 {
			t.Errorf("%d frames, %d silent in front, %d behind", l.Frames(), leading, trailing)
		}
		if all[0].Peak != 1 || all[0].Clipped != 5 || all[1].Clipped != 0 {
			t.Errorf("levels %+v", all)
		}
		if math.Abs(all[0].RMS-0.5/math.Sqrt2) > 0.01 || math.Abs(all[1].Mean-0.1*(frames-1440)/frames) > 1e-6 {
			t.Errorf("levels %+v", all)
		}
	}
	quiet := audio.NewLevels(mono24, -50)
	quiet.Add(make([]float32, 700))
	if leading, trailing := quiet.Silence(); leading != 700 || trailing != 0 {
		t.Errorf("of 700 silent frames %d are leading, %d trailing", leading, trailing)
	}
}
