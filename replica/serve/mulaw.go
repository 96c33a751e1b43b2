package serve

import (
	"fmt"
	"math"

	"echocast/internal/pcm"
)

// muLawRate is the sampling rate of mu-law in a room, in Hz.
const muLawRate = 8000

// lobes is how far the filter of muLaw reaches to each side, in samples of mu-law.
const lobes = 8

// muLaw encodes sound as a telephone does: 8 kHz, a byte each. It is how the
// stand-in replica is heard in a build without libopus.
type muLaw struct {
	step   float64 // samples that go in for one that comes out
	past   []int16 // what the filter still needs
	packet []byte
}

// newMuLaw takes samples at a rate of 8 kHz or more.
func newMuLaw(rate int) (*muLaw, error) {
	if rate < muLawRate {
		return nil, fmt.Errorf("mu-law is made of %d Hz or more, not of %d", muLawRate, rate)
	}
	step := float64(rate) / muLawRate
	return &muLaw{step: step, past: make([]int16, int(2*lobes*step))}, nil
}

// Encode makes a packet of a frame. What it gives is late by the reach of the
// filter, 1 ms.
func (m *muLaw) Encode(frame []int16) ([]byte, error) {
	in := append(m.past, frame...)
	m.packet = m.packet[:0]
	for n := range int(math.Round(float64(len(frame)) / m.step)) {
		m.packet = append(m.packet, pcm.EncodeMuLaw(m.filtered(in, lobes*m.step+float64(n)*m.step)))
	}
	m.past = append(m.past[:0], in[len(frame):]...)
	return m.packet, nil
}

// filtered is the sound at a position, without what 8 kHz cannot hold.
func (m *muLaw) filtered(in []int16, at float64) int16 {
	sum, weights := 0.0, 0.0
	for i := int(math.Ceil(at - lobes*m.step)); i <= min(int(at+lobes*m.step), len(in)-1); i++ {
		x := (float64(i) - at) / m.step // in samples of mu-law
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
func (m *muLaw) Close() error { return nil }
