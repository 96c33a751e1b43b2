package audio

import "fmt"

// A Resampled source delivers samples at another rate. Close frees what it
// holds outside Go's memory and may be called twice; it leaves the source
// beneath it alone.
type Resampled interface {
	Source
	Close() error
}

// Resample converts the mono src to rate, in Hz.
//
// The output holds exactly round(n·rate/r) samples for n samples at rate r, and
// each of them is the same however src splits its input. A src that has the
// rate already is passed through sample for sample.
func Resample(src Source, rate int) (Resampled, error) {
	format := src.Format()
	if format.Channels != 1 {
		return nil, fmt.Errorf("resample: %d channels, only mono is resampled", format.Channels)
	}
	for _, f := range []Format{format, {Rate: rate, Channels: 1}} {
		if err := f.Check(); err != nil {
			return nil, err
		}
	}
	if format.Rate == rate {
		return unchanged{src}, nil
	}
	return newSoxr(src, rate)
}

// resampledLength is the number of samples that n samples at rate from become
// at rate to: n·to/from, rounded half up.
func resampledLength(n int64, from, to int) int64 {
	whole, rest := n/int64(from), n%int64(from)
	return whole*int64(to) + (2*rest*int64(to)+int64(from))/(2*int64(from))
}

type unchanged struct{ Source }

func (unchanged) Close() error { return nil }
