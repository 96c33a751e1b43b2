package audio_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"echocast/audio"
	"echocast/audio/audiotest"
	"echocast/internal/testwait"
)

// oneChannel is a mono Source over every step-th of the samples.
type oneChannel struct {
	rate    int
	samples []float32
	step    int
}

func (c *oneChannel) Format() audio.Format { return audio.Format{Rate: c.rate, Channels: 1} }

func (c *oneChannel) ReadSamples(p []float32) (n int, err error) {
	for n < len(p) && len(c.samples) > 0 {
		p[n] = c.samples[0]
		n++
		c.samples = c.samples[min(c.step, len(c.samples)):]
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// converted is what samples become in another format: channel by channel, all
// at once.
func converted(t *testing.T, samples []float32, from, to audio.Format) []float32 {
	t.Helper()
	if from.Channels == 2 && to.Channels == 1 {
		mixed := make([]float32, len(samples)/2)
		for i := range mixed {
			mixed[i] = (samples[2*i] + samples[2*i+1]) / 2
		}
		samples, from.Channels = mixed, 1
	}
	var sides [2][]float32
	for side := range to.Channels {
		src, err := audio.ResampleBy(audio.FIR, &oneChannel{from.Rate, samples[side%from.Channels:], from.Channels}, to.Rate)
		if err != nil {
			t.Fatal(err)
		}
		if sides[side], err = audiotest.Collect(src); err != nil {
			t.Fatal(err)
		}
	}
	if to.Channels == 1 {
		return sides[0]
	}
	joined := make([]float32, 2*len(sides[0]))
	for i := range sides[0] {
		joined[2*i], joined[2*i+1] = sides[0][i], sides[1][i]
	}
	return joined
}

// Audio after a change of format is complete to the sample, in the first format.
func TestMP3FormatChange(t *testing.T) {
	files := []string{
		taggedMP3, stereoMP3, "speech_16000hz_mono_cbr64.mp3",
		"speech_44100hz_mono_cbr96_crc.mp3", "speech_22050hz_joint_cbr80.mp3",
	}
	for i, first := range files {
		for j := range testwait.Trials(len(files) - 1) {
			second := files[(i+1+j)%len(files)]
			a, b := readMP3File(t, first), readMP3File(t, second)
			before, d := decodeMP3(t, a)
			after, e := decodeMP3(t, b)
			there := converted(t, after, e.Format(), d.Format())
			ratio := float64(d.Format().Rate) / float64(e.Format().Rate)
			if n := int(float64(len(after)/e.Format().Channels)*ratio + 0.5); len(there) != n*d.Format().Channels {
				t.Fatalf("%s behind %s: %d samples, want %d frames", second, first, len(there), n)
			}
			want := slices.Concat(before, there, before)
			data := join(a, id3(nil), b, a)
			audiotest.TestSource(t, func() (audio.Source, error) { return openMP3(bytes.NewReader(data)) }, want)
		}
	}
}

func TestMP3FormatChangeWarns(t *testing.T) {
	first, second := readMP3File(t, taggedMP3), readMP3File(t, stereoMP3)
	_, d := decodeMP3(t, join(first, random(1, 400), second, first))
	want := []string{
		"after 0.600 s 44100 Hz stereo follows 24000 Hz mono; it is converted to 24000 Hz mono",
		"after 0.900 s 24000 Hz mono follows 44100 Hz stereo; it is converted to 24000 Hz mono",
		"left out 400 bytes that are no MPEG audio",
	}
	if !slices.Equal(d.Warnings(), want) {
		t.Errorf("warns %q, want %q", d.Warnings(), want)
	}
	if d.Info().Declared != 14400 {
		t.Errorf("declared %d, want the first section's 14400", d.Info().Declared)
	}
}

// A section in another format may break like the first.
func TestMP3BrokenBehindAChange(t *testing.T) {
	first, second := readMP3File(t, stereoMP3), readMP3File(t, taggedMP3)
	whole, _ := decodeMP3(t, join(first, second))
	broken := errors.New("broken")
	d, err := openMP3(io.MultiReader(bytes.NewReader(join(first, second[:3000])), iotest.ErrReader(broken)))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	audiotest.TestBroken(t, d, whole, broken)
}

// However often the format changes, there are few warnings, and finished sections are freed.
func TestMP3ManyFormatChanges(t *testing.T) {
	pair := join(readMP3File(t, taggedMP3), readMP3File(t, "speech_16000hz_mono_cbr64.mp3"))
	_, d := decodeMP3(t, bytes.Repeat(pair, 20))
	if n := len(d.Warnings()); n > 10 {
		t.Errorf("%d warnings:\n%s", n, strings.Join(d.Warnings(), "\n"))
	}
}
