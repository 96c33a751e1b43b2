//go:build cgo

package audio_test

import "testing"

const readsMPEG25 = true

// mp3Steps are of 16 bits, at most between a decoded sample and libmad's, by
// channels.
var mp3Steps = [...]float64{1: 1, 2: 1}

// isRefusal is never true: libmpg123 reads all frames there are.
func isRefusal(error) bool { return false }

// endless repeats data for ever.
type endless struct {
	data []byte
	at   int
}

func (r *endless) Read(p []byte) (int, error) {
	n := copy(p, r.data[r.at:])
	r.at = (r.at + n) % len(r.data)
	return n, nil
}

// Reading allocates nothing, or live speech would depend on the collector.
func TestMP3Allocations(t *testing.T) {
	for _, name := range []string{taggedMP3, untaggedMP3, stereoMP3} {
		d, err := openMP3(&endless{data: readMP3File(t, name)})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		buf := make([]float32, 1000)
		if allocs := testing.AllocsPerRun(500, func() { d.ReadSamples(buf) }); allocs != 0 {
			t.Errorf("%s: %v allocations a read", name, allocs)
		}
	}
}
