package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"echocast/audio"
	"echocast/chunker"
	"echocast/echo"
)

// Limits of what can be asked for, so that a run ends and its memory is bounded.
const (
	longestBench      = 60.0             // seconds of one case
	longestBenchChunk = 10 * time.Second // of audio
)

// benchChunks and benchRates are measured where nothing else is asked for: each
// length at the rate of the wire, and the usual rates of speech at the default
// length.
var (
	benchChunks = []time.Duration{20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond}
	benchRates  = []int{8000, 16000, 22050, 44100, 48000}
)

// benching is the bench command.
type benching struct {
	streams      Streams
	seconds      float64
	json         bool
	quiet        bool
	memoryBefore int64 // bytes of the process, before any stream

	// together receives in this process too.
	together bool
}

func benchCommand(streams Streams) *cli.Command {
	b := &benching{streams: streams}
	return &cli.Command{
		Name:      "bench",
		Usage:     "measure how fast messages are built on this machine",
		UsageText: "echocast bench [OPTIONS]\n\n   echocast bench\n   echocast bench --chunk 20ms,60ms --rate 44100 --json\n   echocast bench --streams 1,10,50 --seconds 5",
		Description: `Samples in memory are cut into chunks and encoded into messages, on one core,
without a connection. Samples at another rate than 24000 Hz are resampled first.
MB/s counts the samples that go in, as float32. Ctrl-C ends it and shows what
was measured so far.

--streams measures conversations instead: each has a peer connection of its own
on this machine and speaks 20 messages a second, with the usual lead. How late a
message is counts from when it is due to when the connection has accepted it. A
process of its own receives, checks every byte and its order, and counts
underruns. With auto the most streams are found whose messages are no later than
5 ms, 99 of 100, without an underrun.`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "chunk", DefaultText: "20ms,50ms,100ms", Usage: "playing `TIME` of a message; may be given more than once"},
			&cli.IntSliceFlag{Name: "rate", DefaultText: "24000, and the usual rates at 50ms", Usage: "sampling rate of the samples in `HZ`; may be given more than once"},
			&cli.Float64Flag{Name: "seconds", Value: 1, Destination: &b.seconds, Usage: "measure each case for this many `SECONDS`; 5 with --streams"},
			&cli.StringFlag{Name: "streams", Usage: "measure so many conversations at the same time: `N`, or N,N,..., or auto"},
			&cli.BoolFlag{Name: "together", Destination: &b.together, DisableDefaultText: true, Usage: "with --streams: receive in the same process"},
			&cli.BoolFlag{Name: "receive", Hidden: true, Usage: "be the process that receives"},
			&cli.BoolFlag{Name: "json", Destination: &b.json, Usage: "print each result as a JSON line on stdout"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Destination: &b.quiet, Usage: "say nothing but errors"},
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("bench takes no inputs, such as %q", c.Args().First())
			}
			if c.Bool("receive") {
				collect(receiveGarbage)
				return receiveForBench(b.streams)
			}
			if !c.IsSet("streams") && b.together {
				return usagef("--together goes with --streams")
			}
			if !c.IsSet("streams") {
				return b.run(c.Context, c.StringSlice("chunk"), c.IntSlice("rate"))
			}
			if c.IsSet("chunk") || c.IsSet("rate") {
				return usagef("--streams does not go with --chunk and --rate")
			}
			if !c.IsSet("seconds") {
				b.seconds = streamSeconds
			}
			return b.runStreams(c.Context, c.String("streams"))
		},
	}
}

func (b *benching) checkSeconds() error {
	if !(b.seconds > 0 && b.seconds <= longestBench) {
		return usagef("--seconds %g: more than 0, at most %g", b.seconds, longestBench)
	}
	return nil
}

func (b *benching) run(ctx context.Context, chunks []string, rates []int) error {
	if err := b.checkSeconds(); err != nil {
		return err
	}
	cases, err := benchCases(chunks, rates)
	if err != nil {
		return err
	}
	if !b.quiet {
		fmt.Fprintf(b.streams.Err, "echocast: %s, %s, %s/%s, one of %s\n", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, counted(runtime.NumCPU(), "core"))
	}
	results, err := b.measure(ctx, cases)
	if !b.json && len(results) > 0 {
		if _, failed := io.WriteString(b.streams.Out, benchTable(results, lookOf(b.streams.Out))); failed != nil {
			return fmt.Errorf("stdout: %w", failed)
		}
	}
	return err
}

// benchCase is samples at a rate in chunks of a length.
type benchCase struct {
	rate  int
	chunk time.Duration
}

// samples is the length of a chunk at the rate of the wire.
func (c benchCase) samples() int { return int(c.chunk * echo.DefaultRate / time.Second) }

// benchCases is every length at every rate that was asked for.
func benchCases(lengths []string, rates []int) (cases []benchCase, err error) {
	chunks := benchChunks
	if len(lengths) > 0 {
		if chunks, err = parseChunks(lengths); err != nil {
			return nil, err
		}
	}
	usual := len(rates) == 0
	if usual {
		rates = []int{echo.DefaultRate}
	}
	for _, rate := range rates {
		if err := (audio.Format{Rate: rate, Channels: 1}).Check(); err != nil {
			return nil, usagef("--rate %d: at least %d Hz, at most %d Hz", rate, audio.MinRate, audio.MaxRate)
		}
		for _, chunk := range chunks {
			cases = append(cases, benchCase{rate, chunk})
		}
	}
	if usual {
		for _, rate := range benchRates {
			cases = append(cases, benchCase{rate, echo.DefaultChunk})
		}
	}
	return cases, nil
}

func parseChunks(lengths []string) (chunks []time.Duration, err error) {
	for _, length := range lengths {
		chunk, err := time.ParseDuration(strings.TrimSpace(length))
		if err != nil {
			return nil, usagef("--chunk %q: a time has a number and a unit, for example 50ms", length)
		}
		if chunk < time.Millisecond || chunk > longestBenchChunk {
			return nil, usagef("--chunk %v: at least 1ms, at most %v", chunk, longestBenchChunk)
		}
		chunks = append(chunks, chunk)
	}
	return chunks, nil
}

// measure measures one case after the other, until ctx ends: then it returns
// what was measured so far, and the cause.
func (b *benching) measure(ctx context.Context, cases []benchCase) (results []benchResult, err error) {
	progress := b.progressTo()
	defer fmt.Fprint(progress, clearLine)
	for i, c := range cases {
		fmt.Fprintf(progress, "%s%d of %d: %d Hz, %v", clearLine, i+1, len(cases), c.rate, c.chunk)
		result, err := c.measure(ctx, time.Duration(b.seconds*float64(time.Second)))
		if err != nil {
			return results, err
		}
		if result.Messages > 0 {
			results = append(results, result)
			err = b.print(result)
		}
		if err != nil || ctx.Err() != nil {
			return results, cancelled(ctx, err)
		}
	}
	return results, nil
}

// clearLine empties the line of a terminal.
const clearLine = "\r\x1b[K"

// progressTo is the terminal that shows what is being measured, if there is one.
func (b *benching) progressTo() io.Writer {
	if b.quiet || !isTerminal(b.streams.Err) || os.Getenv("TERM") == "dumb" {
		return io.Discard
	}
	return b.streams.Err
}

func (b *benching) print(result benchResult) error {
	if !b.json {
		return nil // the table comes at the end
	}
	line, _ := json.Marshal(result) // numbers always marshal
	if _, err := fmt.Fprintf(b.streams.Out, "%s\n", line); err != nil {
		return stdoutError{err}
	}
	return nil
}

// benchResult is what was measured of one case.
type benchResult struct {
	Rate         int     `json:"rate"` // Hz, of the samples that go in
	Resampled    bool    `json:"resampled"`
	ChunkSeconds float64 `json:"chunk_seconds"`
	MessageBytes int     `json:"message_bytes"`
	Messages     int64   `json:"messages"`
	Seconds      float64 `json:"seconds"` // it took

	MessagesPerSecond     float64 `json:"messages_per_second"`
	MegabytesPerSecond    float64 `json:"megabytes_per_second"` // of float32 samples that go in
	TimesRealTime         float64 `json:"times_real_time"`
	NanosecondsPerMessage float64 `json:"nanoseconds_per_message"`
	AllocationsPerMessage float64 `json:"allocations_per_message"`
}

// measure builds messages for this long, or until ctx ends, and counts.
func (c benchCase) measure(ctx context.Context, atLeast time.Duration) (benchResult, error) {
	build, err := newBuilding(c)
	if err != nil {
		return benchResult{}, err
	}
	defer build.source.Close()
	// Three seconds of audio between two looks at the clock.
	batch := max(1, int64(3*time.Second/c.chunk))
	if err := build.messages(batch); err != nil { // buffers grow to their size
		return benchResult{}, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var messages int64
	begin := time.Now()
	for ctx.Err() == nil && (messages == 0 || time.Since(begin) < atLeast) {
		if err := build.messages(batch); err != nil {
			return benchResult{}, err
		}
		messages += batch
	}
	took := time.Since(begin)
	runtime.ReadMemStats(&after)
	return c.result(messages, took, len(build.message), after.Mallocs-before.Mallocs), nil
}

func (c benchCase) result(messages int64, took time.Duration, size int, allocations uint64) benchResult {
	r := benchResult{
		Rate: c.rate, Resampled: c.rate != echo.DefaultRate, ChunkSeconds: float64(c.samples()) / echo.DefaultRate,
		MessageBytes: size, Messages: messages, Seconds: took.Seconds(),
	}
	if messages == 0 {
		return r
	}
	n, sound := float64(messages), float64(messages)*r.ChunkSeconds
	r.MessagesPerSecond = n / r.Seconds
	r.MegabytesPerSecond = 4 * sound * float64(c.rate) / r.Seconds / 1e6
	r.TimesRealTime = sound / r.Seconds
	r.NanosecondsPerMessage = 1e9 * r.Seconds / n
	r.AllocationsPerMessage = float64(allocations) / n
	return r
}

// building builds the messages of an utterance that never ends.
type building struct {
	source  audio.Resampled
	cutter  *chunker.Chunker
	encoder *echo.Encoder
	message []byte
}

func newBuilding(c benchCase) (*building, error) {
	source, err := audio.Resample(&hum{rate: c.rate, pcm: humSamples()}, echo.DefaultRate)
	if err != nil {
		return nil, err
	}
	encoder, err := echo.NewEncoder(echo.Utterance{ConversationID: "local", InferenceID: echo.NewInferenceID(), Rate: echo.DefaultRate})
	if err != nil {
		return nil, err
	}
	return &building{source: source, cutter: chunker.New(source, c.samples()), encoder: encoder}, nil
}

// messages builds n messages.
func (b *building) messages(n int64) error {
	for range n {
		chunk, err := b.cutter.Next()
		if err != nil {
			return err
		}
		b.message = b.encoder.Append(b.message[:0], chunk.PCM, chunk.Last)
	}
	return nil
}

// hum is a Source without an end: the same samples over and over.
type hum struct {
	rate int
	pcm  []float32
	next int
}

// humSamples are 8 MB, more than a second-level cache holds. Some are beyond
// full scale.
var humSamples = sync.OnceValue(func() []float32 {
	pcm := make([]float32, 2<<20)
	for i := range pcm {
		at := float64(i) / echo.DefaultRate
		pcm[i] = float32((0.55 + 0.46*math.Sin(2*math.Pi*3*at)) * math.Sin(2*math.Pi*170*at))
	}
	return pcm
})

func (h *hum) Format() audio.Format { return audio.Format{Rate: h.rate, Channels: 1} }

func (h *hum) ReadSamples(p []float32) (int, error) {
	n := copy(p, h.pcm[h.next:])
	h.next = (h.next + n) % len(h.pcm)
	return n, nil
}

// look is how a table is drawn.
type look struct {
	bar   int // columns of the bars; 0: none
	color bool
}

// Widths of a table on a terminal.
const (
	benchColumns = 69 // of the figures
	longestBar   = 32
	shortestBar  = 4
)

// lookOf is the plain look, but on a terminal: there bars fill the line, in
// colour unless NO_COLOR is set (https://no-color.org).
func lookOf(stdout io.Writer) look {
	if !isTerminal(stdout) || os.Getenv("TERM") == "dumb" {
		return look{}
	}
	columns, _, err := term.GetSize(int(stdout.(*os.File).Fd()))
	if err != nil || columns == 0 {
		columns = 80
	}
	bar := min(columns-benchColumns-2, longestBar)
	if bar < shortestBar {
		bar = 0
	}
	return look{bar: bar, color: os.Getenv("NO_COLOR") == ""}
}

// benchTable is the results for people. The longest bar is the most times real
// time.
func benchTable(results []benchResult, look look) string {
	most := 0.0
	for _, r := range results {
		most = max(most, r.TimesRealTime)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%9s %8s %11s %7s %11s %9s %8s\n", "input", "message", "messages/s", "MB/s", "x real time", "ns each", "allocs")
	for _, r := range results {
		fmt.Fprintf(&text, "%6d Hz %8v %11.0f %7.0f %11.0f %9.0f %8.2f", r.Rate, time.Duration(r.ChunkSeconds*float64(time.Second)).Round(time.Microsecond),
			r.MessagesPerSecond, r.MegabytesPerSecond, r.TimesRealTime, r.NanosecondsPerMessage, r.AllocationsPerMessage)
		text.WriteString(look.barOf(r.TimesRealTime/most) + "\n")
	}
	return text.String()
}

// barOf is a bar of this part of the longest, in eighths of a column.
func (l look) barOf(part float64) string {
	if l.bar == 0 {
		return ""
	}
	eighths := int(math.Round(part * float64(8*l.bar)))
	bar := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		bar += string(rune('█' + 8 - rest)) // the blocks after it are narrower by an eighth each
	}
	if l.color {
		bar = "\x1b[36m" + bar + "\x1b[0m"
	}
	return "  " + bar
}
