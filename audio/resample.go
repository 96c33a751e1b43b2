package audio

import "fmt"

// Method is a method of resampling. All methods give the same number of samples; Soxr
// and FIR differ in delay and in the last bits.
type Method string

// The methods of resampling.
const (
	// Soxr is libsoxr, quality High. It works in blocks, and delays live audio by 37 to 84
	// ms. Builds without cgo do not have it.
	Soxr Method = "soxr"
	// Zaf is libsoxr through the package zaf/resample. Its samples are the same as those of
	// Soxr, bit for bit. It copies every block to and from C's memory.
	Zaf Method = "zaf"
	// FIR is a filter in Go. It delays live audio by 3 to 6 ms, and is part of every build.
	FIR Method = "fir"
)

// DefaultMethod returns Soxr if the build has it, else FIR.
func DefaultMethod() Method {
	if haveSoxr {
		return Soxr
	}
	return FIR
}

// Check returns an error if the method is unknown, or missing in this build.
func (m Method) Check() error {
	switch {
	case m == FIR, (m == Soxr || m == Zaf) && haveSoxr:
		return nil
	case m == Soxr, m == Zaf:
		return fmt.Errorf("this build has no libsoxr; there is %s", FIR)
	}
	return fmt.Errorf("no method is called %q; there are %s, %s and %s", string(m), Soxr, Zaf, FIR)
}

// Resampled is a Source with samples at another rate. Close frees its memory outside Go's heap.
// It may be called twice, and does not close the underlying source.
type Resampled interface {
	Source
	Close() error
}

// Resample converts the mono src to rate, in Hz, with the DefaultMethod.
//
// For n samples at rate r, the output has exactly round(n·rate/r) samples. They do not depend on
// how src splits its input. If src has the rate already, its samples are passed through.
func Resample(src Source, rate int) (Resampled, error) {
	return ResampleBy(DefaultMethod(), src, rate)
}

// ResampleBy is Resample with a chosen method.
func ResampleBy(method Method, src Source, rate int) (Resampled, error) {
	format := src.Format()
	if format.Channels != 1 {
		return nil, fmt.Errorf("resample: %d channels, only mono is resampled", format.Channels)
	}
	for _, f := range []Format{format, {Rate: rate, Channels: 1}} {
		if err := f.Check(); err != nil {
			return nil, err
		}
	}
	if err := method.Check(); err != nil {
		return nil, fmt.Errorf("resample: %w", err)
	}
	switch {
	case format.Rate == rate:
		return unchanged{src}, nil
	case method == FIR:
		return newFIR(src, rate)
	case method == Zaf:
		return newZaf(src, rate)
	}
	return newSoxr(src, rate)
}

// resampledLength returns the number of samples after resampling n samples from one
// rate to another: n·to/from, rounded half up.
func resampledLength(n int64, from, to int) int64 {
	whole, rest := n/int64(from), n%int64(from)
	return whole*int64(to) + (2*rest*int64(to)+int64(from))/(2*int64(from))
}

func greatestCommonDivisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// unchanged passes samples through: the rates are equal.
type unchanged struct{ Source }

func (unchanged) Close() error { return nil }
