// Package audiotest checks that an audio.Source keeps its contract. A new decoder that passes
// is safe to use.
package audiotest

import (
	"errors"
	"io"
	"math"
	"slices"
	"testing"

	"echocast/audio"
)

// ReadSizes are the buffer sizes, in frames, that TestSource reads with.
var ReadSizes = []int{1, 2, 7, 160, 1151, 1152, 4096, 65536}

// TestSource opens a new Source for each of ReadSizes. It fails t if a Source breaks the
// contract of audio.Source, or if its samples differ from want. If want is nil, the first
// read size may deliver any samples, and all others must deliver the same.
func TestSource(t *testing.T, open func() (audio.Source, error), want []float32) {
	t.Helper()
	for _, frames := range ReadSizes {
		src, err := open()
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		got, err := collect(t, src, frames)
		if c, ok := src.(io.Closer); ok {
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if !errors.Is(err, io.EOF) {
			t.Fatalf("read by %d frames: ended with %v, want io.EOF", frames, err)
		}
		if want == nil {
			want = got
			continue
		}
		equal(t, frames, got, want)
	}
}

// TestBroken reads a Source that breaks with cause. The samples before the break must be a
// prefix of want, and the error must wrap cause and be returned by every later read.
func TestBroken(t *testing.T, src audio.Source, want []float32, cause error) {
	t.Helper()
	got, err := collect(t, src, 480)
	if !errors.Is(err, cause) {
		t.Fatalf("ended with %v, want an error that wraps %v", err, cause)
	}
	if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
		t.Errorf("the %d samples before the break are not a prefix of the %d wanted", len(got), len(want))
	}
}

// Collect reads src to its end and returns the samples.
func Collect(src audio.Source) ([]float32, error) {
	var all []float32
	buf := make([]float32, 4096*src.Format().Channels)
	for {
		n, err := src.ReadSamples(buf)
		all = append(all, buf[:n]...)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return all, err
		}
	}
}

const canary = 12345.5 // no sample has this value: it shows writes beyond n

func collect(t *testing.T, src audio.Source, frames int) ([]float32, error) {
	t.Helper()
	format := src.Format()
	if err := format.Check(); err != nil {
		t.Fatalf("format: %v", err)
	}
	var all []float32
	buf := make([]float32, frames*format.Channels+format.Channels)
	p := buf[: frames*format.Channels : frames*format.Channels]
	for {
		for i := range buf {
			buf[i] = canary
		}
		n, err := src.ReadSamples(p)
		checkRead(t, buf, n, len(p), format.Channels, err)
		all = append(all, buf[:n]...)
		if got := src.Format(); got != format {
			t.Fatalf("the format changed from %v to %v", format, got)
		}
		if err == nil {
			continue
		}
		for range 3 {
			if n, again := src.ReadSamples(p); n != 0 || !errors.Is(again, err) {
				t.Fatalf("after %v a read gave %d samples and %v: an error must stay", err, n, again)
			}
		}
		return all, err
	}
}

func checkRead(t *testing.T, buf []float32, n, room, channels int, err error) {
	t.Helper()
	switch {
	case n < 0 || n > room:
		t.Fatalf("read %d samples into room for %d", n, room)
	case n > 0 && err != nil:
		t.Fatalf("read %d samples together with error %v", n, err)
	case n == 0 && err == nil:
		t.Fatal("read nothing and no error")
	case n%channels != 0:
		t.Fatalf("read %d samples, not a whole number of %d-channel frames", n, channels)
	}
	for i, v := range buf[:n] {
		if v == canary || math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			t.Fatalf("sample %d of %d was left unset or is not finite: %v", i, n, v)
		}
	}
	for i := room; i < len(buf); i++ {
		if buf[i] != canary {
			t.Fatalf("wrote beyond the buffer at sample %d", i)
		}
	}
}

func equal(t *testing.T, frames int, got, want []float32) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("read by %d frames: sample %d is %v, want %v", frames, i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("read by %d frames: %d samples, want %d", frames, len(got), len(want))
	}
}
