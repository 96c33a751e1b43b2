package serve

import (
	"fmt"
	"math"

	"echocast/internal/pcm"
)

// muLawRate is the sampling rate of mu-law in a room, in Hz.
const muLawRate = 8000

// lobes is half the width of the filter, in output samples.
const lobes = 8

// muLawEncoder encodes sound as G.711 mu-law: 8 kHz, one byte per sample. It is for builds
// without libopus.
type muLawEncoder struct {
	step   float64 // input samples per output sample
	past   []int16 // earlier samples that the filter needs
	packet []byte
}

// newMuLaw returns an encoder for samples at a rate of at least 8000 Hz.
func newMuLaw(rate int) (*muLawEncoder, error) {
	if rate < muLawRate {
		return nil, fmt.Errorf("mu-law needs %d Hz or more, not %d", muLawRate, rate)
	}
	step := float64(rate) / muLawRate
	return &muLawEncoder{step: step, past: make([]int16, int(2*lobes*step))}, nil
}

// Encode encodes a frame. The filter delays the sound by 1 ms.
func (m *muLawEncoder) Encode(frame []int16) ([]byte, error) {
	in := append(m.past, frame...)
	m.packet = m.packet[:0]
	for n := range int(math.Round(float64(len(frame)) / m.step)) {
		m.packet = append(m.packet, pcm.EncodeMuLaw(m.filtered(in, lobes*m.step+float64(n)*m.step)))
	}
	m.past = append(m.past[:0], in[len(frame):]...)
	return m.packet, nil
}

// filtered returns the sound at a position, without the frequencies that are too high for 8
// kHz.
func (m *muLawEncoder) filtered(in []int16, at float64) int16 {
	sum, weights := 0.0, 0.0
	for i := int(math.Ceil(at - lobes*m.step)); i <= min(int(at+lobes*m.step), len(in)-1); i++ {
		x := (float64(i) - at) / m.step // in output samples
		weight := sinc(0.9*x) * (0.5 + 0.5*math.Cos(math.Pi*x/lobes))
		sum += weight * float64(in[i])
		weights += weight
	}
	return int16(max(-32768, min(32767, math.Round(sum/weights))))
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// Close does nothing.
func (m *muLawEncoder) Close() error { return nil }
