package gateway

import (
	"context"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"echocast/echo"
	"echocast/internal/cputime"
	_ "echocast/room/peer"
	"echocast/rtc"
)

// pathConversations is how many conversations BenchmarkPath holds at the same time.
const pathConversations = 50

// BenchmarkPath is what a message costs from the WebSocket of a client, through the gateway
// and a data channel, to a replica; and from the library alone, through the same data channel.
// All is in one process, in real time:
//
//	go test ./gateway -run '^$' -bench Path -benchtime 1x -count 5
func BenchmarkPath(b *testing.B) {
	b.Run("gateway", func(b *testing.B) { benchmarkPath(b, pathOfGateway) })
	b.Run("library", func(b *testing.B) { benchmarkPath(b, pathOfLibrary) })
}

// benchmarkPath measures a way of speaking to replicas at an address, which returns the
// processor time and how late 99 of 100 messages were at most.
func benchmarkPath(b *testing.B, speak func(*testing.B, string) (used, late time.Duration)) {
	for b.Loop() {
		listener, err := rtc.Listen("127.0.0.1:0", nil)
		if err != nil {
			b.Fatal(err)
		}
		replicas := &countingReplicas{}
		replicas.all.Go(func() { replicas.accept(listener) })
		used, late := speak(b, listener.URL())
		_ = listener.Close()
		replicas.all.Wait()
		want := pathConversations * int(loadTime/echo.DefaultChunk)
		if replicas.messages != want {
			b.Errorf("%d messages arrived, want %d", replicas.messages, want)
		}
		b.ReportMetric(float64(used.Microseconds())/float64(want), "µs-CPU/message")
		b.ReportMetric(float64(late.Microseconds())/1000, "ms-late-p99")
	}
}

// countingReplicas join and count the messages of speech.
type countingReplicas struct {
	all      sync.WaitGroup
	mu       sync.Mutex
	messages int
}

func (r *countingReplicas) accept(listener *rtc.Listener) {
	for {
		conn, err := listener.Accept(context.Background())
		if err != nil {
			return // the listener was closed
		}
		r.all.Go(func() { r.count(conn) })
	}
}

func (r *countingReplicas) count(conn *rtc.Conn) {
	defer conn.Close()
	_ = conn.Send(context.Background(), []byte(`{"event_type":"system.pal_joined"}`)) // else nothing is received
	messages := 0
	for {
		msg, err := conn.Receive(context.Background())
		if err != nil {
			break
		}
		if strings.Contains(string(msg[:min(len(msg), 200)]), "conversation.echo") {
			messages++
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages += messages
}

func pathOfGateway(b *testing.B, replica string) (used, late time.Duration) {
	g := New(&Options{MaxConversations: pathConversations, MaxLateness: time.Hour})
	server := httptest.NewServer(g.Handler())
	defer server.Close()
	defer g.Close(context.Background())
	urls := createMany(b, g, server.URL, replica, pathConversations)
	started := cputime.Used()
	load(b, urls)
	return cputime.Used() - started, g.late.p99(time.Now())
}

func pathOfLibrary(b *testing.B, replica string) (used, late time.Duration) {
	conns := make([]*rtc.Conn, pathConversations)
	for i := range conns {
		conn, err := rtc.Dial(b.Context(), replica, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		conns[i] = conn
	}
	var mu sync.Mutex
	var all []time.Duration
	observe := func(m echo.Moment) {
		if m.Kind == echo.MomentChunk {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, m.At.Sub(m.Due))
		}
	}
	started := cputime.Used()
	var speaking sync.WaitGroup
	for i, conn := range conns {
		speaking.Go(func() {
			time.Sleep(loadSpread * time.Duration(i) / pathConversations)
			session, err := echo.NewSession(echo.NewMessages(conn, "path", 0), &echo.Options{SkipHeard: true, Observe: observe})
			if err != nil {
				b.Error(err)
				return
			}
			defer session.Close()
			silence := silentSamples(loadTime.Seconds() * echo.DefaultRate)
			if _, err := session.Speak(b.Context(), echo.Speech{Samples: &silence}); err != nil {
				b.Error(err)
			}
		})
	}
	speaking.Wait()
	used = cputime.Used() - started
	slices.Sort(all)
	return used, all[len(all)*99/100]
}

// silentSamples is how many samples are left.
type silentSamples int

func (s *silentSamples) ReadSamples(p []float32) (int, error) {
	n := min(len(p), int(*s))
	if n == 0 {
		return 0, io.EOF
	}
	clear(p[:n])
	*s -= silentSamples(n)
	return n, nil
}
