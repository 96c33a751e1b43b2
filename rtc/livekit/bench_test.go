package livekit

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"echocast/echo"
	"echocast/rtc/livekit/livekittest"
)

// BenchmarkTenSeconds measures the time for ten seconds of 24 kHz audio, from the first sample
// to the avatar's report that it has played them. The avatar's clock is fast enough not to
// matter.
func BenchmarkTenSeconds(b *testing.B) {
	avatar := startAvatar(b, b.Name(), "-speed", "1e6", "-no-started")
	r := join(b, b.Name(), nil)
	if err := next(r, TypeAvatarReady); err != nil {
		b.Fatal(err)
	}
	pcm := make([]float32, 240000)
	b.SetBytes(int64(2 * len(pcm)))
	for b.Loop() {
		if err := r.Begin(echo.Utterance{InferenceID: echo.NewInferenceID(), Rate: 24000}); err != nil {
			b.Fatal(err)
		}
		if _, err := r.Speak(b.Context(), pcm, true); err != nil {
			b.Fatal(err)
		}
		if err := next(r, TypePlaybackFinished); err != nil {
			b.Fatal(err)
		}
		avatar.expect(livekittest.Finished) // its reports must not pile up
	}
	b.ReportMetric(10*float64(b.N)/b.Elapsed().Seconds(), "x-real-time")
}

// Fifty rooms at once, each with three seconds in real time in chunks of 50 ms:
// how late chunks come to the avatars, after the moment they were due. The
// server, the avatars and the senders share the machine. Of chunks that the avatar
// reads together only the first, which is the latest, is measured.
func BenchmarkFiftyRooms(b *testing.B) {
	rooms := 50
	if testing.Short() {
		rooms = 5
	}
	avatar := startAvatar(b, b.Name(), "-rooms", fmt.Sprint(rooms), "-stamped", "-no-started", "-speed", "1e6")
	joined := make([]*Room, rooms)
	for i := range joined {
		joined[i] = join(b, fmt.Sprintf("%s-%d", b.Name(), i), nil)
	}
	for _, r := range joined {
		if err := next(r, TypeAvatarReady); err != nil {
			b.Fatal(err)
		}
	}
	var late []float64
	for b.Loop() {
		var all sync.WaitGroup
		for i, r := range joined {
			start := time.Now().Add(time.Duration(i) * time.Millisecond)
			all.Go(func() { realTime(b, r, start) })
		}
		all.Wait()
		for range rooms {
			late = append(late, avatar.expect(livekittest.Finished).Lateness...)
		}
	}
	slices.Sort(late)
	for name, part := range map[string]int{"p50-ms": 50, "p99-ms": 99, "max-ms": 100} {
		b.ReportMetric(late[min(len(late)*part/100, len(late)-1)], name)
	}
	b.ReportMetric(float64(len(late))/float64(b.N), "chunks-measured")
}

// realTime speaks three seconds. Each chunk begins with the time it is due.
func realTime(b *testing.B, r *Room, start time.Time) {
	if err := r.Begin(echo.Utterance{InferenceID: echo.NewInferenceID(), Rate: 24000}); err != nil {
		b.Error(err)
		return
	}
	const chunks, length = 60, 50 * time.Millisecond
	pcm := make([]float32, 1200)
	for i := range chunks {
		due := start.Add(time.Duration(i) * length)
		time.Sleep(time.Until(due))
		stamp := binary.LittleEndian.AppendUint64(nil, uint64(due.UnixNano()))
		for at := range 4 {
			pcm[at] = float32(int16(binary.LittleEndian.Uint16(stamp[2*at:]))) / 32768
		}
		if _, err := r.Speak(b.Context(), pcm, i == chunks-1); err != nil {
			b.Error(err)
			return
		}
	}
}
