// Command soak runs conversations on a gateway for a long time, and shows whether its use
// of memory and other resources grows.
//
//	make build && go run ./bench/soak -for 1h
//
// It starts the program, and speaks in conversations with stand-in replicas in real time,
// over WebSockets and by uploads. It interrupts some conversations, ends them and begins
// others. Each minute it prints figures from /metrics. It fails if an utterance was not
// heard as it was sent, or if the gateway has more goroutines or open files at the end than
// at the beginning.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// restTime is how long a gateway may take to close what the last clients have left.
const restTime = 30 * time.Second

func main() {
	program := flag.String("program", "bin/echocast-server", "the echocast-server that is started")
	conversations := flag.Int("conversations", 10, "conversations at the same time")
	length := flag.Duration("for", time.Hour, "how long they continue")
	every := flag.Duration("every", time.Minute, "how often the gateway is looked at")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *program, *conversations, *length, *every)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program string, conversations int, length, every time.Duration) error {
	g, err := start(program, conversations)
	if err != nil {
		return err
	}
	defer g.stop()
	before, err := g.figures()
	if err != nil {
		return err
	}
	fmt.Println("| after | conversations | utterances | RSS | heap | goroutines | open files |")
	fmt.Println("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	begin := time.Now()
	before.print(0)
	told := &tally{}
	within, cancel := context.WithTimeout(ctx, length)
	talk(within, g, told, conversations, every, begin)
	cancel()
	after := g.rest(before)
	after.print(time.Since(begin))
	fmt.Printf("\n%d utterances were heard whole, %d interrupted, %d otherwise.\n",
		told.whole, told.interrupted, told.wrong)
	switch {
	case told.err != nil:
		return told.err
	case after.goroutines > before.goroutines || after.files > before.files:
		return fmt.Errorf("%v goroutines and %v open files at the end, %v and %v at the beginning",
			after.goroutines, after.files, before.goroutines, before.files)
	}
	return nil
}

// talk runs the conversations, and prints the state of the gateway, until ctx ends.
func talk(ctx context.Context, g *gateway, told *tally, conversations int, every time.Duration, begin time.Time) {
	var talkers sync.WaitGroup
	for i := range conversations {
		talkers.Go(func() {
			t := &talker{gateway: g, reported: told, seed: i}
			for ctx.Err() == nil {
				told.failed(t.converse(ctx))
			}
		})
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			f, err := g.figures()
			told.failed(err)
			f.print(time.Since(begin))
		}
	}
	talkers.Wait()
}

// tally counts utterances by how they ended.
type tally struct {
	mu                        sync.Mutex
	whole, interrupted, wrong int
	err                       error // the first
}

func (t *tally) failed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil && err != nil {
		t.err = err
		fmt.Fprintln(os.Stderr, "soak:", err)
	}
}

// count counts the receipt of an utterance with this number of samples.
func (t *tally) count(r *receipt, samples int, mayBeInterrupted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// An utterance that is interrupted before anything was sent counts as failed.
	isInterrupted := r.Outcome == "interrupted" || r.Outcome == "failed" && r.Error == "interrupted" && r.Samples == 0
	switch {
	case r.Outcome == "finished" && r.Samples == samples && r.HeardSamples == samples:
		t.whole++
	case isInterrupted && mayBeInterrupted:
		t.interrupted++
	default:
		t.wrong++
		if t.err == nil {
			t.err = fmt.Errorf("of %d samples was heard: %+v", samples, *r)
		}
	}
}
