package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"echocast/echo"
	"echocast/rtc"
)

// What bench --streams asks for and calls good enough.
const (
	streamSeconds  = 5.0 // where nothing else is asked for
	mostStreams    = 2000
	firstFound     = 50              // streams that auto begins with
	connectAtOnce  = 8               // connections that are made at the same time
	sendGarbage    = 60              // GOGC: with the program's usual one, a third of the time goes to the collector
	receiveGarbage = 200             // the memory of the receiving process is not measured
	streamsBegin   = 2 * time.Second // all begin in this time, as conversations do not begin together
	streamsAuto    = "auto"
	streamLateness = 5 * time.Millisecond
)

// streamsResult is what so many streams at the same time came to.
type streamsResult struct {
	Streams          int     `json:"streams"`
	Seconds          float64 `json:"seconds"`
	Messages         int     `json:"messages"`
	LateP50          float64 `json:"late_p50_seconds"` // from due to accepted
	LateP99          float64 `json:"late_p99_seconds"`
	LateMost         float64 `json:"late_most_seconds"`
	Underruns        int     `json:"underruns"`
	Wrong            int     `json:"wrong"`    // streams that did not arrive as they were sent
	SendCPU          float64 `json:"send_cpu"` // cores
	ReceiveCPU       float64 `json:"receive_cpu"`
	SendMemory       int64   `json:"send_bytes_per_stream"`
	Good             bool    `json:"good"`
	ReceivedTogether bool    `json:"together,omitempty"`
}

// parseStreams is the counts to measure; auto is none.
func parseStreams(text string) (counts []int, err error) {
	if text == streamsAuto {
		return nil, nil
	}
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 || n > mostStreams {
			return nil, usagef("--streams %q: numbers from 1 to %d with commas between them, or %s", text, mostStreams, streamsAuto)
		}
		counts = append(counts, n)
	}
	return counts, nil
}

// runStreams measures what so many conversations at the same time come to, or
// finds out how many this machine holds.
func (b *benching) runStreams(ctx context.Context, text string) error {
	counts, err := parseStreams(text)
	if err != nil {
		return err
	}
	if err := b.checkSeconds(); err != nil {
		return err
	}
	if !b.quiet {
		fmt.Fprintf(b.streams.Err, "echocast: %s, %s, %s/%s, %s\n", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, counted(runtime.NumCPU(), "core"))
	}
	if !b.json {
		if _, err := io.WriteString(b.streams.Out, streamsHead); err != nil {
			return stdoutError{err}
		}
	}
	collect(sendGarbage)
	if err := b.warmUp(ctx); err != nil {
		return cancelled(ctx, err)
	}
	measure := func(n int) (bool, error) {
		result, err := b.streamsOf(ctx, n)
		debug.FreeOSMemory() // or the next would get it for nothing
		if err != nil {
			return false, err
		}
		return result.Good, b.printStreams(result)
	}
	if counts == nil {
		most, err := mostGood(measure)
		if err == nil && !b.quiet {
			fmt.Fprintf(b.streams.Err, "echocast: this machine holds %s with 99 of 100 messages no later than %v and no underrun\n", counted(most, "stream"), streamLateness)
		}
		return cancelled(ctx, err)
	}
	for _, n := range counts {
		if _, err := measure(n); err != nil {
			return cancelled(ctx, err)
		}
	}
	return nil
}

// mostGood finds by bisection the most streams that are good, to a twentieth.
func mostGood(good func(n int) (bool, error)) (int, error) {
	low, high := 0, mostStreams+1
	for next := firstFound; ; {
		ok, err := good(next)
		if err != nil {
			return low, err
		}
		if ok {
			low = next
		} else {
			high = next
		}
		if high-low <= max(1, high/20) || low == mostStreams {
			return low, nil
		}
		next = (low + high) / 2
		if high > mostStreams {
			next = min(2*low, mostStreams)
		}
	}
}

const streamsHead = "streams messages  late p50       p99      most  underruns wrong  send CPU  receive CPU  kB/stream\n"

func (b *benching) printStreams(r streamsResult) error {
	text, _ := json.Marshal(r) // numbers always marshal
	line := string(text)
	if !b.json {
		short := func(s float64) string { return fmt.Sprintf("%.2f ms", 1000*s) }
		line = fmt.Sprintf("%7d %8d %9s %9s %9s  %9d %5d %9.2f %12.2f %10d", r.Streams, r.Messages, short(r.LateP50), short(r.LateP99), short(r.LateMost),
			r.Underruns, r.Wrong, r.SendCPU, r.ReceiveCPU, r.SendMemory/1000)
	}
	if _, err := fmt.Fprintln(b.streams.Out, line); err != nil {
		return stdoutError{err}
	}
	return nil
}

// collect sets how much garbage may be added to what is in use, in percent,
// where the user did not say with GOGC.
func collect(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// stream is one conversation: it counts what it sends.
type stream struct {
	conn  *rtc.Conn
	tally streamTally
	late  []time.Duration
	err   error
}

func (s *stream) Send(ctx context.Context, msg []byte) error {
	err := s.conn.Send(ctx, msg)
	if err == nil {
		s.tally.add(msg, time.Now())
	}
	return err
}

func (s *stream) Receive(ctx context.Context) ([]byte, error) { return s.conn.Receive(ctx) }

// warmUp connects once, so that what the first connection of a process takes,
// and what is said, is not counted for the streams.
func (b *benching) warmUp(ctx context.Context) error {
	to, err := b.startReceiver()
	if err != nil {
		return err
	}
	streams, err := connectStreams(ctx, to.url, 1)
	closeStreams(streams)
	_, failed := to.end()
	humSamples()
	debug.FreeOSMemory()
	b.memoryBefore = useOfProcess().Memory
	return first(err, failed)
}

func (b *benching) startReceiver() (*receiver, error) {
	start := receiveApart
	if b.together {
		start = receiveHere
	}
	to, err := start()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return to, nil
}

// streamsOf runs n streams, each over a peer connection of its own.
func (b *benching) streamsOf(ctx context.Context, n int) (streamsResult, error) {
	to, err := b.startReceiver()
	if err != nil {
		return streamsResult{}, err
	}
	streams, err := connectStreams(ctx, to.url, n)
	if err != nil {
		closeStreams(streams)
		_, _ = to.end()
		return streamsResult{}, err
	}
	result := streamsResult{Streams: n, Seconds: b.seconds, ReceivedTogether: b.together}
	result.speak(ctx, streams)
	result.SendMemory = max(0, useOfProcess().Memory-b.memoryBefore) / int64(n)
	failed := closeStreams(streams)
	came, err := to.end()
	if err := errors.Join(failed, err); err != nil {
		return result, fmt.Errorf("bench: %w", err)
	}
	result.judge(streams, came)
	return result, nil
}

// connectStreams connects a few at a time. What it returns has to be closed,
// also where it fails.
func connectStreams(ctx context.Context, url string, n int) ([]*stream, error) {
	streams := make([]*stream, n)
	var next atomic.Int64
	var all sync.WaitGroup
	for range connectAtOnce {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				streams[i] = connectStream(ctx, url)
			}
		})
	}
	all.Wait()
	var err error
	for _, s := range streams {
		err = first(err, s.err)
	}
	return streams, err
}

// connectStream connects and waits until the other end is there.
func connectStream(ctx context.Context, url string) *stream {
	conn, err := rtc.Dial(ctx, url, nil)
	if err == nil {
		_, err = conn.Receive(ctx)
	}
	return &stream{conn: conn, err: err}
}

// closeStreams says goodbye and returns what went wrong while they spoke.
func closeStreams(streams []*stream) error {
	var all sync.WaitGroup
	var err error
	for _, s := range streams {
		if s == nil || s.conn == nil {
			continue
		}
		all.Go(func() { _ = s.conn.Close() }) // what was lost shows at the other end
		err = first(err, s.err)
	}
	all.Wait()
	return err
}

// speak lets every stream speak, none in step with another.
func (r *streamsResult) speak(ctx context.Context, streams []*stream) {
	before, start := useOfProcess(), time.Now()
	var all sync.WaitGroup
	for i, s := range streams {
		begin := start.Add(streamsBegin * time.Duration(i) / time.Duration(len(streams)))
		all.Go(func() {
			timer := time.NewTimer(time.Until(begin))
			defer timer.Stop()
			select {
			case <-timer.C:
				s.err = s.speak(ctx, i, r.Seconds)
			case <-ctx.Done():
				s.err = context.Cause(ctx)
			}
		})
	}
	all.Wait()
	r.SendCPU = (useOfProcess().Processor - before.Processor) / time.Since(start).Seconds()
}

func (s *stream) speak(ctx context.Context, i int, seconds float64) error {
	session, err := echo.NewSession(echo.NewMessages(s, "bench", 0), &echo.Options{
		SkipHeard: true, SkipReady: true, Observe: s.observe,
	})
	if err != nil {
		return err
	}
	defer session.Close()
	source := &passage{hum{rate: echo.DefaultRate, pcm: humSamples()}, int(seconds * echo.DefaultRate)}
	source.next = i * 7919 % len(source.pcm)
	receipt, err := session.Speak(ctx, echo.Speech{Samples: source})
	s.tally.ID = receipt.InferenceID
	return err
}

func (s *stream) observe(m echo.Moment) {
	if m.Kind == echo.MomentChunk {
		s.late = append(s.late, m.At.Sub(m.Due))
	}
}

// passage is the first samples of an endless hum.
type passage struct {
	hum
	left int
}

func (p *passage) ReadSamples(dst []float32) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n, err := p.hum.ReadSamples(dst[:min(len(dst), p.left)])
	p.left -= n
	return n, err
}

// judge compares what was sent with what came.
func (r *streamsResult) judge(streams []*stream, came received) {
	arrived := make(map[string]streamTally)
	for _, t := range came.Streams {
		arrived[t.ID] = t
	}
	var late []time.Duration
	for _, s := range streams {
		got, want := arrived[s.tally.ID], s.tally
		if got.Messages != want.Messages || got.Sum != want.Sum || got.Done != 1 {
			r.Wrong++
		}
		r.Underruns += got.Underruns
		r.Messages += want.Messages
		late = append(late, s.late...)
	}
	slices.Sort(late)
	at := func(share float64) float64 {
		if len(late) == 0 {
			return math.Inf(1)
		}
		return late[min(int(share*float64(len(late))), len(late)-1)].Seconds()
	}
	r.LateP50, r.LateP99, r.LateMost = at(0.5), at(0.99), at(1)
	r.ReceiveCPU = came.Used.Processor / r.Seconds
	if r.ReceivedTogether {
		r.ReceiveCPU = 0 // it is in SendCPU
	}
	r.Good = r.Wrong == 0 && r.Underruns == 0 && r.LateP99 <= streamLateness.Seconds()
}

// processUse is what this process has used.
type processUse struct {
	Processor float64 `json:"processor_seconds"` // user and system time
	Memory    int64   `json:"memory"`            // bytes that are in memory now
}
