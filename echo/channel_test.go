package echo_test

import (
	"io"
	"slices"
	"testing"

	"echocast/echo"
)

// Samples arrive in the pieces in which they were sent, or in smaller ones, up to the end of
// the channel.
func TestFromChannel(t *testing.T) {
	samples := make(chan []float32, 3)
	samples <- []float32{1, 2, 3}
	samples <- nil
	samples <- []float32{4}
	close(samples)
	speech := echo.FromChannel(samples)
	var got []float32
	for p := make([]float32, 2); ; {
		n, err := speech.Samples.ReadSamples(p)
		if got = append(got, p[:n]...); err != nil {
			if n != 0 || err != io.EOF {
				t.Errorf("%d samples, %v", n, err)
			}
			break
		}
	}
	if !slices.Equal(got, []float32{1, 2, 3, 4}) {
		t.Error(got)
	}
}

// Abort ends a read that waits, and may be called twice.
func TestFromChannelAborted(t *testing.T) {
	speech := echo.FromChannel(make(chan []float32))
	speech.Abort()
	speech.Abort()
	if _, err := speech.Samples.ReadSamples(make([]float32, 1)); err != io.EOF {
		t.Error(err)
	}
}
