package load

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"echocast/internal/collector"
	"echocast/internal/testwait"
)

// receiveArgument makes the test program the receiving side.
const receiveArgument = "receive"

// The settings of GOGC of both sides, as in echocast bench --streams.
const (
	sendGarbage    = 60
	receiveGarbage = 200
)

func receiveForBenchmark() {
	collector.Set(receiveGarbage)
	if err := Receive(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "load.test:", err)
		os.Exit(1)
	}
}

// BenchmarkConversations measures the sending side of echocast bench --streams, for a
// profile of it: with -cpuprofile, -memprofile or -trace.
func BenchmarkConversations(b *testing.B) {
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	defer collector.Set(collector.Set(sendGarbage))
	for _, n := range []int{10, 300} {
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchmarkConversations(b, program, n) })
	}
}

func benchmarkConversations(b *testing.B, program string, n int) {
	bench := &Bench{Seconds: 5, Program: []string{program, receiveArgument}}
	if testing.Short() {
		bench.Seconds, n = 0.1, 2
	}
	if err := bench.WarmUp(testwait.Context(b)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := bench.Run(testwait.Context(b), n)
		if err != nil || r.Wrong > 0 {
			b.Fatalf("%+v, %v", r, err)
		}
		b.ReportMetric(1e6*r.SendEach, "µs-sending/message")
		b.ReportMetric(1e6*r.ReceiveEach, "µs-receiving/message")
		b.ReportMetric(1000*r.LateP99, "p99-ms")
		b.ReportMetric(float64(r.Underruns), "underruns")
	}
}
