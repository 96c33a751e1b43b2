package livekittest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// player starts a stand-in that plays p and is in no room. The result is what it
// reports, complete once finished is closed.
func player(ctx context.Context, p *playback) (reports *bytes.Buffer, finished <-chan struct{}) {
	reports, done := &bytes.Buffer{}, make(chan struct{})
	a := &avatar{Options: Options{Speed: 1, NoStarted: true, LoseFinished: 1},
		reporter: &reporter{out: json.NewEncoder(reports)}}
	go func() {
		defer close(done)
		a.playOne(ctx, p)
	}()
	return reports, done
}

// count returns how many reports have an event, and the last of them.
func count(t *testing.T, reports io.Reader, event string) (n int, last Report) {
	t.Helper()
	for lines := json.NewDecoder(reports); lines.More(); {
		var r Report
		if err := lines.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Event == event {
			n, last = n+1, r
		}
	}
	return n, last
}

func newStream() *playback {
	return &playback{id: "s", rate: 24000, channels: 1, changed: make(chan struct{}, 1)}
}

const bytesOfFrame = 2 * 24000 / 50

// The buffer is empty while the last frame still plays. That is not an underrun, and the next
// frame begins when the last one is over.
func TestFramePlaysToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, began := newStream(), time.Now()
		reports, finished := player(t.Context(), p)
		for range 150 {
			p.put(make([]byte, bytesOfFrame), false, false)
			synctest.Wait() // the frame is taken
			time.Sleep(frame - time.Millisecond)
			synctest.Wait()
		}
		p.put(nil, true, false)
		<-finished
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("3 s were played in %v", took)
		}
		text := reports.String()
		if n, _ := count(t, bytes.NewBufferString(text), Underrun); n != 0 {
			t.Errorf("%d underruns of a stream that was always in time", n)
		}
		if _, last := count(t, bytes.NewBufferString(text), Finished); last.Position != 3 || last.Interrupted {
			t.Errorf("finished with %+v", last)
		}
	})
}

// A late frame is one underrun, and restarts the clock.
func TestLateFrameIsUnderrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, began := newStream(), time.Now()
		reports, finished := player(t.Context(), p)
		for range 10 {
			p.put(make([]byte, bytesOfFrame), false, false)
			time.Sleep(2 * frame)
		}
		p.put(nil, true, false)
		<-finished
		if took := time.Since(began); took != 20*frame {
			t.Errorf("10 frames with pauses between were over after %v", took)
		}
		if n, _ := count(t, reports, Underrun); n != 10 {
			t.Errorf("%d underruns in 10 pauses", n)
		}
	})
}

// A cleared stream ends at once, in the middle of a frame.
func TestClearedStreamEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, began := newStream(), time.Now()
		reports, finished := player(t.Context(), p)
		p.put(make([]byte, 10*bytesOfFrame), false, false)
		time.Sleep(frame + frame/2)
		p.clear()
		<-finished
		if took := time.Since(began); took != frame+frame/2 {
			t.Errorf("it went on for %v", took)
		}
		if _, last := count(t, reports, Finished); !last.Interrupted || last.Position != 0.04 {
			t.Errorf("finished with %+v", last)
		}
	})
}
