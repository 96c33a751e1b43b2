//go:build linux

package daily

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"echocast/rtc/daily/dailytest"
)

// BenchmarkConversations measures conversations that share a browser, each of
// which sends 20 messages a second: how long Join takes with the start of the
// browser (first-join-ms) and without (next-join-ms), how long a message is on
// its way from Send through the page, daily-js and the room to a participant,
// and what Chromium takes of memory (proportional set size, all processes) and
// of one processor.
func BenchmarkConversations(b *testing.B) {
	for _, n := range []int{1, 5, 10} {
		if testing.Short() && n > 1 {
			break
		}
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchConversations(b, n) })
	}
}

func benchConversations(b *testing.B, n int) {
	var first, next, took []time.Duration
	var memory, busy float64
	for b.Loop() {
		var browser Browser
		var conns []*Conn
		var send []func(context.Context, []byte) error
		var people []*dailytest.Participant
		for range n {
			room := newRoom(b, dailytest.Options{})
			people = append(people, room.Enter("Ann", ""))
			began := time.Now()
			conn, err := Join(b.Context(), room.URL(), local(room, Options{Browser: &browser}))
			if err != nil {
				b.Fatal(err)
			}
			if joining := time.Since(began); len(conns) == 0 {
				first = append(first, joining)
			} else {
				next = append(next, joining)
			}
			conns, send = append(conns, conn), append(send, conn.Send)
		}
		cpu, began := cpuTime(browser.pid()), time.Now()
		durations, err := dailytest.SpeakAll(b.Context(), send, people)
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, durations...)
		busy += (cpuTime(browser.pid()) - cpu).Seconds() / time.Since(began).Seconds()
		memory += pss(browser.pid())
		for _, conn := range conns {
			if err := conn.Close(); err != nil {
				b.Error(err)
			}
		}
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(mean(first)), "first-join-ms")
	if n > 1 {
		b.ReportMetric(milliseconds(mean(next)), "next-join-ms")
	}
	b.ReportMetric(milliseconds(took[len(took)/2]), "p50-ms")
	b.ReportMetric(milliseconds(took[len(took)*99/100]), "p99-ms")
	b.ReportMetric(memory/float64(b.N), "MB")
	b.ReportMetric(100*busy/float64(b.N), "%cpu")
}

// cpuTime is what a browser has used of the processors.
func cpuTime(root int) (sum time.Duration) {
	for _, pid := range family(root) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) < 13 {
			continue
		}
		for _, ticks := range fields[11:13] { // of user and of system, 100 a second
			n, _ := strconv.Atoi(string(ticks))
			sum += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return sum
}

// pss is what a browser takes of memory, in megabytes, with what its processes
// share counted once.
func pss(root int) (sum float64) {
	for _, pid := range family(root) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "Pss:" {
				kilobytes, _ := strconv.ParseFloat(fields[1], 64)
				sum += kilobytes / 1024
			}
		}
	}
	return sum
}

func mean(durations []time.Duration) time.Duration {
	var sum time.Duration
	for _, d := range durations {
		sum += d
	}
	return sum / time.Duration(max(1, len(durations)))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
