package audio

import (
	"math"
	"math/rand/v2"
	"testing"
)

// bytesAs reads the bytes of 16-bit samples in another way.
func bytesAs(pcm []float32, way ByteOrder) []float32 {
	out := make([]float32, len(pcm))
	var next uint16
	for i := len(pcm) - 1; i >= 0; i-- {
		v := uint16(int16(pcm[i] * 32768))
		switch way {
		case OrderSwapped:
			out[i] = float32(int16(v>>8|v<<8)) / 32768
		case OrderShifted: // the first byte is missing
			out[i] = float32(int16(v>>8|next<<8)) / 32768
		default:
			out[i] = pcm[i]
		}
		next = v
	}
	return out
}

func TestByteOrder(t *testing.T) {
	noise := make([]float32, 8000)
	for i := range noise {
		noise[i] = float32(int16(rand.Uint32())) / 32768
	}
	for name, pcm := range map[string][]float32{
		"8000 Hz":  s16File(t, "../testdata/mp3/speech_8000hz_mono.s16"),
		"16000 Hz": s16File(t, "../testdata/mp3/speech_16000hz_mono.s16"),
		"24000 Hz": s16File(t, "../testdata/mp3/speech_24000hz_mono.s16"),
		"48000 Hz": s16File(t, "../testdata/mp3/speech_48000hz_mono.s16"),
		"soft":     soft(s16File(t, "../testdata/speech.wav")),
	} {
		for _, way := range []ByteOrder{OrderAsRead, OrderSwapped, OrderShifted} {
			var r Roughness
			r.Add(bytesAs(pcm, way), 1)
			asRead, swapped, shifted := r.Ratios()
			if got := r.Order(); got != way {
				t.Errorf("%s: %d taken for %d (%.2f as read, %.2f swapped, %.2f shifted)", name, way, got, asRead, swapped, shifted)
			}
		}
	}
	for name, pcm := range map[string][]float32{"noise": noise, "silence": make([]float32, 8000),
		"too little": noise[:1000], "nothing": nil} {
		var r Roughness
		r.Add(pcm, 1)
		if got := r.Order(); got != OrderUnknown {
			t.Errorf("%s: taken for %d", name, got)
		}
	}
}

// soft is pcm at a twentieth, in whole 16-bit steps.
func soft(pcm []float32) []float32 {
	out := make([]float32, len(pcm))
	for i, v := range pcm {
		out[i] = float32(math.Round(float64(v)*32768/20)) / 32768
	}
	return out
}

// Byte order is detected in a single channel, too.
func TestByteOrderOfOneChannel(t *testing.T) {
	pcm := s16File(t, "../testdata/mp3/speech_24000hz_mono.s16")
	pair := make([]float32, 2*len(pcm))
	for i, v := range pcm {
		pair[2*i], pair[2*i+1] = v, -v
	}
	var one, both Roughness
	one.Add(pcm, 1)
	both.Add(pair, 2)
	if a, b := one, both; a != b {
		t.Errorf("%+v, want %+v", b, a)
	}
}

func TestPitch(t *testing.T) {
	for _, rate := range []int{8000, 22050, 24000} {
		for _, hertz := range []float64{50, 75, 118, 220, 330, 500} {
			p := NewPitch(rate)
			p.Add(voice(rate, hertz, 1))
			got, seconds := p.Median()
			// At 4 kHz a period of 500 Hz is 8 samples.
			if math.Abs(got-hertz) > 0.07*hertz || seconds < 0.85 {
				t.Errorf("%d Hz: a voice of %v Hz has %.1f Hz over %.2f s", rate, hertz, got, seconds)
			}
		}
	}
}

// voice is a row of glottal pulses: harmonics that fall by 12 dB an octave.
func voice(rate int, hertz, seconds float64) []float32 {
	pcm := make([]float32, int(seconds*float64(rate)))
	for i := range pcm {
		var v float64
		for k := 1.0; k*hertz < 3000; k++ {
			v += math.Cos(2*math.Pi*k*hertz*float64(i)/float64(rate)) / (k * k)
		}
		pcm[i] = float32(0.2 * v)
	}
	return pcm
}

// The file was made with espeak-ng's default voice, that of a man.
func TestPitchOfSpeech(t *testing.T) {
	speech := s16File(t, "../testdata/speech.wav")[22:]
	for _, c := range []struct{ rate, low, high int }{{22050, 75, 140}, {88200, 300, 560}, {11025, 37, 70}} {
		p := NewPitch(c.rate)
		p.Add(speech)
		hertz, seconds := p.Median()
		t.Logf("at %d Hz: %.1f Hz over %.2f s", c.rate, hertz, seconds)
		if hertz < float64(c.low) || hertz > float64(c.high) || seconds < 0.5 {
			t.Errorf("at %d Hz: %.1f Hz over %.2f s", c.rate, hertz, seconds)
		}
	}
}

func TestPitchOfUnvoicedSound(t *testing.T) {
	noise := make([]float32, 48000)
	for i := range noise {
		noise[i] = rand.Float32()*2 - 1
	}
	for name, pcm := range map[string][]float32{"noise": noise, "silence": make([]float32, 48000), "nothing": nil} {
		p := NewPitch(24000)
		p.Add(pcm)
		if hertz, seconds := p.Median(); seconds > 0.1 {
			t.Errorf("%s: %.1f Hz over %.2f s", name, hertz, seconds)
		}
	}
}
