package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"echocast/echo"
	"echocast/internal/sleep"
	"echocast/rtc"
)

// MaxConversations is the largest number of conversations that Bench measures.
const MaxConversations = 2000

// MaxLateness is how late 99 % of the messages may be at most in a good result.
const MaxLateness = 5 * time.Millisecond

const (
	connectAtOnce = 8               // connections made at the same time
	startWithin   = 2 * time.Second // all begin within this time, at staggered times
)

// Result is the result for a number of conversations at the same time.
type Result struct {
	Streams          int     `json:"all"`
	Seconds          float64 `json:"seconds"`
	Messages         int     `json:"messages"`
	LateP50          float64 `json:"late_p50_seconds"` // from due time to acceptance
	LateP99          float64 `json:"late_p99_seconds"`
	LateMost         float64 `json:"late_most_seconds"`
	Underruns        int     `json:"underruns"`
	Wrong            int     `json:"wrong"`    // conversations whose data arrived changed or incomplete
	SendCPU          float64 `json:"send_cpu"` // cores, while they speak
	ReceiveCPU       float64 `json:"receive_cpu"`
	SendEach         float64 `json:"send_cpu_seconds_per_message"`
	ReceiveEach      float64 `json:"receive_cpu_seconds_per_message"`
	SendMemory       int64   `json:"send_bytes_per_stream"`
	Good             bool    `json:"good"` // all arrived within MaxLateness, without an underrun
	ReceivedTogether bool    `json:"together,omitempty"`

	spoke time.Duration // from the first message to the last
}

// The first search begins with firstGuess, each further search with the result of the
// previous one. One noisy moment can end a search too early. Five searches show how much
// the results vary.
const (
	firstGuess = 50
	searches   = 5
)

// Most is the largest number of conversations with a good result, over several searches.
type Most struct{ Median, Least, Greatest int }

// FindMost searches several times for the largest number of conversations with a good
// result. It stops at the first error.
func FindMost(isGood func(n int) (bool, error)) (Most, error) {
	var found []int
	for guess := firstGuess; len(found) < searches; {
		most, err := search(guess, isGood)
		if err != nil {
			return Most{}, err
		}
		found = append(found, most)
		guess = max(most, 1)
	}
	slices.Sort(found)
	return Most{found[len(found)/2], found[0], found[len(found)-1]}, nil
}

// search finds, by bisection, the largest number of conversations with a good result, to
// within 5 %.
func search(guess int, isGood func(n int) (bool, error)) (int, error) {
	low, high := 0, MaxConversations+1
	for next := guess; ; {
		ok, err := isGood(next)
		if err != nil {
			return low, err
		}
		if ok {
			low = next
		} else {
			high = next
		}
		if high-low <= max(1, high/20) || low == MaxConversations {
			return low, nil
		}
		next = (low + high) / 2
		if high > MaxConversations {
			next = min(2*low, MaxConversations)
		}
	}
}

// RunAll measures each of these numbers of conversations, and passes each result to report,
// until that fails. Without numbers it finds the largest number with a good result, in
// several searches, and returns it.
func (b *Bench) RunAll(ctx context.Context, counts []int, report func(Result) error) (most Most, err error) {
	run := func(n int) (bool, error) {
		result, err := b.Run(ctx, n)
		if err != nil {
			return false, err
		}
		return result.Good, report(result)
	}
	if counts == nil {
		return FindMost(run)
	}
	for _, n := range counts {
		if _, err := run(n); err != nil {
			return Most{}, err
		}
	}
	return Most{}, nil
}

// Bench measures conversations on this machine. Each has a separate peer connection, and
// sends 20 messages a second with the usual lead.
type Bench struct {
	Seconds float64 // of speech, in each conversation
	// Program is the program and its arguments that run Receive, so that the cost of each
	// side is measured separately. If it is empty, this process receives.
	Program []string

	memoryBefore int64 // bytes of the process, before any conversation
}

// conversation speaks, and counts what it has sent.
type conversation struct {
	conn  *rtc.Conn
	tally tally
	late  []time.Duration
	err   error
}

func (c *conversation) Send(ctx context.Context, msg []byte) error {
	err := c.conn.Send(ctx, msg)
	if err == nil {
		c.tally.add(msg, time.Now())
	}
	return err
}

func (c *conversation) Receive(ctx context.Context) ([]byte, error) { return c.conn.Receive(ctx) }

// WarmUp connects once. So the cost of the first connection of a process does not count for
// the conversations that Run measures.
func (b *Bench) WarmUp(ctx context.Context) error {
	to, err := b.startReceiver()
	if err != nil {
		return err
	}
	all, err := connectAll(ctx, to.url, 1)
	closeAll(all)
	_, failed := to.end()
	toneSamples()
	debug.FreeOSMemory()
	b.memoryBefore = usage().Memory
	return cmp.Or(err, failed)
}

// Run measures n conversations at the same time.
func (b *Bench) Run(ctx context.Context, n int) (Result, error) {
	defer debug.FreeOSMemory() // or the next run would reuse this memory
	to, err := b.startReceiver()
	if err != nil {
		return Result{}, err
	}
	all, err := connectAll(ctx, to.url, n)
	if err != nil {
		closeAll(all)
		_, _ = to.end()
		return Result{}, err
	}
	result := Result{Streams: n, Seconds: b.Seconds, ReceivedTogether: len(b.Program) == 0}
	result.speak(ctx, all)
	result.SendMemory = max(0, usage().Memory-b.memoryBefore) / int64(n)
	failed := closeAll(all)
	arrived, err := to.end()
	if err := errors.Join(failed, err); err != nil {
		return result, fmt.Errorf("load: %w", err)
	}
	result.judge(all, arrived)
	return result, nil
}

// connectAll connects a few at a time. The caller closes the result, even on error.
func connectAll(ctx context.Context, url string, n int) ([]*conversation, error) {
	all := make([]*conversation, n)
	var next atomic.Int64
	var group sync.WaitGroup
	for range connectAtOnce {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				all[i] = connect(ctx, url)
			}
		})
	}
	group.Wait()
	var err error
	for _, c := range all {
		err = cmp.Or(err, c.err)
	}
	return all, err
}

// connect connects, and waits until the other end is ready.
func connect(ctx context.Context, url string) *conversation {
	conn, err := rtc.Dial(ctx, url, nil)
	if err == nil {
		_, err = conn.Receive(ctx)
	}
	return &conversation{conn: conn, err: err}
}

// closeAll closes the connections. It returns the errors that occurred while they spoke.
func closeAll(all []*conversation) error {
	var group sync.WaitGroup
	var err error
	for _, c := range all {
		if c == nil || c.conn == nil {
			continue
		}
		group.Go(func() { _ = c.conn.Close() }) // the other end reports what was lost
		err = cmp.Or(err, c.err)
	}
	group.Wait()
	return err
}

// goldenRatio spreads the beginnings. With equal steps of startWithin, many conversations
// would be due at the same moment of every 50 ms: 20 of 300, and 40 of 200.
const goldenRatio = 0.6180339887498949

// beginning is when conversation i begins, after the start.
func beginning(i int) time.Duration {
	_, part := math.Modf(float64(i) * goldenRatio)
	return time.Duration(part * float64(startWithin))
}

// speak makes every conversation speak, at staggered times.
func (r *Result) speak(ctx context.Context, all []*conversation) {
	before, start := usage(), time.Now()
	var group sync.WaitGroup
	for i, c := range all {
		begin := start.Add(beginning(i))
		group.Go(func() {
			if c.err = sleep.For(ctx, time.Until(begin)); c.err == nil {
				c.err = c.speak(ctx, i, r.Seconds)
			}
		})
	}
	group.Wait()
	r.spoke = time.Since(start)
	r.SendCPU = (usage().Processor - before.Processor) / r.spoke.Seconds()
}

func (c *conversation) speak(ctx context.Context, i int, seconds float64) error {
	session, err := echo.NewSession(echo.NewMessages(c, "bench", 0), &echo.Options{
		SkipHeard: true, SkipReady: true, Observe: c.observe,
	})
	if err != nil {
		return err
	}
	defer session.Close()
	source := &passage{tone{rate: echo.DefaultRate, pcm: toneSamples()}, int(seconds * echo.DefaultRate)}
	source.next = i * 7919 % len(source.pcm)
	receipt, err := session.Speak(ctx, echo.Speech{Samples: source})
	c.tally.ID = receipt.InferenceID
	return err
}

func (c *conversation) observe(m echo.Moment) {
	if m.Kind == echo.MomentChunk {
		c.late = append(c.late, m.At.Sub(m.Due))
	}
}

// passage is a part of an endless tone.
type passage struct {
	tone
	left int
}

func (p *passage) ReadSamples(dst []float32) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n, err := p.tone.ReadSamples(dst[:min(len(dst), p.left)])
	p.left -= n
	return n, err
}

// judge compares what was sent with what arrived.
func (r *Result) judge(all []*conversation, arrived arrivals) {
	byID := make(map[string]tally)
	for _, t := range arrived.Streams {
		byID[t.ID] = t
	}
	var late []time.Duration
	for _, c := range all {
		got, want := byID[c.tally.ID], c.tally
		if got.Messages != want.Messages || got.Sum != want.Sum || got.Done != 1 {
			r.Wrong++
		}
		r.Underruns += got.Underruns
		r.Messages += want.Messages
		late = append(late, c.late...)
	}
	slices.Sort(late)
	at := func(share float64) float64 {
		if len(late) == 0 {
			return math.Inf(1)
		}
		return late[min(int(share*float64(len(late))), len(late)-1)].Seconds()
	}
	r.LateP50, r.LateP99, r.LateMost = at(0.5), at(0.99), at(1)
	r.ReceiveCPU = arrived.Used.Processor / r.spoke.Seconds()
	if r.ReceivedTogether {
		r.ReceiveCPU = 0 // included in SendCPU
	}
	if r.Messages > 0 {
		each := r.spoke.Seconds() / float64(r.Messages)
		r.SendEach, r.ReceiveEach = r.SendCPU*each, r.ReceiveCPU*each
	}
	r.Good = r.Wrong == 0 && r.Underruns == 0 && r.LateP99 <= MaxLateness.Seconds()
}

// processUsage is the resource usage of this process.
type processUsage struct {
	Processor float64 `json:"processor_seconds"` // user and system time
	Memory    int64   `json:"memory"`            // resident bytes
}
