//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"echocast/audio"
	"echocast/cluster"
	"echocast/gateway"
	"echocast/internal/cputime"
)

// How much of the processor a message costs, of conversations in real time: in one
// process alone, and with NATS in it that keeps everything.
//
//	go test ./cmd/echocast-server -run '^$' -bench Shared -benchtime 1x
func BenchmarkShared(b *testing.B) {
	const conversations, seconds = 100, 5
	for _, kind := range []string{"alone", "embedded"} {
		b.Run(fmt.Sprintf("%s/%d", kind, conversations), func(b *testing.B) {
			o := &gateway.Options{MaxConversations: conversations, MaxLateness: time.Hour}
			if kind == "embedded" {
				c, err := cluster.Open(b.Context(), cluster.Options{Servers: cluster.Embedded, Dir: b.TempDir()})
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = c.Close() }() // never fails
				o.Cluster = shared{c}
			}
			for b.Loop() {
				messages, before := 0, cputime.Used()
				for _, n := range speakAll(b, o, conversations, seconds) {
					messages += n
				}
				b.ReportMetric(float64((cputime.Used()-before).Microseconds())/float64(messages), "µs/message")
			}
		})
	}
}

// speakAll lets conversations speak at the same time, and returns how many messages each
// has sent.
func speakAll(b *testing.B, o *gateway.Options, conversations, seconds int) []int {
	g := gateway.New(o)
	defer g.Close(context.Background())
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
