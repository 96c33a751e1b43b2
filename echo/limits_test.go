package echo

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestChunkSamples(t *testing.T) {
	const ms = time.Millisecond
	bytes := func(n int) Limits { return Limits{MaxMessage: n, ConversationID: "c0ffee1234567890a"} }
	for _, c := range []struct {
		chunk   time.Duration
		limits  Limits
		want    time.Duration // 0: refused
		longest time.Duration // in the refusal
	}{
		{0, bytes(4096), 50 * ms, 0}, {0, bytes(3434), 50 * ms, 0}, {0, bytes(3433), 49 * ms, 0},
		{0, bytes(2000), 27 * ms, 0},
		{0, bytes(1 << 20), 50 * ms, 0}, {60 * ms, bytes(4096), 60 * ms, 0}, {100 * ms, bytes(4096), 0, 60 * ms},
		{100 * ms, bytes(8192), 100 * ms, 0},
		{50 * ms, bytes(3433), 0, 49 * ms}, {0, bytes(200), 0, 0}, {ms, bytes(100), 0, 0},
		{time.Nanosecond, bytes(4096), 0, 0}, {400 * time.Hour, bytes(4096), 0, 60 * ms},
		{0, Limits{}, 50 * ms, 0}, {10 * time.Second, Limits{}, 10 * time.Second, 0}, {time.Nanosecond, Limits{}, 0, 0},
		{0, Limits{MaxChunk: 20 * ms}, 20 * ms, 0}, {30 * ms, Limits{MaxChunk: 20 * ms}, 0, 20 * ms},
		{0, Limits{Interval: 500 * ms}, time.Second, 0}, {0, Limits{MaxMessage: 1 << 16, Interval: 500 * ms}, time.Second, 0},
		{0, Limits{MaxMessage: 4096, MaxChunk: 10 * ms}, 10 * ms, 0},
		{100 * ms, Limits{MaxMessage: 4096, MaxChunk: 10 * ms}, 0, 10 * ms},
	} {
		got, err := c.limits.chunkSamples(c.chunk, 24000)
		if want := samplesIn(c.want, 24000); got != want {
			t.Errorf("chunk %v, %+v: %d samples, want %d", c.chunk, c.limits, got, want)
		}
		if (err != nil) != (c.want == 0) {
			t.Errorf("chunk %v, %+v: %v", c.chunk, c.limits, err)
		}
		var refused *ChunkError
		if errors.As(err, &refused) && refused.Longest != c.longest {
			t.Errorf("chunk %v, %+v: the longest that fits is given as %v, want %v", c.chunk, c.limits,
				refused.Longest, c.longest)
		}
	}
}

// plainStage is a room without limits or any other capability.
type plainStage struct {
	chunks []int
	at     []time.Time
}

func (p *plainStage) Begin(Utterance) error           { return nil }
func (p *plainStage) Interrupt(context.Context) error { return nil }

func (p *plainStage) Speak(_ context.Context, pcm []float32, _ bool) (int, error) {
	p.chunks, p.at = append(p.chunks, len(pcm)), append(p.at, time.Now())
	return 2 * len(pcm), nil
}

func (p *plainStage) Next(ctx context.Context) (Event, error) {
	<-ctx.Done()
	return Event{}, context.Cause(ctx)
}

// A room without a message limit takes chunks of any length, and has no other capability.
func TestPlainStage(t *testing.T) {
	stage := &plainStage{}
	session, err := NewSession(stage, &Options{Chunk: time.Second, Pace: Pace{Mode: BurstMode},
		SkipReady: true, SkipHeard: true})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	receipt, err := session.Speak(t.Context(), Speech{Samples: &silent{3 * DefaultRate, io.EOF}})
	if err != nil || receipt.AcknowledgedSamples != -1 || receipt.Clipped != 0 || len(stage.chunks) != 3 {
		t.Errorf("%v, chunks %v, %+v", err, stage.chunks, receipt)
	}
	if err := session.Send(t.Context(), Interrupt{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a message: %v", err)
	}
	if _, err := session.Say(t.Context(), Words("hello")); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a text: %v", err)
	}
}

// limitedStage is a room with limits.
type limitedStage struct {
	plainStage
	limits Limits
}

func (l *limitedStage) Limits() Limits { return l.limits }

// In a room that accepts few messages, speech begins with a short chunk, and the longer chunks
// after it arrive in time.
func TestGrowingChunks(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		limits Limits
		want   []time.Duration
	}{
		"growing": {Limits{MaxMessage: 1 << 16, MaxChunk: time.Second, FirstChunk: 250 * ms},
			[]time.Duration{50 * ms, 50 * ms}},
		"few messages":        {Limits{FirstChunk: 250 * ms, Interval: 500 * ms}, []time.Duration{500 * ms, 1000 * ms}},
		"short, then few":     {Limits{FirstChunk: 200 * ms, Interval: 100 * ms}, []time.Duration{200 * ms, 200 * ms}},
		"all of equal length": {Limits{Interval: 100 * ms}, []time.Duration{200 * ms, 200 * ms}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stage := &limitedStage{limits: c.limits}
				checkGrowth(t, stage, &Options{}, c.want)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		stage := &limitedStage{limits: Limits{FirstChunk: 250 * ms}}
		checkGrowth(t, stage, &Options{Chunk: time.Second}, []time.Duration{250 * ms, 500 * ms, time.Second})
	})
	if _, err := NewSession(&limitedStage{limits: Limits{Interval: 500 * ms}}, &Options{Chunk: 250 * ms}); err == nil {
		t.Error("chunks that play for less than the interval between messages were accepted")
	}
}

// checkGrowth speaks 6 s. The first chunks have these lengths and the others that
// of the last; each leaves before all earlier audio was played, and none too soon
// for the room.
func checkGrowth(t *testing.T, stage *limitedStage, options *Options, want []time.Duration) {
	t.Helper()
	options.SkipReady, options.SkipHeard = true, true
	session, err := NewSession(stage, options)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	receipt, err := session.Speak(t.Context(), Speech{Samples: &silent{6 * DefaultRate, io.EOF}})
	if err != nil || receipt.Samples != 6*DefaultRate || receipt.Underruns != 0 {
		t.Errorf("%v, %+v", err, receipt)
	}
	var position time.Duration
	for i, samples := range stage.chunks {
		got := durationOf(int64(samples), DefaultRate)
		if length := want[min(i, len(want)-1)]; got != length && i < len(stage.chunks)-1 {
			t.Errorf("chunk %d plays for %v, want %v", i, got, length)
		}
		if late := stage.at[i].Sub(stage.at[0]) - position; late > 0 {
			t.Errorf("chunk %d leaves %v after all before it was played", i, late)
		}
		if i > 0 && stage.at[i].Sub(stage.at[i-1]) < stage.limits.Interval {
			t.Errorf("chunk %d leaves %v after the one before", i, stage.at[i].Sub(stage.at[i-1]))
		}
		position += got
	}
}

// discardStage takes all and keeps nothing.
type discardStage struct{ plainStage }

func (*discardStage) Speak(_ context.Context, pcm []float32, _ bool) (int, error) {
	return 2 * len(pcm), nil
}

// A chunk allocates nothing in the session: a hundred times as many chunks cost no more.
func TestSpeakDoesNotAllocateForEachChunk(t *testing.T) {
	session, err := NewSession(&discardStage{}, &Options{Pace: Pace{Mode: BurstMode}, SkipReady: true, SkipHeard: true})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	speak := func(chunks int) float64 {
		source := &silent{err: io.EOF}
		return testing.AllocsPerRun(5, func() {
			source.n = chunks * DefaultRate / 20
			if _, err := session.Speak(t.Context(), Speech{Samples: source}); err != nil {
				t.Error(err)
			}
		})
	}
	few, many := speak(10), speak(1000)
	if many > few+20 { // the runtime's own, now and then
		t.Errorf("%v allocations for 10 chunks, %v for 1000", few, many)
	}
}
