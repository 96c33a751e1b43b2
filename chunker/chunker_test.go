package chunker_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"echocast/chunker"
)

// ramp delivers the samples 1, 2, 3 … n, at most step at a time, and then err.
type ramp struct {
	n, step, at int
	err         error
}

func (r *ramp) ReadSamples(p []float32) (int, error) {
	if r.at == r.n {
		return 0, r.err
	}
	n := min(len(p), r.step, r.n-r.at)
	for i := range p[:n] {
		r.at++
		p[i] = float32(r.at)
	}
	return n, nil
}

func samples(n int) []float32 {
	all := make([]float32, n)
	for i := range all {
		all[i] = float32(i + 1)
	}
	return all
}

func TestEveryBoundary(t *testing.T) {
	const size = 10
	for _, n := range []int{0, 1, size - 1, size, size + 1, 2*size - 1, 2 * size, 2*size + 1, 2*size + 7, 100*size + 3} {
		for _, step := range []int{1, 7, size - 1, size, size + 1, 1000} {
			t.Run(fmt.Sprintf("%d samples by %d", n, step), func(t *testing.T) {
				checkAll(t, chunker.New(&ramp{n: n, step: step, err: io.EOF}, size), n, size)
			})
		}
	}
}

func checkAll(t *testing.T, c *chunker.Chunker, n, size int) {
	t.Helper()
	var got []float32
	chunks, last := 0, 0
	for chunk, err := range c.All() {
		if err != nil {
			t.Fatal(err)
		}
		chunks++
		if chunk.Last {
			last++
		}
		if len(chunk.PCM) == 0 || len(chunk.PCM) > size || (!chunk.Last && len(chunk.PCM) != size) {
			t.Errorf("chunk %d has %d samples, last %v", chunks, len(chunk.PCM), chunk.Last)
		}
		got = append(got, chunk.PCM...)
		if last > 0 && len(got) != n {
			t.Errorf("chunk %d is marked last after %d of %d samples", chunks, len(got), n)
		}
	}
	if !slices.Equal(got, samples(n)) {
		t.Errorf("got %d samples that are not the %d put in", len(got), n)
	}
	if want := min(n, 1); last != want {
		t.Errorf("%d chunks are marked last, want %d", last, want)
	}
	if want := (n + size - 1) / size; chunks != want {
		t.Errorf("%d chunks, want %d", chunks, want)
	}
	for range 2 {
		if _, err := c.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %v, want io.EOF", err)
		}
	}
}

// A full chunk waits for at most one more sample, so that live audio is passed on as it
// arrives.
func TestWaitsForOneSampleMore(t *testing.T) {
	src := &ramp{n: 100, step: 1, err: io.EOF}
	c := chunker.New(src, 10)
	for want := 11; want <= 91; want += 10 {
		if _, err := c.Next(); err != nil {
			t.Fatal(err)
		}
		if src.at != want {
			t.Fatalf("took %d samples for a chunk that is known after %d", src.at, want)
		}
	}
}

func TestErrorIsNotEnd(t *testing.T) {
	broken := errors.New("the pipe broke")
	for _, n := range []int{0, 1, 9, 10, 11, 25} {
		c := chunker.New(&ramp{n: n, step: 3, err: broken}, 10)
		got := 0
		var last error
		for chunk, err := range c.All() {
			if chunk.Last {
				t.Errorf("%d samples: a chunk is marked last although the source broke", n)
			}
			got, last = got+len(chunk.PCM), err
		}
		if !errors.Is(last, broken) {
			t.Errorf("%d samples: ended with %v, want %v", n, last, broken)
		}
		if want := max(n-1, 0) / 10 * 10; got != want {
			t.Errorf("%d samples: %d handed out before the break, want %d", n, got, want)
		}
		if _, err := c.Next(); !errors.Is(err, broken) {
			t.Errorf("%d samples: the error did not stay: %v", n, err)
		}
	}
}

// An error that only wraps io.EOF is not an end either.
func TestWrappedEOFIsNotEnd(t *testing.T) {
	for chunk, err := range chunker.New(&ramp{n: 5, step: 5, err: fmt.Errorf("reset: %w", io.EOF)}, 10).All() {
		if chunk.Last || err == nil {
			t.Errorf("%+v, %v; want the error and no end", chunk, err)
		}
	}
}

func TestBreakStopsReading(t *testing.T) {
	src := &ramp{n: 1000, step: 1000, err: io.EOF}
	for range chunker.New(src, 10).All() {
		break
	}
	if src.at != 11 {
		t.Errorf("read %d samples for one chunk of 10", src.at)
	}
}

func TestSizeMustBePositive(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a chunk size of 0 was accepted")
		}
	}()
	chunker.New(&ramp{}, 0)
}

// The chunker allocates nothing per chunk, since every sample passes through it.
func TestAllocatesNothing(t *testing.T) {
	c := chunker.New(&ramp{n: 1 << 30, step: 480}, 1200)
	if allocs := testing.AllocsPerRun(100, func() { _, _ = c.Next() }); allocs != 0 {
		t.Errorf("%v allocations a chunk, want 0", allocs)
	}
}

func ExampleChunker_All() {
	for chunk, err := range chunker.New(&ramp{n: 5, step: 5, err: io.EOF}, 2).All() {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(chunk.PCM, chunk.Last)
	}
	// Output:
	// [1 2] false
	// [3 4] false
	// [5] true
}

// Growing chunks lose and repeat no sample, wherever the stream ends.
func TestGrowingChunks(t *testing.T) {
	want := []int{3, 6, 12, 20, 20}
	for n := 1; n <= 61; n++ {
		for _, step := range []int{1, 7, 1000} {
			var got []float32
			var sizes []int
			for chunk, err := range chunker.NewGrowing(&ramp{n: n, step: step, err: io.EOF}, 3, 20).All() {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, chunk.PCM...)
				if sizes = append(sizes, len(chunk.PCM)); chunk.Last != (len(got) == n) {
					t.Fatalf("%d samples by %d: chunk %d says last: %v", n, step, len(sizes), chunk.Last)
				}
			}
			if !slices.Equal(got, samples(n)) {
				t.Fatalf("%d samples by %d became %v", n, step, got)
			}
			if full := len(sizes) - 1; !slices.Equal(sizes[:full], want[:full]) {
				t.Fatalf("%d samples by %d: chunks of %v", n, step, sizes)
			}
		}
	}
}
