//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"echocast/audio"
	"echocast/cluster"
	"echocast/cluster/natstest"
	"echocast/gateway"
	"echocast/internal/cputime"
)

// What a conversation in real time costs: in one process alone, with NATS in it that keeps
// everything, and on three nodes with three servers of NATS that keep it three times, all of
// them in this process, as are the stand-ins of the replicas.
//
//	go test ./cmd/echocast-server -run '^$' -bench Shared -benchtime 1x
func BenchmarkShared(b *testing.B) {
	const seconds = 10
	for _, kind := range []struct {
		name                 string
		nodes, conversations int // of each node
	}{{"alone", 1, 100}, {"embedded", 1, 100}, {"three nodes", 3, 100}} {
		if testing.Short() { // a busy machine may be too slow for all of them
			kind.conversations /= 10
		}
		b.Run(fmt.Sprintf("%s/%d", kind.name, kind.nodes*kind.conversations), func(b *testing.B) {
			var nodes []*gateway.Gateway
			for _, c := range openClusters(b, kind.name, kind.nodes) {
				o := &gateway.Options{MaxConversations: kind.conversations, MaxLateness: time.Hour}
				if c != nil {
					o.Cluster = shared{c}
				}
				nodes = append(nodes, gateway.New(o))
			}
			for b.Loop() {
				cost := measure(nodes, func() []int { return speakOn(b, nodes, kind.conversations, seconds) })
				b.ReportMetric(cost.processor/float64(cost.messages), "µs/message")
				b.ReportMetric(cost.processor/1e4/seconds/float64(kind.nodes*kind.conversations), "%CPU/conversation")
				b.ReportMetric(cost.memory/float64(kind.nodes*kind.conversations), "kB/conversation")
				b.ReportMetric(cost.late, "ms-late")
			}
			for _, g := range nodes {
				g.Close(context.Background())
			}
		})
	}
}

// openClusters joins nodes to a cluster of a kind; nil for a node alone.
func openClusters(b *testing.B, kind string, nodes int) (all []*cluster.Cluster) {
	o := cluster.Options{Servers: cluster.Embedded, Dir: b.TempDir()}
	switch kind {
	case "alone":
		return []*cluster.Cluster{nil}
	case "three nodes":
		o = cluster.Options{Servers: natstest.URLs(natstest.StartThree(b)...), Replicas: 3}
	}
	for range nodes {
		c, err := cluster.Open(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() }) // never fails
		all = append(all, c)
	}
	return all
}

// cost is what nodes have used.
type cost struct {
	messages  int
	processor float64 // µs
	memory    float64 // kB
	late      float64 // ms, at the 99th percentile of the worst node
}

// measure says what nodes use while they speak.
func measure(nodes []*gateway.Gateway, speak func() []int) (c cost) {
	before := cputime.Used()
	for _, n := range speak() {
		c.messages += n
	}
	c.processor = float64((cputime.Used() - before).Microseconds())
	for _, g := range nodes {
		_, late, _ := g.Load()
		c.late = max(c.late, float64(late.Microseconds())/1e3)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	c.memory = float64(memory.HeapInuse+memory.StackInuse) / 1e3
	return c
}

// speakOn lets all nodes speak at the same time.
func speakOn(b *testing.B, nodes []*gateway.Gateway, conversations, seconds int) []int {
	sent := make([][]int, len(nodes))
	var speaking sync.WaitGroup
	for i, g := range nodes {
		speaking.Go(func() { sent[i] = speakAll(b, g, conversations, seconds) })
	}
	speaking.Wait()
	return slices.Concat(sent...)
}

// speakAll lets conversations speak at the same time, and returns how many messages each
// has sent.
func speakAll(b *testing.B, g *gateway.Gateway, conversations, seconds int) []int {
	sent := make([]int, conversations)
	var speaking sync.WaitGroup
	for i := range conversations {
		speaking.Go(func() {
			c, err := g.Create(gateway.Spec{To: gateway.Rehearsal}, gateway.Creator{})
			if err == nil {
				err = c.WaitJoined(b.Context())
			}
			if err != nil {
				b.Error(err)
				return
			}
			body := bytes.NewReader(ramp(seconds))
			spoken := gateway.Audio{Body: body, Whole: body}
			spoken.Prepare.Input = &audio.Options{Encoding: "s16le", Raw: audio.Format{Rate: 24000, Channels: 1}}
			u, err := c.Speak(b.Context(), spoken)
			if err != nil {
				b.Error(err)
				return
			}
			receipt, err := u.Wait(b.Context())
			if err != nil {
				b.Error(err)
			}
			sent[i] = receipt.Chunks
		})
	}
	speaking.Wait()
	return sent
}
