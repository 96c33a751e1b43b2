package serve

import (
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"echocast/replica/page"
)

// BenchmarkPageSpeaking is what a page costs the replica while it speaks: the mouth,
// the events that a browser follows and the packets of sound, for a second of audio
// in each run. The unit %core is the share of a processor.
func BenchmarkPageSpeaking(b *testing.B) {
	shown := page.New()
	web := httptest.NewServer(shown)
	defer web.Close()
	defer shown.Close() // or web waits for the browser
	response, err := http.Get(web.URL + shown.Path() + "events")
	if err != nil {
		b.Fatal(err)
	}
	var reading sync.WaitGroup
	left := make(chan struct{})
	reading.Go(func() {
		_, _ = io.Copy(io.Discard, response.Body) // until Close
		close(left)
	})
	const rate = 24000
	speech := make([]int16, rate)
	for i := range speech {
		at := float64(i) / rate
		speech[i] = int16(9000 * math.Sin(2*math.Pi*180*at) * math.Sin(2*math.Pi*4*at))
	}
	v := voice{open: newEncoder}
	start, seconds := time.Now(), 0
	packets := 0
	for b.Loop() {
		at := start.Add(time.Duration(seconds) * time.Second)
		for n := range 50 {
			due := at.Add(time.Duration(n) * frameTime)
			samples := speech[n*rate/50 : (n+1)*rate/50]
			shown.Sound(due, rate, samples)
			if n%5 == 0 {
				shown.Chunk(due, "connection 1", "utterance", 100*time.Millisecond)
			}
			if err := v.add(piece{at: due, rate: rate, samples: samples}, start, func(*rtp.Packet) { packets++ }); err != nil {
				b.Fatal(err)
			}
		}
		seconds++
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*100, "%core")
	if packets < 50*(b.N-1) {
		b.Errorf("%d packets in %d s", packets, b.N)
	}
	select {
	case <-left:
		b.Error("the browser was disconnected")
	default:
	}
	shown.Close()
	reading.Wait()
	_ = response.Body.Close()
	v.close()
}
