package echo

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"echocast/internal/sleep"
)

// playingStage is a stage that plays the audio itself, from its first chunk on.
type playingStage struct {
	*Messages
	rate  int
	until time.Time // when it is through
	fail  error
}

func (d *playingStage) Speak(ctx context.Context, pcm []float32, last bool) (int, error) {
	if d.until.Before(time.Now()) {
		d.until = time.Now()
	}
	d.until = d.until.Add(durationOf(int64(len(pcm)), d.rate))
	return d.Messages.Speak(ctx, pcm, last)
}

func (d *playingStage) Played(ctx context.Context) error {
	if d.fail != nil {
		return d.fail
	}
	return sleep.For(ctx, time.Until(d.until))
}

// withPlayingStage runs f in a bubble of synctest, with a session on a playingStage.
func withPlayingStage(t *testing.T, options *Options, f func(t *testing.T, r *room, d *playingStage, s *Session)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom()
		d := &playingStage{Messages: NewMessages(r, "c1", 0), rate: testRate}
		s, err := NewSession(d, options)
		if err != nil {
			t.Fatal(err)
		}
		r.join()
		f(t, r, d, s)
		_ = s.Close()
		r.hangUp()
	})
}

// If a replica never sends events, the wait for its end is as short as possible.
func TestPlayerStage(t *testing.T) {
	for _, skip := range []bool{false, true} {
		options := &Options{Rate: testRate, SkipHeard: skip}
		withPlayingStage(t, options, func(t *testing.T, _ *room, _ *playingStage, s *Session) {
			began := time.Now()
			receipt, err := s.Speak(t.Context(), Speech{Samples: silence(3)})
			took, want := time.Since(began), 3*time.Second
			if !skip {
				want += firstEventTime
			}
			if err != nil || receipt.Outcome != Sent || receipt.SpokenBy != ByClock || receipt.SpokenSeconds < 2.9 ||
				receipt.HeardSamples != receipt.Samples || (took-want).Abs() > time.Millisecond {
				t.Errorf("%v after %v, not %v: %+v", err, took, want, receipt)
			}
		})
	}
}

func TestPlayerStageWithEvents(t *testing.T) {
	withPlayingStage(t, &Options{Rate: testRate}, func(t *testing.T, r *room, _ *playingStage, s *Session) {
		go func() {
			time.Sleep(500 * time.Millisecond)
			r.started("theirs")
			time.Sleep(3500 * time.Millisecond) // it is behind
			r.stopped("theirs", 3, false)
		}()
		began := time.Now()
		receipt, err := s.Speak(t.Context(), Speech{Samples: silence(3)})
		if err != nil || receipt.Outcome != Finished || receipt.SpokenBy != ByEvent ||
			(time.Since(began)-4*time.Second).Abs() > time.Millisecond {
			t.Errorf("%v after %v: %+v", err, time.Since(began), receipt)
		}
	})
}

func TestPlayerStageFails(t *testing.T) {
	withPlayingStage(t, &Options{Rate: testRate}, func(t *testing.T, _ *room, d *playingStage, s *Session) {
		d.fail = lostBy(errors.New("broken"))
		receipt, err := s.Speak(t.Context(), Speech{Samples: silence(1)})
		if !errors.Is(err, ErrLost) || receipt.Outcome != Failed {
			t.Errorf("%v: %+v", err, receipt)
		}
	})
}

// An interrupt does not wait for events of a replica that sends none.
func TestPlayerStageInterrupted(t *testing.T) {
	withPlayingStage(t, &Options{Rate: testRate}, func(t *testing.T, r *room, _ *playingStage, s *Session) {
		go func() {
			time.Sleep(time.Second)
			_ = s.Interrupt(t.Context(), nil)
		}()
		began := time.Now()
		receipt, err := s.Speak(t.Context(), Speech{Samples: silence(10)})
		if !errors.Is(err, ErrStopped) || receipt.Outcome != Interrupted ||
			(time.Since(began)-time.Second).Abs() > time.Millisecond {
			t.Errorf("%v after %v: %+v", err, time.Since(began), receipt)
		}
		messages := r.messages()
		if last := messages[len(messages)-1]; !last.interrupts() {
			t.Errorf("the last message is %+v", last)
		}
	})
}
