package echo

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

const (
	testRate  = 24000
	testChunk = 1200 // 50 ms
)

// paced runs a pacer over n chunks in fake time. before is called ahead of each
// chunk and may let time pass, as an input that stalls does. It returns when
// each chunk was released, since the first.
func paced(t *testing.T, pace Pace, n int, before func(i int)) (at []time.Duration) {
	t.Helper()
	p, err := NewPacer(pace, testRate, testChunk)
	if err != nil {
		t.Fatal(err)
	}
	var start time.Time
	for i := range n {
		before(i)
		if err := p.Wait(t.Context(), int64(i*testChunk)); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			start = time.Now()
		}
		at = append(at, time.Since(start))
	}
	return at
}

func nothing(int) {}

func chunkTime(i int) time.Duration { return time.Duration(i) * 50 * time.Millisecond }

func TestRealTimeSendsWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := paced(t, Pace{Mode: RealTimeMode}, 12000, nothing)
		for i, got := range at {
			if got != chunkTime(i) {
				t.Fatalf("chunk %d left at %v, want %v", i, got, chunkTime(i))
			}
		}
	})
}

// The lead builds up at twice real time, and then stays.
func TestLeadBuildsUpAtTwiceRealTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := paced(t, Pace{}, 12000, nothing)
		for i, got := range at {
			if want := max(chunkTime(i)/2, chunkTime(i)-time.Second); got != want {
				t.Fatalf("chunk %d left at %v, want %v", i, got, want)
			}
		}
	})
}

// With ten minutes of audio and a stall of 350 ms every ten seconds, a ticker would end 12 s
// late; the schedule ends in time.
func TestStallsWithinTheLeadDoNotAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 12000
		at := paced(t, Pace{}, n, func(i int) {
			if i%200 == 199 {
				time.Sleep(350 * time.Millisecond)
			}
		})
		if want := chunkTime(n-1) - time.Second; at[n-2] != want-50*time.Millisecond {
			t.Errorf("the last but one chunk left at %v, want %v: drift", at[n-2], want-50*time.Millisecond)
		}
		for i := 1; i < n; i++ {
			if gap := at[i] - at[i-1]; gap < 0 || gap > 350*time.Millisecond {
				t.Fatalf("chunk %d left %v after the one before", i, gap)
			}
		}
	})
}

// A stall of the input longer than the lead is heard as silence. The schedule is re-based, and
// the lead builds up again.
func TestLongStallRebasesTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stall = 5 * time.Second
		at := paced(t, Pace{}, 1000, func(i int) {
			if i == 500 {
				time.Sleep(stall)
			}
		})
		restart := at[499] + stall
		for i := 500; i < 1000; i++ {
			since := chunkTime(i - 500)
			want := restart + max(since/2, since-time.Second)
			if early := want - at[i]; early < 0 || early > 25*time.Millisecond { // one message may be late and catch up
				t.Fatalf("chunk %d left at %v, want %v", i, at[i], want)
			}
		}
	})
}

// Live input arrives in real time with jitter. The jitter must not accumulate, and no audio is
// held back.
func TestLiveInputJitterDoesNotAccumulate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		jitter := []time.Duration{0, 30, 5, 40, 0, 20} // ms
		at := paced(t, Pace{}, 1200, func(i int) {
			time.Sleep(time.Until(start.Add(chunkTime(i) + jitter[i%len(jitter)]*time.Millisecond)))
		})
		for i, got := range at {
			if want := chunkTime(i) + jitter[i%len(jitter)]*time.Millisecond; got < want || got > want+25*time.Millisecond {
				t.Fatalf("chunk %d arrived at %v and left at %v", i, want, got)
			}
		}
	})
}

func TestBurstDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := paced(t, Pace{Mode: BurstMode}, 1000, nothing)
		if at[999] != 0 {
			t.Errorf("a burst took %v", at[999])
		}
	})
}

func TestMaxRateHolds(t *testing.T) {
	for _, pace := range []Pace{{MaxRate: 25}, {MaxRate: 20}, {Mode: BurstMode, MaxRate: 50},
		{Mode: RealTimeMode, MaxRate: 30}} {
		synctest.Test(t, func(t *testing.T) {
			at := paced(t, pace, 2000, func(i int) {
				if i == 700 {
					time.Sleep(900 * time.Millisecond)
				}
			})
			const window = 100
			for i := window; i < len(at); i++ {
				// In any window at most one message more than the rate allows.
				if took, least := at[i]-at[i-window],
					time.Duration(float64(window-1)/pace.MaxRate*float64(time.Second))-time.Microsecond; took < least {
					t.Fatalf("%+v: messages %d to %d left within %v, at least %v are allowed", pace, i-window, i, took, least)
				}
			}
		})
	}
}

func TestPacerRefuses(t *testing.T) {
	for _, pace := range []Pace{{MaxRate: 19.9}, {MaxRate: -1}, {MaxRate: math.NaN()}, {Mode: "slow"},
		{Lead: -time.Second}, {Mode: BurstMode, MaxRate: 5}} {
		if _, err := NewPacer(pace, testRate, testChunk); err == nil {
			t.Errorf("%+v was accepted", pace)
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		p, err := NewPacer(Pace{Mode: RealTimeMode}, testRate, testChunk)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(ctx, 0); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { cancel(why) })
		if err := p.Wait(ctx, 10*testRate); !errors.Is(err, why) {
			t.Errorf("got %v, want %v", err, why)
		}
		if err := p.Wait(ctx, 0); !errors.Is(err, why) {
			t.Errorf("a wait with nothing to wait for gave %v, want %v", err, why)
		}
	})
}
