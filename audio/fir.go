package audio

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// fir is a resampler in pure Go. Output k lies at the time k/rate, which is the position
// k*in/rate among the inputs. Each output is the dot product of the inputs around that
// position with the filter's taps for the fractional part of the position. Positions are
// ratios of integers, so they do not drift, however long the input is. Each output is always
// the same sum over the same inputs, so the result does not depend on how the input was cut
// into reads.
//
// The filter is linear in phase and centred on the output, so the result is not delayed.
// Inputs before the first and after the last count as zero, and n inputs become exactly
// floor(n*rate/in + 1/2) outputs. A live input is delayed only by the wait for the inputs
// after the centre. To 24 kHz that delay is
//
//	from kHz  4     8    11.025  12   16   22.05  32 to 384
//	delay ms  10.8  5.4  5.1     5.0  4.5  3.3    3.0
//
// The stopband starts at the lower of the two Nyquist frequencies, so no alias or image is
// above -100 dB. From 16 kHz on, the passband is flat up to 0.91 of that frequency. At lower
// rates this would take longer than 5 ms, so the passband is flat up to at least 0.85. A
// transition band across the Nyquist frequency (0.91 to 1.09) would need half of the taps,
// half of the delay and two thirds of the time. But it would fold the band from 12 to 13 kHz
// of a 44.1 kHz input, in which there are sibilants, onto 11 to 12 kHz.
//
// The sums are formed in float32, in an order that depends on the processor's
// vector width: the result is the same in every run on one machine and may
// differ in the last bits on another.
type fir struct {
	src  Source
	rate int
	bank firBank

	// The ratio of rates in lowest terms: phases outputs take step inputs.
	step, phases int64

	window []float32 // inputs that outputs to come may need; its capacity is fixed
	read   int64     // inputs read, and zeros after them
	made   int64     // outputs returned
	total  int64     // outputs of the whole stream; known at the end of input
	err    error     // why no more can be read
}

// firRead is the buffer space for new inputs, in samples. A filter longer than that gets as
// much space as it is long.
const firRead = 4096

// newFIR returns a resampler of the mono src to rate Hz. Both rates must be from MinRate to
// MaxRate; otherwise the error wraps ErrFormat. If the rates are equal, the samples do not
// change.
func newFIR(src Source, rate int) (*fir, error) {
	in := src.Format()
	if in.Channels != 1 {
		return nil, fmt.Errorf("%w: only mono can be resampled, not %d channels", ErrFormat, in.Channels)
	}
	for _, format := range []Format{in, {Rate: rate, Channels: 1}} {
		if err := format.Check(); err != nil {
			return nil, err
		}
	}
	divisor := greatestCommonDivisor(in.Rate, rate)
	f := &fir{
		src:    src,
		rate:   rate,
		bank:   newFIRBank(in.Rate, rate, rate/divisor),
		step:   int64(in.Rate / divisor),
		phases: int64(rate / divisor),
		total:  math.MaxInt64,
	}
	silence := f.bank.taps - 1 - f.bank.lookahead // before the first input
	f.window = make([]float32, silence, f.bank.taps+max(firRead, f.bank.taps))
	return f, nil
}

// Format is mono at the rate asked for.
func (f *fir) Format() Format { return Format{Rate: f.rate, Channels: 1} }

// Close has nothing to free.
func (f *fir) Close() error { return nil }

// ReadSamples returns the outputs for which the inputs have been read. If there are none, it
// reads first, but no more than p needs.
func (f *fir) ReadSamples(p []float32) (int, error) {
	if len(p) == 0 {
		return 0, io.ErrShortBuffer
	}
	for {
		if n := f.convolve(p); n > 0 {
			return n, nil
		}
		if f.err != nil {
			return 0, f.err
		}
		f.pull(len(p))
	}
}

// position returns where output k lies: index is the last input at or before it, and phase is
// the distance from that input in phases of an input period.
func (f *fir) position(k int64) (index, phase int64) {
	rounds, rest := k/f.phases, k%f.phases*f.step
	return rounds*f.step + rest/f.phases, rest % f.phases
}

// convolve computes the outputs for which the inputs have been read.
func (f *fir) convolve(p []float32) int {
	index, phase := f.position(f.made)
	whole, part := f.step/f.phases, f.step%f.phases
	oldest := f.read - int64(len(f.window))
	first := int(index-oldest) + f.bank.lookahead + 1 - f.bank.taps
	p = p[:min(int64(len(p)), f.total-f.made)]
	for n := range p {
		if first+f.bank.taps > len(f.window) {
			f.made += int64(n)
			return n
		}
		p[n] = f.bank.dot(phase, f.phases, f.window[first:first+f.bank.taps])
		first += int(whole)
		if phase += part; phase >= f.phases {
			phase -= f.phases
			first++
		}
	}
	f.made += int64(len(p))
	return len(p)
}

// pull reads the inputs that the next outputs need, or as many of them as there are.
func (f *fir) pull(outputs int) {
	last, _ := f.position(f.made + int64(outputs-1))
	room := f.room(last + int64(f.bank.lookahead) + 1 - f.read)
	n, err := f.src.ReadSamples(room)
	switch {
	case n > 0:
		f.extend(n)
	case err == nil:
		f.err = io.ErrNoProgress
	case errors.Is(err, io.EOF):
		f.total = resampledLength(f.read, f.src.Format().Rate, f.rate)
		clear(f.room(int64(f.bank.lookahead)))
		f.extend(f.bank.lookahead)
		f.err = io.EOF
	default:
		f.err = err
	}
}

// room returns free memory after the window for up to wanted inputs. If there is too little,
// it drops the inputs that no output needs any more.
func (f *fir) room(wanted int64) []float32 {
	if int64(cap(f.window)-len(f.window)) < wanted {
		keep := min(len(f.window), f.bank.taps-1)
		copy(f.window, f.window[len(f.window)-keep:])
		f.window = f.window[:keep]
	}
	free := f.window[len(f.window):cap(f.window)]
	return free[:min(wanted, int64(len(free)))]
}

func (f *fir) extend(n int) {
	f.window = f.window[:len(f.window)+n]
	f.read += int64(n)
}
