//go:build linux && (amd64 || arm64) && (cgo || daily_core)

package core_test

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"echocast/internal/cputime"
	"echocast/rtc/daily"
	"echocast/rtc/daily/dailytest"
)

// BenchmarkConversations measures conversations by the stand-in library, each of
// which sends 20 messages a second: how long Join takes, how long a message is
// on its way from Send through the library and the room to a participant, and
// what all of it, library, rooms and participants too, takes of memory and of
// one processor. The real library needs more of both.
func BenchmarkConversations(b *testing.B) {
	for _, n := range []int{1, 5, 10} {
		if testing.Short() && n > 1 {
			break
		}
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchConversations(b, n) })
	}
}

func benchConversations(b *testing.B, n int) {
	l := load(b)
	var joining, took []time.Duration
	var memory, busy float64
	for b.Loop() {
		before := resident(b)
		var conns []*daily.Conn
		var send []func(context.Context, []byte) error
		var people []*dailytest.Participant
		for range n {
			room := newRoom(b, dailytest.Options{})
			people = append(people, room.Enter("Ann", "tavus-replica-1"))
			began := time.Now()
			conn, err := daily.Join(b.Context(), room.URL(), &daily.Options{Library: l})
			if err != nil {
				b.Fatal(err)
			}
			joining = append(joining, time.Since(began))
			conns, send = append(conns, conn), append(send, conn.Send)
		}
		used, began := cputime.Used(), time.Now()
		durations, err := dailytest.SpeakAll(b.Context(), send, people)
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, durations...)
		busy += (cputime.Used() - used).Seconds() / time.Since(began).Seconds()
		memory += max(0, resident(b)-before)
		for _, conn := range conns {
			if err := conn.Close(); err != nil {
				b.Error(err)
			}
		}
	}
	slices.Sort(joining)
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(joining[len(joining)/2]), "join-ms")
	b.ReportMetric(milliseconds(took[len(took)/2]), "p50-ms")
	b.ReportMetric(milliseconds(took[len(took)*99/100]), "p99-ms")
	b.ReportMetric(memory/float64(b.N), "MB")
	b.ReportMetric(100*busy/float64(b.N), "%cpu")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// resident is the memory of this process in MB.
func resident(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / 1e6
}
