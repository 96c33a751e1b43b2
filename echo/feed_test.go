package echo

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipe is a source that the test fills, at any time.
type pipe struct {
	in   chan []float32
	stop chan struct{}
	rest []float32
}

func newPipe() *pipe { return &pipe{in: make(chan []float32), stop: make(chan struct{})} }

func (p *pipe) ReadSamples(buf []float32) (int, error) {
	if len(p.rest) == 0 {
		select {
		case more, ok := <-p.in:
			if !ok {
				return 0, io.EOF
			}
			p.rest = more
		case <-p.stop:
			return 0, io.ErrClosedPipe
		}
	}
	n := copy(buf, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// ramp is n samples that count up from a number.
func ramp(from, n int) []float32 {
	samples := make([]float32, n)
	for i := range samples {
		samples[i] = float32(from + i)
	}
	return samples
}

// readAll reads to the end of an utterance.
func readAll(t *testing.T, src interface {
	ReadSamples([]float32) (int, error)
}) []float32 {
	t.Helper()
	var all []float32
	buf := make([]float32, 700)
	for {
		n, err := src.ReadSamples(buf)
		all = append(all, buf[:n]...)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// inFeed runs f in fake time with a feed from a pipe, and closes it.
func inFeed(t *testing.T, options FeedOptions, f func(t *testing.T, p *pipe, feed *Feed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		options.Rate = 1000
		options.Abort = func() { close(p.stop) }
		feed := NewFeed(p, options)
		defer feed.Close()
		f(t, p, feed)
	})
}

func TestFeedIsTransparent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		feed := NewFeed(p, FeedOptions{})
		defer feed.Close()
		go func() {
			for at := 0; at < 100000; at += 777 {
				p.in <- ramp(at, min(777, 100000-at))
			}
			close(p.in)
		}()
		if got := readAll(t, feed); !slices.Equal(got, ramp(0, 100000)) {
			t.Errorf("%d samples came through, or others than went in", len(got))
		}
		if n, err := feed.ReadSamples(make([]float32, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the end: %d, %v", n, err)
		}
	})
}

// The memory of a feed is limited to what it keeps, however much passes through it.
func TestFeedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := NewFeed(&silent{5_000_000, io.EOF}, FeedOptions{Rate: 1000, Keep: time.Second})
		defer feed.Close()
		synctest.Wait()
		if n := feed.kept.end(); n > 500+pumpSamples {
			t.Errorf("%d samples were read ahead", n)
		}
		if n := len(readAll(t, feed)); n != 5_000_000 {
			t.Errorf("%d samples came through", n)
		}
		if n := (len(feed.kept.blocks) + len(feed.kept.spare)) * windowBlock; n > 1500+3*pumpSamples {
			t.Errorf("room for %d samples is held", n)
		}
	})
}

func TestFeedPassesErrorsOn(t *testing.T) {
	broke := errors.New("the disk is gone")
	synctest.Test(t, func(t *testing.T) {
		feed := NewFeed(&silent{50, broke}, FeedOptions{})
		defer feed.Close()
		buf := make([]float32, 100)
		if n, err := feed.ReadSamples(buf); n != 50 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := feed.ReadSamples(buf); n != 0 || err != broke {
			t.Errorf("%d, %v", n, err)
		}
		if _, err := feed.Next(t.Context()); err != broke {
			t.Errorf("Next: %v", err)
		}
	})
}

// An input that pauses ends its utterance; audio after the pause is another utterance.
func TestFeedIdle(t *testing.T) {
	inFeed(t, FeedOptions{Idle: 300 * time.Millisecond}, func(t *testing.T, p *pipe, feed *Feed) {
		go func() {
			time.Sleep(10 * time.Second) // before the first sample nothing is idle
			p.in <- ramp(0, 100)
			time.Sleep(299 * time.Millisecond)
			p.in <- ramp(100, 100)
			time.Sleep(time.Minute)
			p.in <- ramp(200, 5)
			close(p.in)
		}()
		start := time.Now()
		if got := readAll(t, feed); !slices.Equal(got, ramp(0, 200)) ||
			time.Since(start) != 10*time.Second+599*time.Millisecond {
			t.Errorf("the first is %d samples, after %v", len(got), time.Since(start))
		}
		if more, err := feed.Next(t.Context()); !more || err != nil ||
			time.Since(start) != 70*time.Second+299*time.Millisecond {
			t.Errorf("Next: %v, %v after %v", more, err, time.Since(start))
		}
		if begin := feed.Begin(); begin != durationOf(200, feed.options.Rate) {
			t.Errorf("the second begins at %v", begin)
		}
		if got := readAll(t, feed); !slices.Equal(got, ramp(200, 5)) {
			t.Errorf("the second is %v", got)
		}
		if more, err := feed.Next(t.Context()); more || err != nil {
			t.Errorf("Next at the end: %v, %v", more, err)
		}
	})
}

// An input at half the speed of playing.
func TestFeedUnderrunPolicies(t *testing.T) {
	for policy, want := range map[UnderrunPolicy]struct {
		samples int // until the first end
		stats   FeedStats
	}{
		UnderrunWait:    {500, FeedStats{Factor: 0.4 / 0.76, Stalls: 4, StalledSeconds: 0.36}},
		UnderrunSilence: {900, FeedStats{Factor: 0.4 / 0.76, Stalls: 4, SilenceSamples: 400}},
		UnderrunEnd:     {100, FeedStats{Stalls: 1}},
	} {
		t.Run(string(policy), func(t *testing.T) {
			inFeed(t, FeedOptions{OnUnderrun: policy}, func(t *testing.T, p *pipe, feed *Feed) {
				var fed sync.WaitGroup
				defer fed.Wait()
				defer feed.Close()
				fed.Go(func() {
					defer close(p.in)
					for i := range 5 {
						if i > 0 {
							time.Sleep(190 * time.Millisecond)
						}
						select {
						case p.in <- ramp(100*i, 100):
						case <-p.stop:
							return
						}
					}
				})
				got := readAll(t, feed)
				stats := feed.Stats()
				if policy == UnderrunEnd {
					stats.Factor = 0
				}
				if len(got) != want.samples || stats != want.stats {
					t.Errorf("%d samples, %+v, want %d, %+v", len(got), stats, want.samples, want.stats)
				}
			})
		})
	}
}

// A cancelled read loses nothing: after Rewind all of it is read again.
func TestFeedRewind(t *testing.T) {
	inFeed(t, FeedOptions{Keep: time.Second}, func(t *testing.T, p *pipe, feed *Feed) {
		loud := ramp(1, 900)
		clear(loud[380:410]) // the silence
		p.in <- loud
		buf := make([]float32, 900)
		for at := 0; at < 900; {
			n, _ := feed.ReadSamples(buf[at:])
			at += n
		}
		time.AfterFunc(time.Second, feed.Abort)
		start := time.Now()
		if n, err := feed.ReadSamples(buf); n != 0 || !errors.Is(err, errAborted) || time.Since(start) != time.Second {
			t.Errorf("%d, %v after %v", n, err, time.Since(start))
		}
		at, err := feed.Rewind(500)
		if err != nil || at < 385 || at > 405 {
			t.Fatalf("rewound to %d, %v, want the silence from 380 to 410", at, err)
		}
		close(p.in)
		if got := readAll(t, feed); !slices.Equal(got, loud[at:]) {
			t.Errorf("%d samples came again, want %d", len(got), len(loud)-int(at))
		}
		if again, err := feed.Rewind(0); err != nil || again != 0 {
			t.Errorf("to the beginning of the part: %d, %v", again, err)
		}
		if got := readAll(t, feed); !slices.Equal(got, loud[at:]) {
			t.Errorf("from its beginning %d samples came, want %d", len(got), len(loud)-int(at))
		}
	})
	inFeed(t, FeedOptions{Keep: 100 * time.Millisecond}, func(t *testing.T, p *pipe, feed *Feed) {
		go func() {
			for i := range 20 {
				p.in <- ramp(100*i, 100)
			}
			close(p.in)
		}()
		readAll(t, feed)
		if at, err := feed.Rewind(0); err == nil {
			t.Errorf("went back to %d, which is not kept", at)
		}
	})
}

func TestFeedCloses(t *testing.T) {
	inFeed(t, FeedOptions{}, func(t *testing.T, p *pipe, feed *Feed) {
		time.AfterFunc(time.Second, func() { _ = feed.Close() })
		if n, err := feed.ReadSamples(make([]float32, 1)); n != 0 || err == nil {
			t.Errorf("%d, %v", n, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if more, err := feed.Next(ctx); more || err == nil {
			t.Errorf("Next: %v, %v", more, err)
		}
	})
}
