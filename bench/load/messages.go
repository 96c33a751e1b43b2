// Package load measures the capacity of this machine: how fast it builds messages, and how
// many conversations it handles at the same time.
package load

import (
	"cmp"
	"context"
	"math"
	"runtime"
	"sync"
	"time"

	"echocast/audio"
	"echocast/chunker"
	"echocast/echo"
	"echocast/internal/terminal"
)

// Case is a benchmark case: a sampling rate and a chunk length.
type Case struct {
	Rate  int // Hz
	Chunk time.Duration
}

// samples returns the length of a chunk in samples at echo.DefaultRate.
func (c Case) samples() int { return int(c.Chunk * echo.DefaultRate / time.Second) }

// CaseResult is the speed of one case.
type CaseResult struct {
	Rate         int     `json:"rate"` // Hz, of the input samples
	Resampled    bool    `json:"resampled"`
	ChunkSeconds float64 `json:"chunk_seconds"`
	MessageBytes int     `json:"message_bytes"`
	Messages     int64   `json:"messages"`
	Seconds      float64 `json:"seconds"` // duration of the measurement

	MessagesPerSecond     float64 `json:"messages_per_second"`
	MegabytesPerSecond    float64 `json:"megabytes_per_second"` // of float32 input samples
	TimesRealTime         float64 `json:"times_real_time"`
	NanosecondsPerMessage float64 `json:"nanoseconds_per_message"`
	AllocationsPerMessage float64 `json:"allocations_per_message"`
}

// Measure builds messages on one core for at least this time, or until ctx ends.
func (c Case) Measure(ctx context.Context, atLeast time.Duration) (CaseResult, error) {
	build, err := newBuilder(c)
	if err != nil {
		return CaseResult{}, err
	}
	defer build.source.Close()
	// Check the clock only after every three seconds of audio.
	batch := max(1, int64(3*time.Second/c.Chunk))
	if err := build.messages(batch); err != nil { // lets buffers grow to their size
		return CaseResult{}, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var messages int64
	begin := time.Now()
	for ctx.Err() == nil && (messages == 0 || time.Since(begin) < atLeast) {
		if err := build.messages(batch); err != nil {
			return CaseResult{}, err
		}
		messages += batch
	}
	took := time.Since(begin)
	runtime.ReadMemStats(&after)
	return c.result(messages, took, len(build.message), after.Mallocs-before.Mallocs), nil
}

// MeasureAll measures one case after the other, each for at least this time. It passes each
// result to report. If report fails or ctx ends, it returns the results so far, and the
// error or the cause.
func MeasureAll(ctx context.Context, cases []Case, atLeast time.Duration, progress *terminal.Progress,
	report func(CaseResult) error) (results []CaseResult, err error) {
	defer progress.Clear()
	for i, c := range cases {
		progress.Show("%d of %d: %d Hz, %v", i+1, len(cases), c.Rate, c.Chunk)
		result, err := c.Measure(ctx, atLeast)
		if err != nil {
			return results, err
		}
		if result.Messages > 0 {
			results = append(results, result)
			err = report(result)
		}
		if err != nil || ctx.Err() != nil {
			return results, cmp.Or(context.Cause(ctx), err)
		}
	}
	return results, nil
}

func (c Case) result(messages int64, took time.Duration, size int, allocations uint64) CaseResult {
	r := CaseResult{
		Rate: c.Rate, Resampled: c.Rate != echo.DefaultRate, ChunkSeconds: float64(c.samples()) / echo.DefaultRate,
		MessageBytes: size, Messages: messages, Seconds: took.Seconds(),
	}
	if messages == 0 {
		return r
	}
	n, sound := float64(messages), float64(messages)*r.ChunkSeconds
	r.MessagesPerSecond = n / r.Seconds
	r.MegabytesPerSecond = 4 * sound * float64(c.Rate) / r.Seconds / 1e6
	r.TimesRealTime = sound / r.Seconds
	r.NanosecondsPerMessage = 1e9 * r.Seconds / n
	r.AllocationsPerMessage = float64(allocations) / n
	return r
}

// builder builds the messages of an endless utterance.
type builder struct {
	source  audio.Resampled
	chunker *chunker.Chunker
	encoder *echo.Encoder
	message []byte
}

func newBuilder(c Case) (*builder, error) {
	source, err := audio.Resample(&tone{rate: c.Rate, pcm: toneSamples()}, echo.DefaultRate)
	if err != nil {
		return nil, err
	}
	encoder, err := echo.NewEncoder(echo.Utterance{ConversationID: "local", InferenceID: echo.NewInferenceID(),
		Rate: echo.DefaultRate})
	if err != nil {
		return nil, err
	}
	return &builder{source: source, chunker: chunker.New(source, c.samples()), encoder: encoder}, nil
}

// messages builds n messages.
func (b *builder) messages(n int64) error {
	for range n {
		chunk, err := b.chunker.Next()
		if err != nil {
			return err
		}
		b.message = b.encoder.Append(b.message[:0], chunk.PCM, chunk.Last)
	}
	return nil
}

// tone is an endless Source that repeats the same samples.
type tone struct {
	rate int
	pcm  []float32
	next int
}

// toneSamples are 8 MB, more than a second-level cache holds. Some samples are beyond full
// scale.
var toneSamples = sync.OnceValue(func() []float32 {
	pcm := make([]float32, 2<<20)
	for i := range pcm {
		at := float64(i) / echo.DefaultRate
		pcm[i] = float32((0.55 + 0.46*math.Sin(2*math.Pi*3*at)) * math.Sin(2*math.Pi*170*at))
	}
	return pcm
})

func (t *tone) Format() audio.Format { return audio.Format{Rate: t.rate, Channels: 1} }

func (t *tone) ReadSamples(p []float32) (int, error) {
	n := copy(p, t.pcm[t.next:])
	t.next = (t.next + n) % len(t.pcm)
	return n, nil
}
