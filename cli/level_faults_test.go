package cli_test

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
)

// floats returns a WAV of 32-bit floats at 24 kHz, with interleaved channels.
func floats(channels int, samples ...float64) []byte {
	var pcm []byte
	for _, v := range samples {
		pcm = binary.LittleEndian.AppendUint32(pcm, math.Float32bits(float32(v)))
	}
	head, _ := wav(24000, 1, 0)
	file := append([]byte{}, head[:40]...)
	binary.LittleEndian.PutUint16(file[20:], 3)
	binary.LittleEndian.PutUint16(file[22:], uint16(channels))
	binary.LittleEndian.PutUint32(file[28:], uint32(24000*4*channels))
	binary.LittleEndian.PutUint16(file[32:], uint16(4*channels))
	binary.LittleEndian.PutUint16(file[34:], 32)
	file = binary.LittleEndian.AppendUint32(file, uint32(len(pcm)))
	return append(file, pcm...)
}

// A warning of levels that spoil the sound is one line, in every command that reads the input.
func TestLevelWarnings(t *testing.T) {
	t.Parallel()
	tone := func(channels int, value func(channel int, v float64) float64) []byte {
		var all []float64
		for i := range 4800 {
			for c := range channels {
				all = append(all, value(c, 0.5*math.Sin(float64(i)/10)))
			}
		}
		return floats(channels, all...)
	}
	for name, c := range map[string]struct {
		file    []byte
		want    string
		suspect string
	}{
		"ten times": {tone(1, func(_ int, v float64) float64 { return 20 * v }),
			"of its samples are beyond full scale and clipped; give a --gain that is 20 dB lower", "of the samples are clipped"},
		"not a number": {tone(1, func(_ int, v float64) float64 {
			if math.Abs(v) < 0.1 {
				return math.NaN()
			}
			return v
		}), "samples by silence: not a number", ""},
		"cancel": {tone(2, func(c int, v float64) float64 { return v * float64(1-2*c) }),
			"the channels cancel each other when they are mixed; --channel left keeps one", "cancel each other"},
		"left is silent": {tone(2, func(c int, v float64) float64 { return v * float64(c) }),
			"the left channel is silent; --channel right is twice as loud as the mix", "left channel is silent"},
		"as it should": {tone(2, func(_ int, v float64) float64 { return v }), "", ""},
		"silence":      {tone(1, func(_ int, v float64) float64 { return 0 * v }), "", "all of it is silent"},
	} {
		input := write(t, "x.wav", c.file)
		for _, command := range []string{"encode", "send"} {
			r := run(t, nil, command, "--pace", "burst", input)
			lines := strings.Count(r.stderr, c.want)
			if r.code != 0 || c.want != "" && lines != 1 || c.want == "" &&
				(strings.Contains(r.stderr, "silent") || strings.Contains(r.stderr, "clipped")) {
				t.Errorf("%s, %s: code %d: %s", name, command, r.code, r.stderr)
			}
		}
		r := run(t, nil, "probe", "--json", input)
		_, suspicions, _ := strings.Cut(r.stdout, `"suspicions":[`)
		suspicions, _, _ = strings.Cut(suspicions, "]")
		if r.code != 0 || c.suspect == "" && suspicions != "" || !strings.Contains(suspicions, c.suspect) ||
			c.suspect == "" && !strings.Contains(r.stdout, c.want) {
			t.Errorf("%s, probe: code %d: %s", name, r.code, r.stdout)
		}
	}
	loud := write(t, "x.wav", tone(1, func(_ int, v float64) float64 { return 20 * v }))
	if r := run(t, nil, "encode", "--gain", "-20", loud); r.code != 0 || strings.Contains(r.stderr, "clipped") {
		t.Errorf("with less gain: %s", r.stderr)
	}
}
