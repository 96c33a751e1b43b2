package echo

import (
	"context"
	"errors"
	"io"
	"testing"
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
		{0, bytes(4096), 50 * ms, 0}, {0, bytes(3434), 50 * ms, 0}, {0, bytes(3433), 49 * ms, 0}, {0, bytes(2000), 27 * ms, 0},
		{0, bytes(1 << 20), 50 * ms, 0}, {60 * ms, bytes(4096), 60 * ms, 0}, {100 * ms, bytes(4096), 0, 60 * ms}, {100 * ms, bytes(8192), 100 * ms, 0},
		{50 * ms, bytes(3433), 0, 49 * ms}, {0, bytes(200), 0, 0}, {ms, bytes(100), 0, 0}, {time.Nanosecond, bytes(4096), 0, 0}, {400 * time.Hour, bytes(4096), 0, 60 * ms},
		{0, Limits{}, 50 * ms, 0}, {10 * time.Second, Limits{}, 10 * time.Second, 0}, {time.Nanosecond, Limits{}, 0, 0},
		{0, Limits{MaxChunk: 20 * ms}, 20 * ms, 0}, {30 * ms, Limits{MaxChunk: 20 * ms}, 0, 20 * ms},
		{0, Limits{Interval: 500 * ms}, time.Second, 0}, {0, Limits{MaxMessage: 1 << 16, Interval: 500 * ms}, time.Second, 0},
		{0, Limits{MaxMessage: 4096, MaxChunk: 10 * ms}, 10 * ms, 0}, {100 * ms, Limits{MaxMessage: 4096, MaxChunk: 10 * ms}, 0, 10 * ms},
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
			t.Errorf("chunk %v, %+v: the longest that fits is given as %v, want %v", c.chunk, c.limits, refused.Longest, c.longest)
		}
	}
}

// plainStage is a room without limits or any other capability.
type plainStage struct{ chunks []int }

func (p *plainStage) Begin(Utterance) error           { return nil }
func (p *plainStage) Interrupt(context.Context) error { return nil }

func (p *plainStage) Speak(_ context.Context, pcm []float32, _ bool) (int, error) {
	p.chunks = append(p.chunks, len(pcm))
	return 2 * len(pcm), nil
}

func (p *plainStage) Next(ctx context.Context) (Event, error) {
	<-ctx.Done()
	return Event{}, context.Cause(ctx)
}

// A room that limits no message takes chunks of any length, and offers nothing
// else.
func TestPlainStage(t *testing.T) {
	stage := &plainStage{}
	session, err := NewSession(stage, &Options{Chunk: time.Second, Pace: Pace{Mode: BurstMode}, SkipReady: true, SkipHeard: true})
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
