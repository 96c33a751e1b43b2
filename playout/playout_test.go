package playout_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/playout"
)

func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }

var errOver = errors.New("the test is over")

// fakeSpeaker plays what it reads in real time, and knows exactly how much that was.
type fakeSpeaker struct {
	fails error         // what Speak ends with
	waits time.Duration // before it reads
	lags  time.Duration // after it has read all

	mu     sync.Mutex
	played int       // samples of the utterance
	spoken []float64 // seconds of each utterance
}

func (s *fakeSpeaker) Speak(ctx context.Context, speech echo.Speech) (echo.Receipt, error) {
	time.Sleep(s.waits)
	defer time.Sleep(s.lags)
	s.mu.Lock()
	s.played = 0
	s.mu.Unlock()
	r := echo.Receipt{Outcome: echo.Finished, SpokenBy: echo.ByEvent}
	err := s.play(ctx, speech, &r)
	s.mu.Lock()
	defer s.mu.Unlock()
	r.SpokenSeconds = float64(s.played) / echo.DefaultRate
	s.spoken = append(s.spoken, r.SpokenSeconds)
	if err == nil {
		err = s.fails
	}
	if err != nil {
		r.Outcome = echo.Interrupted
	}
	return r, err
}

func (s *fakeSpeaker) play(ctx context.Context, speech echo.Speech, r *echo.Receipt) error {
	p := make([]float32, 480)
	for {
		n, err := speech.Samples.ReadSamples(p)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		r.Chunks++
		select {
		case <-time.After(time.Duration(n) * time.Second / echo.DefaultRate):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		s.mu.Lock()
		s.played += n
		s.mu.Unlock()
	}
}

func (s *fakeSpeaker) Progress() echo.Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return echo.Progress{State: echo.Speaking, Played: time.Duration(s.played) * time.Second / echo.DefaultRate}
}

// record collects the reports of a Player.
type record struct {
	mu    sync.Mutex
	marks []string
	heard []playout.Heard
}

func run(t *testing.T, s *fakeSpeaker, o playout.Options, act func(p *playout.Player, r *record)) *record {
	r := &record{}
	o.OnMark = func(id string, isHeard bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !isHeard {
			id += " dropped"
		}
		r.marks = append(r.marks, id)
	}
	o.OnHeard = func(h playout.Heard) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.heard = append(r.heard, h)
	}
	p, err := playout.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	act(p, r)
	cancel(errOver)
	if err := <-ended; !errors.Is(err, errOver) {
		t.Errorf("Run returned %v", err)
	}
	return r
}

func (r *record) told() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.marks)
}

// An utterance ends at End, at any rate, or else after Idle.
func TestUtterances(t *testing.T) {
	for _, rate := range []int{8000, 16000, 24000, 48000} {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeSpeaker{}
			second := make([]int16, rate)
			r := run(t, s, playout.Options{Rate: rate}, func(p *playout.Player, _ *record) {
				for range 2 {
					_, _ = p.Add(second)
					p.End()
					p.End() // says nothing new
				}
				_, _ = p.Add(second[:rate/2])
				time.Sleep(10 * time.Second)
				p.End() // too late: the utterance has ended
				_, _ = p.Add(second)
				time.Sleep(10 * time.Second)
			})
			if want := []float64{1, 1, 0.5, 1}; !slices.Equal(s.spoken, want) {
				t.Errorf("at %d Hz utterances of %v s were spoken, want %v", rate, s.spoken, want)
			}
			if last := r.heard[len(r.heard)-1]; last.To != int64(rate)*7/2 || last.Heard != last.To {
				t.Errorf("at %d Hz the last was heard as %+v", rate, last)
			}
		})
	}
}

// Audio that breaks ends with the error of Break, after everything that arrived. Audio after
// it is spoken in full.
func TestBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSpeaker{}
		second, cut := make([]int16, 24000), errors.New("cut short")
		r := run(t, s, playout.Options{Rate: 24000, Idle: -1}, func(p *playout.Player, _ *record) {
			p.Break(cut) // there is nothing to break
			_, _ = p.Add(second)
			p.Break(cut)
			_, _ = p.Add(second)
			p.End()
			time.Sleep(10 * time.Second)
		})
		if want := []float64{1, 1}; !slices.Equal(s.spoken, want) || len(r.heard) != 2 {
			t.Fatalf("utterances of %v s were spoken, want %v", s.spoken, want)
		}
		if h := r.heard[0]; !errors.Is(h.Err, cut) || h.IsCleared || h.To != 24000 || h.End != 24000 {
			t.Errorf("the broken one was heard as %+v", h)
		}
		if h := r.heard[1]; h.Err != nil || h.Heard != 48000 {
			t.Errorf("the one after it was heard as %+v", h)
		}
	})
}

// Without Idle, an utterance waits for more audio without a limit.
func TestNoIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSpeaker{}
		run(t, s, playout.Options{Rate: 24000, Idle: -1}, func(p *playout.Player, _ *record) {
			for range 3 {
				_, _ = p.Add(make([]int16, 24000))
				time.Sleep(time.Minute)
			}
			p.End()
			time.Sleep(time.Second)
		})
		if !slices.Equal(s.spoken, []float64{3}) {
			t.Errorf("utterances of %v s were spoken", s.spoken)
		}
	})
}

// Clear reports what it drops in positions of the stream.
func TestClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &fakeSpeaker{}, playout.Options{Rate: 8000}, func(p *playout.Player, r *record) {
			if heard, end, isSpeaking := p.Clear(); heard != 0 || end != 0 || isSpeaking {
				t.Errorf("a clear of nothing returned %d, %d, %t", heard, end, isSpeaking)
			}
			_ = p.Mark("first")
			_, _ = p.Add(make([]int16, 4000))
			_ = p.Mark("half")
			_, _ = p.Add(make([]int16, 12000))
			_ = p.Mark("end")
			time.Sleep(1010 * time.Millisecond)
			if got := r.told(); !slices.Equal(got, []string{"first", "half"}) {
				t.Errorf("the marks %q came", got)
			}
			if _, _, isSpeaking := p.Clear(); !isSpeaking {
				t.Error("the clear says that nothing is spoken")
			}
			if got := r.told(); !slices.Equal(got, []string{"first", "half", "end dropped"}) {
				t.Errorf("the marks %q came", got)
			}
			time.Sleep(time.Second)
		})
		if len(r.heard) != 1 || !r.heard[0].IsCleared || r.heard[0].Heard != 8000 || r.heard[0].End != 16000 {
			t.Errorf("heard %+v", r.heard)
		}
	})
}

// If another participant interrupts an utterance, the audio that had arrived is dropped too.
// If nobody confirms an utterance, it is not.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		err   error
		marks []string
		count int
	}{
		{echo.ErrInterrupted, []string{"b dropped"}, 1},
		{echo.ErrUnverified, []string{"b"}, 2},
		{echo.ErrLost, []string{"b dropped"}, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeSpeaker{fails: c.err}
			r := run(t, s, playout.Options{Rate: 8000}, func(p *playout.Player, _ *record) {
				_, _ = p.Add(make([]int16, 8000))
				p.End()
				_, _ = p.Add(make([]int16, 8000))
				_ = p.Mark("b")
				time.Sleep(5 * time.Second)
			})
			if !slices.Equal(r.marks, c.marks) || len(s.spoken) != c.count {
				t.Errorf("after %v: marks %q, utterances %v", c.err, r.marks, s.spoken)
			}
		})
	}
}

// Run ends when the speaker is gone, and the waiting audio is limited.
func TestBounds(t *testing.T) {
	p, err := playout.New(&fakeSpeaker{fails: echo.ErrClosed}, playout.Options{Rate: 8000, Limit: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Add(make([]int16, 8001)); !errors.Is(err, playout.ErrFull) {
		t.Errorf("more than the limit: %v", err)
	}
	if end, err := p.Add(make([]int16, 100)); err != nil || end != 100 {
		t.Errorf("added to %d: %v", end, err)
	}
	p.End()
	if err := p.Run(t.Context()); !errors.Is(err, echo.ErrClosed) {
		t.Errorf("Run returned %v", err)
	}
	if lost, err := playout.New(gone{}, playout.Options{Rate: 8000}); err != nil {
		t.Error(err)
	} else if _, err := lost.Add(make([]int16, 100)); err != nil {
		t.Error(err)
	} else if err := lost.Run(t.Context()); !errors.Is(err, echo.ErrLost) {
		t.Errorf("Run returned %v", err)
	}
	_, _ = p.Add(make([]int16, 100))
	if err := p.Drain(t.Context()); err != nil { // nobody speaks it any more
		t.Error(err)
	}
	if _, err := playout.New(&fakeSpeaker{}, playout.Options{}); err == nil {
		t.Error("a rate of 0 Hz was taken")
	}
}

// Marks that wait take a limited amount of memory, and passed ones none.
func TestMarksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &fakeSpeaker{}, playout.Options{Rate: 8000}, func(p *playout.Player, r *record) {
			for range 2 {
				_, _ = p.Add(make([]int16, 800))
				var err error
				n := 0
				for long := strings.Repeat("x", 1<<20); err == nil && n < 100; n++ {
					err = p.Mark(long)
				}
				if !errors.Is(err, playout.ErrMarks) || n < 2 {
					t.Fatalf("after %d marks of a MiB: %v", n, err)
				}
				time.Sleep(time.Second)
			}
		})
		if len(r.marks) != 6 {
			t.Errorf("%d marks were passed", len(r.marks))
		}
	})
}

// gone is a speaker in a room that was lost before anything was sent.
type gone struct{}

func (gone) Speak(context.Context, echo.Speech) (echo.Receipt, error) {
	return echo.Receipt{Outcome: echo.Failed}, echo.ErrLost
}

func (gone) Progress() echo.Progress { return echo.Progress{} }

// An utterance that waits for its turn does not count as heard, whatever the one before has
// played. Ending an utterance that was already read ends no other.
func TestWaitingUtteranceIsNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSpeaker{waits: time.Second, lags: time.Second}
		run(t, s, playout.Options{Rate: 24000}, func(p *playout.Player, r *record) {
			_, _ = p.Add(make([]int16, 24000))
			time.Sleep(2500 * time.Millisecond) // it is read, and Speak has not returned
			p.End()
			_, _ = p.Add(make([]int16, 12000))
			_ = p.Mark("half")
			time.Sleep(time.Second) // the second waits for its turn
			if got := r.told(); len(got) != 0 {
				t.Errorf("the marks %q came", got)
			}
			time.Sleep(10 * time.Second)
			if got := r.told(); !slices.Equal(got, []string{"half"}) {
				t.Errorf("the marks %q came", got)
			}
		})
		if want := []float64{1, 0.5}; !slices.Equal(s.spoken, want) {
			t.Errorf("utterances of %v s were spoken, want %v", s.spoken, want)
		}
	})
}
