package audio_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"echocast/audio"
	"echocast/audio/audiotest"
)

// Two channels that cancel each other in the mix are reported, and so is a silent channel;
// other channels are not, however similar they are.
func TestChannelFaults(t *testing.T) {
	const cancel = "the channels cancel each other when they are mixed; --channel left keeps one"
	noLeft := "the left channel is silent; --channel right is twice as loud as the mix"
	noRight := "the right channel is silent; --channel left is twice as loud as the mix"
	for name, c := range map[string]struct {
		left, right float64 // levels
		phase       float64 // of the right channel, in turns
		channel     audio.ChannelChoice
		want        []string
	}{
		"alike":                     {0.5, 0.5, 0, "", nil},
		"opposite":                  {0.5, -0.5, 0, "", []string{cancel}},
		"opposite, nearly":          {0.5, -0.4, 0, "", []string{cancel}},
		"opposite, one half as big": {0.5, -0.25, 0, "", nil},
		"a quarter apart":           {0.5, 0.5, 0.25, "", nil},
		"opposite, one is taken":    {0.5, -0.5, 0, "left", nil},
		"no left":                   {0, 0.5, 0, "", []string{noLeft}},
		"no right":                  {0.5, 0, 0, "", []string{noRight}},
		"neither":                   {0, 0, 0, "", nil},
	} {
		var pcm []byte
		for i := range 24000 {
			at := 440 * float64(i) / 24000
			for _, v := range []float64{c.left * math.Sin(2*math.Pi*at), c.right * math.Sin(2*math.Pi*(at+c.phase))} {
				pcm = binary.LittleEndian.AppendUint32(pcm, math.Float32bits(float32(v)))
			}
		}
		wav := wavFile(fmtChunk(3, 2, 24000, 8, 32), data(pcm))
		in, err := audio.Prepare(t.Context(), bytes.NewReader(wav), &audio.PrepareOptions{Channel: c.channel})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := audiotest.Collect(in); err != nil {
			t.Error(err)
		}
		if got := in.Warnings(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		in.Close()
	}
}
