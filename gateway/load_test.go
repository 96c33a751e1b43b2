package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"echocast/echo"
	"echocast/internal/cputime"
)

// What the load is: each client sends frames of 100 ms of samples at 24 kHz, in real
// time, for loadTime. It sends the first half second at once, as a voice does that is
// faster than speech: without that a frame is due when the one before it has been played,
// and every delay is heard.
const (
	frameTime  = 100 * time.Millisecond
	frameBytes = 4800
	loadTime   = 10 * time.Second
	loadLead   = 500 * time.Millisecond
	loadSpread = 2 * time.Second // within which all begin
)

// loadClients is how many clients there are; LOAD_CLIENTS sets it.
func loadClients(b *testing.B) int {
	b.Helper()
	n, err := strconv.Atoi(os.Getenv("LOAD_CLIENTS"))
	if err != nil {
		return 1000
	}
	return n
}

// BenchmarkLoad holds many conversations by WebSockets and speaks in each in real time, with
// clients, gateway and stand-in replicas in one process. For comparison it runs the same load
// on an echo server of the same library:
//
//	LOAD_CLIENTS=1000 go test ./gateway -run '^$' -bench Load -benchtime 1x
func BenchmarkLoad(b *testing.B) {
	n := loadClients(b)
	b.Run(fmt.Sprintf("gateway/%d", n), func(b *testing.B) {
		for b.Loop() {
			loadGateway(b, n)
		}
	})
	b.Run(fmt.Sprintf("echo/%d", n), func(b *testing.B) {
		for b.Loop() {
			loadEcho(b, n)
		}
	})
}

// loadGateway reports how late chunks leave, and the cost of a conversation.
func loadGateway(b *testing.B, n int) {
	g := New(&Options{MaxConversations: n, MaxLateness: time.Hour})
	server := httptest.NewServer(g.Handler())
	defer server.Close()
	defer g.Close(context.Background())
	before := memory()
	urls := createMany(b, g, server.URL, Rehearsal, n)
	started := cputime.Used()
	after := load(b, urls)
	used := cputime.Used() - started
	finished := 0
	for _, c := range g.List() {
		for _, u := range c.utterances {
			receipt, err := u.Wait(b.Context())
			isWhole := receipt.Outcome == echo.Finished && receipt.HeardSamples == int64(loadTime.Seconds()*echo.DefaultRate)
			if err == nil && isWhole && receipt.Underruns == 0 {
				finished++
			}
		}
	}
	b.ReportMetric(float64(g.late.p99(time.Now()).Microseconds())/1000, "ms-late-p99")
	b.ReportMetric(float64(after-before)/float64(n)/1024, "KiB/conversation")
	b.ReportMetric(used.Seconds()/loadTime.Seconds(), "cores")
	b.ReportMetric(float64(finished), "heard-without-a-gap")
}

// createMany creates n conversations in rooms at an address, and returns the URLs of their
// WebSockets.
func createMany(b *testing.B, g *Gateway, server, room string, n int) []string {
	b.Helper()
	urls := make([]string, n)
	for i := range urls {
		c, err := g.Create(Spec{To: room}, Creator{})
		if err == nil {
			err = c.WaitJoined(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
		urls[i] = "ws" + strings.TrimPrefix(server, "http") + "/v1/conversations/" + c.ID + "/socket"
	}
	return urls
}

// loadEcho reports the cost of the library and the clients alone.
func loadEcho(b *testing.B, n int) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		for {
			kind, data, err := conn.Read(r.Context())
			if err != nil || conn.Write(r.Context(), kind, data) != nil {
				return
			}
		}
	}))
	defer server.Close()
	before := memory()
	urls := slices.Repeat([]string{"ws" + strings.TrimPrefix(server.URL, "http")}, n)
	started := cputime.Used()
	after := load(b, urls)
	used := cputime.Used() - started
	b.ReportMetric(float64(after-before)/float64(n)/1024, "KiB/conversation")
	b.ReportMetric(used.Seconds()/loadTime.Seconds(), "cores")
}

// load sends audio to each address in real time, and reads the answers. It returns the memory
// of the process while all clients speak.
func load(b *testing.B, urls []string) (held uint64) {
	var clients sync.WaitGroup
	begin := time.Now().Add(2 * time.Second)
	for i, url := range urls {
		clients.Go(func() {
			conn, _, err := websocket.Dial(b.Context(), url, nil)
			if err != nil {
				b.Error(err)
				return
			}
			conn.SetReadLimit(maxFrame)
			var reading sync.WaitGroup
			reading.Go(func() {
				for {
					if _, _, err := conn.Read(context.Background()); err != nil {
						return
					}
				}
			})
			frame := make([]byte, frameBytes)
			first := begin.Add(loadSpread * time.Duration(i) / time.Duration(len(urls)))
			for k := range int(loadTime / frameTime) {
				time.Sleep(time.Until(first.Add(max(0, time.Duration(k)*frameTime-loadLead))))
				if err := conn.Write(context.Background(), websocket.MessageBinary, frame); err != nil {
					b.Error(err)
				}
			}
			_ = conn.Write(b.Context(), websocket.MessageText, []byte(`{"type":"end"}`)) // its loss shows in the receipt
			time.Sleep(2 * time.Second)                                                  // while the rest is heard
			_ = conn.CloseNow()                                                          // all was read
			reading.Wait()
		})
	}
	time.Sleep(time.Until(begin.Add(loadSpread + loadTime/2)))
	held = memory()
	clients.Wait()
	return held
}

// memory returns the memory of the process, including garbage that is not collected yet.
func memory() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
