package audio

import (
	"math"

	"github.com/tphakala/simd/f32"
)

// Design goals of the FIR resampler. The attenuation puts aliases and images
// below the rounding noise of 16-bit samples, which is 98 dB down.
const (
	firAttenuation = 100   // in dB
	firDelay       = 0.005 // in seconds; the transition band is widened to stay below it

	// Bounds of the transition band, as shares of the lower of the two Nyquist
	// frequencies, where it ends. Within them firDelay decides.
	firNarrowest = 0.09
	firWidest    = 0.15
)

// Bounds of the coefficient table.
const (
	firMaxCoefficients = 1 << 18 // 1 MiB: beyond it, rows are interpolated
	firInterpolated    = 1024    // rows to interpolate between when upsampling
	firAlignment       = 16      // taps of a row are a multiple of the widest vector
)

// firBank is a low-pass filter, sampled at every phase that an output can have between two
// inputs. Row r holds the taps for an output that lies r/rows of an input period after an
// input. The taps of a row apply to the inputs from taps-1-lookahead before that input to
// lookahead after it.
//
// A ratio of rates with a small reduced numerator (80 for 44.1 to 24 kHz) gets one row for
// each phase. If these would exceed firMaxCoefficients, the bank has fewer rows, and outputs
// are interpolated linearly between two rows, at twice the cost. A tone in the passband
// advances by at most w = pi*min(1, out/in) radians an input period. So linear interpolation
// between rows that are d periods apart has an error of at most (w*d)²/8 of the tone. With
// 1024 rows for upsampling, and fewer in proportion to the ratio for downsampling, the error
// is -118 dB.
type firBank struct {
	coefficients   []float32 // rows × taps, and one more row to interpolate towards
	rows           int
	taps           int
	lookahead      int // inputs needed after the one at or before the output
	isInterpolated bool
}

// newFIRBank designs the filter for a conversion from in to out Hz, where
// phases is out divided by their greatest common divisor.
func newFIRBank(in, out, phases int) firBank {
	if in == out {
		return firBank{coefficients: []float32{1}, rows: 1, taps: 1}
	}
	kernel := designKaiser(in, out)
	bank := shapeFIRBank(kernel, phases, float64(out)/float64(in))
	bank.fill(kernel)
	return bank
}

// shapeFIRBank returns a bank with its size set, but without coefficients.
func shapeFIRBank(kernel kaiserKernel, phases int, ratio float64) firBank {
	bank := firBank{rows: phases, lookahead: int(kernel.half)}
	bank.taps = (2*bank.lookahead + firAlignment - 1) / firAlignment * firAlignment
	if bank.size() > firMaxCoefficients {
		bank.rows = int(math.Ceil(firInterpolated * min(1, ratio)))
		bank.isInterpolated = true
	}
	return bank
}

func (b *firBank) size() int { return (b.rows + 1) * b.taps }

func (b *firBank) fill(kernel kaiserKernel) {
	b.coefficients = make([]float32, b.size())
	for row := range b.rows + 1 {
		behind := float64(row) / float64(b.rows)
		for tap := range b.taps {
			input := float64(tap - (b.taps - 1 - b.lookahead))
			b.row(row)[tap] = float32(kernel.at(input - behind))
		}
	}
}

func (b *firBank) row(r int) []float32 {
	return b.coefficients[r*b.taps : (r+1)*b.taps]
}

// dot filters inputs, one for each tap, for an output at phase of phases.
func (b *firBank) dot(phase, phases int64, inputs []float32) float32 {
	if !b.isInterpolated {
		return f32.DotProductUnsafe(b.row(int(phase)), inputs)
	}
	scaled := phase * int64(b.rows)
	row, between := int(scaled/phases), float32(scaled%phases)/float32(phases)
	here := f32.DotProductUnsafe(b.row(row), inputs)
	next := f32.DotProductUnsafe(b.row(row+1), inputs)
	return here + between*(next-here)
}

// kaiserKernel is an ideal low-pass under a Kaiser window, a continuous
// function of time in input samples.
type kaiserKernel struct {
	cutoff float64 // of the ideal low-pass, as a share of the input's Nyquist frequency
	half   float64 // the window's half width: the kernel is 0 from there on
	beta   float64 // the window's shape
	peak   float64 // the window's height before it is scaled to 1
}

// designKaiser finds the kernel with Kaiser's formulas for beta and for the
// length (J. F. Kaiser, "Nonrecursive digital filter design using the I0-sinh
// window function", Proc. IEEE ISCAS 1974; also A. V. Oppenheim and R. W.
// Schafer, "Discrete-Time Signal Processing", section 7.5.3).
func designKaiser(in, out int) kaiserKernel {
	const lengthTimesWidth = (firAttenuation - 7.95) / 14.36 // seconds times Hz
	nyquist := float64(min(in, out)) / 2
	width := max(firNarrowest*nyquist, lengthTimesWidth/(2*firDelay))
	width = min(width, firWidest*nyquist)
	const beta = 0.1102 * (firAttenuation - 8.7)
	return kaiserKernel{
		cutoff: (nyquist - width/2) / (float64(in) / 2),
		half:   math.Ceil(float64(in) * lengthTimesWidth / width / 2),
		beta:   beta,
		peak:   besselI0(beta),
	}
}

func (k kaiserKernel) at(t float64) float64 {
	if math.Abs(t) >= k.half {
		return 0
	}
	x := t / k.half
	window := besselI0(k.beta*math.Sqrt(1-x*x)) / k.peak
	return k.cutoff * sinc(k.cutoff*t) * window
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// besselI0 is the modified Bessel function of the first kind and order 0, by
// its power series.
func besselI0(x float64) float64 {
	sum, term := 1.0, 1.0
	for n := 1.0; term > sum*1e-17; n++ {
		term *= (x / 2 / n) * (x / 2 / n)
		sum += term
	}
	return sum
}
