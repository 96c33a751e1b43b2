package audio

import "math"

// ByteOrder is a guess at the byte order of 16-bit samples.
type ByteOrder int

const (
	OrderUnknown ByteOrder = iota // no byte order is clearly the most likely
	OrderAsRead                   // the order in which the samples were read
	OrderSwapped                  // most significant byte first
	OrderShifted                  // shifted by a byte: a byte is missing in front, or is too many
)

// Roughness compares byte orders of 16-bit samples. In speech, each sample is close to the
// one before it. In the wrong byte order the low bytes, which are noise, become the high
// ones, so neighbours differ at random. For each byte order, Roughness measures the energy of
// the differences between neighbours, relative to the energy of the samples. That is 2 for
// white noise, and below 1 for speech.
type Roughness struct {
	asRead, swapped, shifted roughness
	before                   uint16 // the sample before, as it was read
	n                        int64
}

// Add measures more samples of one channel that were decoded from 16 bits, little-endian.
// stride is the distance between samples of that channel.
func (r *Roughness) Add(samples []float32, stride int) {
	for i := 0; i < len(samples); i += stride {
		v := uint16(int16(samples[i] * 32768))
		r.asRead.add(v)
		r.swapped.add(v>>8 | v<<8)
		// Read a byte earlier: the low byte is then the high byte of the sample before.
		r.shifted.add(v<<8 | r.before>>8)
		r.before = v
		r.n++
	}
}

// Ratios returns the measures of the three byte orders.
func (r *Roughness) Ratios() (asRead, swapped, shifted float64) {
	return r.asRead.ratio(), r.swapped.ratio(), r.shifted.ratio()
}

// Order returns the most likely byte order. It is a guess. The result is OrderUnknown for
// noise, and for less than a fifth of a second of audio.
func (r *Roughness) Order() ByteOrder {
	const (
		fewest = 1600 // samples: 0.2 s at 8000 Hz
		rough  = 1.0
		margin = 2 // times smoother than as read
	)
	asRead, swapped, shifted := r.Ratios()
	switch {
	case r.n < fewest || math.IsNaN(asRead):
		return OrderUnknown
	case asRead < rough:
		return OrderAsRead
	case min(swapped, shifted)*margin > asRead:
		return OrderUnknown
	case shifted < swapped:
		return OrderShifted
	}
	return OrderSwapped
}

// roughness measures one byte order.
type roughness struct {
	last                float64
	energy, differences float64
}

func (r *roughness) add(bits uint16) {
	v := float64(int16(bits))
	d := v - r.last
	r.energy += v * v
	r.differences += d * d
	r.last = v
}

// ratio returns the measure; NaN for silence.
func (r *roughness) ratio() float64 { return r.differences / r.energy }
