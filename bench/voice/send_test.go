package voice

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/memconn"
	"echocast/replica"
)

// spoken is the audio of an utterance, which comes when it comes.
type spoken struct {
	begin    time.Time
	arrivals [pieces]time.Duration
	samples  int // that were read
}

func (s *spoken) Format() audio.Format { return audio.Format{Rate: echo.DefaultRate, Channels: 1} }

func (s *spoken) ReadSamples(p []float32) (int, error) {
	const perPiece = echo.DefaultRate / 10
	if s.samples == pieces*perPiece {
		return 0, io.EOF
	}
	time.Sleep(time.Until(s.begin.Add(s.arrivals[s.samples/perPiece])))
	n := min(len(p), perPiece-s.samples%perPiece)
	clear(p[:n])
	s.samples += n
	return n, nil
}

// underruns speaks utterances of a voice through the stand-in replica, each after some silence,
// and returns in how many of them the replica had an underrun.
func (j jitter) underruns(t *testing.T, utterances int, silence time.Duration) (dry int) {
	ctx, stop := context.WithCancel(t.Context())
	here, there := memconn.Pair()
	var far sync.WaitGroup
	far.Go(func() { _, _ = replica.New(there, nil).Run(ctx) })
	defer far.Wait()
	defer stop()
	session, err := echo.NewSession(echo.NewMessages(here, "c1", 0), &echo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(11, 7))
	for range utterances {
		voice := &spoken{arrivals: j.utterance(random)}
		voice.begin = time.Now()
		time.Sleep(voice.arrivals[0]) // as the command whose first audio is awaited
		feed := echo.NewFeed(audio.Pad(voice, silence, 0), echo.FeedOptions{})
		receipt, err := session.Speak(ctx, echo.Speech{Samples: feed, Abort: feed.Abort})
		_ = feed.Close()
		if err != nil {
			t.Fatal(err)
		}
		if receipt.Underruns > 0 {
			dry++
		}
	}
	return dry
}

// Silence at the beginning, as long as the estimated lead, prevents underruns; without it,
// there are some.
func TestLeadPreventsUnderruns(t *testing.T) {
	j := jitter{"exponential", 1, func(r *rand.Rand) float64 { return 0.080 * r.ExpFloat64() }}
	lead := EstimateLead(j.many(3000, 1)).Seconds
	const utterances = 30
	for _, c := range []struct {
		silence     time.Duration
		least, most int
	}{{time.Duration(lead * float64(time.Second)), 0, 0}, {0, utterances / 2, utterances}} {
		synctest.Test(t, func(t *testing.T) {
			if n := j.underruns(t, utterances, c.silence); n < c.least || n > c.most {
				t.Errorf("after %v of silence the replica ran dry in %d of %d utterances", c.silence, n, utterances)
			}
		})
	}
}
