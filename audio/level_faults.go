package audio

import (
	"fmt"
	"math"

	"github.com/tphakala/simd/f32"
)

// levelFaults detects levels that spoil the sound: samples beyond full scale, and stereo in
// which one channel is silent or the channels cancel each other when they are mixed. Its
// memory does not grow.
type levelFaults struct {
	channels int
	isMixed  bool    // the channels are mixed
	limit    float32 // largest magnitude that is not clipped
	samples  int64
	clipped  int64
	highest  float32
	peaks    [2]float32
	squares  [2]float64
	mix      float64 // sum of the squares of the mix
	split    [2][1024]float32
}

// newLevelFaults returns a levelFaults for samples of this format, to which a gain in dB will
// be applied.
func newLevelFaults(format Format, choice ChannelChoice, gain float64) *levelFaults {
	return &levelFaults{
		channels: format.Channels,
		isMixed:  format.Channels == 2 && (choice == "" || choice == MixChannels),
		limit:    float32(1.001 / Amplitude(gain)), // a rounding error is not clipping
	}
}

func (f *levelFaults) add(samples []float32) {
	f.samples += int64(len(samples))
	if loudest := f32.MaxAbs(samples); !(loudest <= f.limit) { // rarely true; true for NaN
		f.count(samples)
	}
	for f.isMixed && len(samples) > 1 {
		n := min(len(samples)/2, len(f.split[0]))
		f.compare(samples[:2*n])
		samples = samples[2*n:]
	}
}

// count counts the samples that are clipped.
func (f *levelFaults) count(samples []float32) {
	for _, v := range samples {
		if v = max(v, -v); v > f.limit {
			f.clipped++
			f.highest = max(f.highest, v)
		}
	}
}

// compare measures the channels of a block and their mix, whose square is
// (left² + 2·left·right + right²)/4.
func (f *levelFaults) compare(block []float32) {
	left, right := f.split[0][:len(block)/2], f.split[1][:len(block)/2]
	f32.Deinterleave2(left, right, block)
	for i, channel := range [2][]float32{left, right} {
		f.peaks[i] = max(f.peaks[i], f32.MaxAbs(channel))
	}
	l, r := float64(f32.SumOfSquares(left)), float64(f32.SumOfSquares(right))
	f.squares[0] += l
	f.squares[1] += r
	f.mix += max(l+r+2*float64(f32.DotProduct(left, right)), 0) / 4
}

// warnings returns one line for each fault. It includes clipping only if clipping is set.
func (f *levelFaults) warnings(clipping bool) (all []string) {
	const few = 1000 // one clipped sample in so many is not audible
	if clipping && f.clipped*few > f.samples {
		less := math.Ceil(Decibels(float64(f.highest/f.limit)) - 0.05)
		all = append(all, fmt.Sprintf("%.0f %% of its samples are beyond full scale and clipped; give a --gain "+
			"that is %.0f dB lower, or --loudness -16", 100*float64(f.clipped)/float64(f.samples), less))
	}
	if f.isMixed {
		if fault := ChannelFault(f.peaks, f.rms(), math.Sqrt(f.mix/f.frames())); fault != "" {
			all = append(all, fault)
		}
	}
	return all
}

func (f *levelFaults) frames() float64 { return float64(max(f.samples/2, 1)) }

func (f *levelFaults) rms() [2]float64 {
	return [2]float64{math.Sqrt(f.squares[0] / f.frames()), math.Sqrt(f.squares[1] / f.frames())}
}

// ChannelFault describes what is wrong with the left and right channels of an input that are
// mixed: one of them is silent, or they cancel each other. It returns "" if nothing is wrong.
// The arguments are the peaks and the RMS levels of the channels, and the RMS level of their
// mix, all relative to full scale.
func ChannelFault(peaks [2]float32, rms [2]float64, mix float64) string {
	const lost = -15 // dB
	names := [2]string{"left", "right"}
	silent := Amplitude(DefaultSilence)
	for i, peak := range peaks {
		if float64(peak) < silent && float64(peaks[1-i]) >= silent {
			return fmt.Sprintf("the %s channel is silent; --channel %s is twice as loud as the mix", names[i], names[1-i])
		}
	}
	if loudest := max(rms[0], rms[1]); loudest >= silent && Decibels(mix/loudest) < lost {
		return "the channels cancel each other when they are mixed; --channel left keeps one"
	}
	return ""
}
