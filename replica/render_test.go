package replica

import (
	"echocast/internal/testwait"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// unlimited lets tests of time send messages of any size.
var unlimited = &Options{MessageLimit: -1}

// timeline writes an utterance as one line.
func timeline(u Utterance) string {
	line := fmt.Sprintf("%s start=%s stop=%s played=%v", u.ID, offset(u.StartedMS), offset(u.StoppedMS),
		u.PlayedSeconds*1000)
	if u.Interrupted {
		line += " interrupted"
	}
	for _, r := range u.Underruns {
		line += fmt.Sprintf(" dry=%v+%v", r.AtMS, r.SilenceMS)
	}
	return line
}

func offset(ms *float64) string {
	if ms == nil {
		return "never"
	}
	return fmt.Sprint(*ms)
}

func timelines(r Report) []string {
	var lines []string
	for _, u := range r.Utterances {
		lines = append(lines, timeline(u))
	}
	return lines
}

func TestPlayout(t *testing.T) {
	tests := []struct {
		name   string
		script func(*peer)
		want   []string
	}{
		{"one message", func(p *peer) {
			p.at(10).say("a", 100, true)
			p.at(500)
		}, []string{"a start=10 stop=110 played=100"}},

		{"starts when 100 ms are buffered", func(p *peer) {
			p.at(0).say("a", 50, false)
			p.at(40).say("a", 49, false)
			p.at(70).say("a", 1, false)
			p.at(80).say("a", 100, true)
			p.at(500)
		}, []string{"a start=70 stop=270 played=200"}},

		{"shorter than the pre-buffer", func(p *peer) {
			p.at(0).say("a", 30, false)
			p.at(20).say("a", 30, true)
			p.at(500)
		}, []string{"a start=20 stop=80 played=60"}},

		{"a single sample", func(p *peer) {
			p.samples("a", 1, 16000, true)
			p.at(500)
		}, []string{"a start=0 stop=0.0625 played=0.0625"}},

		{"a chunk exactly when it is due", func(p *peer) {
			p.at(0).say("a", 100, false)
			p.at(100).say("a", 20, false)
			p.at(120).say("a", 20, true)
			p.at(500)
		}, []string{"a start=0 stop=140 played=140"}},

		{"a chunk one microsecond late", func(p *peer) {
			p.at(0).say("a", 100, false)
			p.at(100.001).say("a", 100, true)
			p.at(500)
		}, []string{"a start=0 stop=200.001 played=200 dry=100+0.001"}},

		{"buffers again after an underrun", func(p *peer) {
			p.at(0).say("a", 100, false)
			p.at(150).say("a", 60, false)
			p.at(180).say("a", 60, false)
			p.at(290).say("a", 50, false)
			p.at(350).say("a", 10, true)
			p.at(900)
		}, []string{"a start=0 stop=360 played=280 dry=100+80"}},

		{"two underruns", func(p *peer) {
			p.at(0).say("a", 100, false)
			p.at(130).say("a", 100, false)
			p.at(300).say("a", 20, true)
			p.at(900)
		}, []string{"a start=0 stop=320 played=220 dry=100+30 dry=230+70"}},

		{"done alone, when everything is played", func(p *peer) {
			p.at(0).say("a", 100, false)
			p.at(100).say("a", 0, true)
			p.at(900)
		}, []string{"a start=0 stop=100 played=100"}},

		{"done alone, too late", func(p *peer) {
			p.at(0).say("a", 100, false)
			p.at(250).say("a", 0, true)
			p.at(900)
		}, []string{"a start=0 stop=250 played=100 dry=100+150"}},

		{"two back to back", func(p *peer) {
			p.at(0).say("a", 200, true)
			p.at(50).say("b", 30, false)
			p.at(220).say("b", 100, true)
			p.at(900)
		}, []string{"a start=0 stop=200 played=200", "b start=200 stop=330 played=130"}},

		{"the second comes just when the first ends", func(p *peer) {
			p.at(0).say("a", 200, true)
			p.at(200).say("b", 30, false)
			p.at(230).say("b", 30, true)
			p.at(900)
		}, []string{"a start=0 stop=200 played=200", "b start=200 stop=260 played=60"}},

		{"the second comes after a pause", func(p *peer) {
			p.at(0).say("a", 200, true)
			p.at(201).say("b", 30, false)
			p.at(230).say("b", 80, true)
			p.at(900)
		}, []string{"a start=0 stop=200 played=200", "b start=230 stop=340 played=110"}},

		{"three in a burst", func(p *peer) {
			p.say("a", 10, true)
			p.say("b", 20, true)
			p.say("c", 30, true)
			p.at(900)
		}, []string{"a start=0 stop=10 played=10", "b start=10 stop=30 played=20", "c start=30 stop=60 played=30"}},

		{"an utterance without audio is passed over", func(p *peer) {
			p.say("a", 100, true)
			p.say("b", 0, true)
			p.say("c", 100, true)
			p.at(900)
		}, []string{"a start=0 stop=100 played=100", "b start=never stop=100 played=0", "c start=100 stop=200 played=100"}},

		{"interrupted in the middle", func(p *peer) {
			p.at(5).say("a", 3000, false)
			p.at(1239).interrupt()
			p.at(4000)
		}, []string{"a start=5 stop=1239 played=1234 interrupted"}},

		{"interrupted within a sample", func(p *peer) {
			p.at(0).say("a", 3000, false)
			p.at(10.02).interrupt() // 240.48 samples: 240 whole ones were heard
			p.at(4000)
		}, []string{"a start=0 stop=10.02 played=10 interrupted"}},

		{"interrupted with another one waiting", func(p *peer) {
			p.at(0).say("a", 300, true)
			p.at(10).say("b", 300, true)
			p.at(20).say("c", 10, false)
			p.at(100).interrupt()
			p.at(150).say("d", 100, true)
			p.at(900)
		}, []string{
			"a start=0 stop=100 played=100 interrupted", "b start=never stop=100 played=0 interrupted",
			"c start=never stop=100 played=0 interrupted", "d start=150 stop=250 played=100",
		}},

		{"interrupted while silent", func(p *peer) {
			p.at(0).say("a", 100, false)
			p.at(160).interrupt()
			p.at(900)
		}, []string{"a start=0 stop=160 played=100 interrupted dry=100+60"}},

		{"interrupted while buffering again", func(p *peer) {
			p.at(0).say("a", 100, false)
			p.at(130).say("a", 40, false)
			p.at(160).interrupt()
			p.at(900)
		}, []string{"a start=0 stop=160 played=100 interrupted dry=100+60"}},

		{"interrupted at the very end", func(p *peer) {
			p.at(0).say("a", 100, true)
			p.at(100).interrupt()
			p.at(900)
		}, []string{"a start=0 stop=100 played=100"}},

		{"the peer leaves in the middle", func(p *peer) {
			p.at(0).say("a", 300, true)
			p.at(0).say("b", 300, true)
			p.at(120)
		}, []string{"a start=0 stop=never played=120", "b start=never stop=never played=0"}},

		{"the peer leaves while silent", func(p *peer) {
			p.at(0).say("a", 100, false)
			p.at(160)
		}, []string{"a start=0 stop=never played=100 dry=100+60"}},

		{"the peer leaves while buffering again", func(p *peer) {
			p.at(0).say("a", 100, false)
			p.at(140).say("a", 50, false)
			p.at(160)
		}, []string{"a start=0 stop=never played=100 dry=100+60"}},

		{"the peer leaves when everything is played", func(p *peer) {
			p.at(0).say("a", 100, false)
			p.at(100)
		}, []string{"a start=0 stop=never played=100"}},

		{"16 kHz after 24 kHz", func(p *peer) {
			p.samples("a", 2400, 24000, true)
			p.samples("b", 2400, 16000, true)
			p.at(900)
		}, []string{"a start=0 stop=100 played=100", "b start=100 stop=250 played=150"}},

		{"a new id ends the old utterance", func(p *peer) {
			p.at(0).say("a", 60, false)
			p.at(20).say("b", 60, true)
			p.at(900)
		}, []string{"a start=20 stop=80 played=60", "b start=80 stop=140 played=60"}},

		{"a new id ends the old utterance, which had run dry", func(p *peer) {
			p.at(0).say("a", 100, false)
			p.at(150).say("b", 60, true)
			p.at(900)
		}, []string{"a start=0 stop=150 played=100 dry=100+50", "b start=150 stop=210 played=60"}},

		{"a new id just when the old utterance runs dry", func(p *peer) {
			p.at(0).say("a", 100, false)
			p.at(100).say("b", 60, false)
			p.at(130).say("b", 60, true)
			p.at(900)
		}, []string{"a start=0 stop=100 played=100", "b start=100 stop=220 played=120"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := timelines(run(t, unlimited, test.script).Report); !slices.Equal(got, test.want) {
				t.Errorf("played\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// quiet is a listener that keeps only when utterances started.
type quiet struct{ starts []time.Time }

func (*quiet) heard(*utterance, []int16)                       {}
func (q *quiet) started(_ *utterance, at time.Time)            { q.starts = append(q.starts, at) }
func (*quiet) recordUnderrun(*utterance, time.Time, time.Time) {}
func (*quiet) stopped(*utterance, time.Time, bool)             {}
func (*quiet) idle(*utterance, time.Time)                      {}

// A message may have arrived just before the last tick of the clock. It counts as in time, but
// nothing plays before the audio before it.
func TestMessageArrivedBeforeLastTick(t *testing.T) {
	q, start := &quiet{}, time.Now()
	ms := func(n int) time.Time { return start.Add(time.Duration(n) * time.Millisecond) }
	r := renderer{listener: q, preBuffer: DefaultPreBuffer, interval: recordInterval}
	a, b := &utterance{}, &utterance{}
	a.record.Rate, b.record.Rate = 24000, 24000
	r.add(a, make([]int16, 2400), ms(0))
	r.finish(a, ms(0))
	r.advance(ms(101))
	r.add(b, make([]int16, 240), ms(99))
	if !slices.Equal(q.starts, []time.Time{ms(0), ms(100)}) {
		t.Errorf("started at %v", q.starts)
	}
	r.interrupt(ms(105))
	if a.pending != nil || b.pending != nil || len(r.queue) > 0 {
		t.Error("audio is kept after its end")
	}
}

// The end of the received audio may fall between the time up to which it was played and the
// time of the question what is due. The rest is due then, and nothing once it was played.
func TestRestIsDue(t *testing.T) {
	start := time.Now()
	ms := func(n int) time.Time { return start.Add(time.Duration(n) * time.Millisecond) }
	r := renderer{listener: &quiet{}, preBuffer: DefaultPreBuffer, interval: recordInterval}
	u := &utterance{}
	u.record.Rate = 24000
	r.add(u, make([]int16, 2400), ms(0))
	r.advance(ms(99))
	if wait, ok := r.untilDue(ms(101)); !ok || wait > 0 {
		t.Errorf("after the end of the audio, something is due in %v: %t", wait, ok)
	}
	r.advance(ms(101))
	if wait, ok := r.untilDue(ms(101)); ok {
		t.Errorf("all was played, and something is due in %v", wait)
	}
}

func TestPlayingTime(t *testing.T) {
	tests := []struct {
		samples int64
		rate    int
		want    time.Duration
	}{
		{0, 24000, 0},
		{1, 24000, 41_667}, // 41666.6… ns: over when the sample is
		{1, 16000, 62_500},
		{24000, 24000, time.Second},
		{24001, 24000, time.Second + 41_667},
		{1 << 40, 24000, 45_812_984*time.Second + 490_666_667},
	}
	for _, test := range tests {
		if got := playingTime(test.samples, test.rate); got != test.want {
			t.Errorf("%d samples at %d Hz play for %v, want %v", test.samples, test.rate, got, test.want)
		}
	}
}

func TestPreBuffer(t *testing.T) {
	for preBuffer, start := range map[time.Duration]string{-1: "0", 0: "60", 40 * time.Millisecond: "30",
		time.Hour: "90"} {
		o := run(t, &Options{PreBuffer: preBuffer}, func(p *peer) {
			for n := range 4 {
				p.at(float64(30*n)).say("a", 35, n == 3)
			}
			p.at(900)
		})
		if got := offset(o.Utterances[0].StartedMS); got != start {
			t.Errorf("pre-buffer %v: started at %s ms, want %s", preBuffer, got, start)
		}
	}
}

// A sender that waits for the playback of what it sent hears it, however little that is.
func TestPreBufferTimesOut(t *testing.T) {
	o := run(t, unlimited, func(p *peer) {
		p.at(0).say("a", 50, false)
		p.at(400).say("a", 20, false)
		p.at(2000).say("a", 50, false)
		p.at(5000).say("a", 1, true)
		p.at(6000)
	})
	want := []string{"a start=900 stop=5001 played=121 dry=970+1530 dry=2550+2450"}
	if got := timelines(o.Report); !slices.Equal(got, want) {
		t.Errorf("played %q, want %q", got, want)
	}
}

// Ten minutes in chunks of 50 ms, each a little early or late but never beyond the cushion,
// end at the expected time, to the nanosecond.
func TestTenMinutes(t *testing.T) {
	minutes := testwait.Trials(10)
	chunks := minutes * 60 * 20
	jitter := rand.New(rand.NewPCG(1, 2))
	audio := base64.StdEncoding.EncodeToString(make([]byte, 2400))
	message, last := echoMessage("a", audio, 24000, false), echoMessage("a", audio, 24000, true)
	o := run(t, nil, func(p *peer) {
		p.raw(message)
		for n := 1; n < chunks-1; n++ {
			p.at(float64(50*n) + float64(jitter.IntN(40_000))/1000).raw(message)
		}
		p.at(float64(50 * chunks)).raw(last)
		p.at(float64(minutes*60_000 + 100_000))
	})
	u := o.Utterances[0]
	if len(u.Underruns) != 0 || o.ComplaintCount != 0 {
		t.Fatalf("underruns %v, complaints %v", u.Underruns, o.Complaints)
	}
	if seconds := float64(60 * minutes); *u.StoppedMS-*u.StartedMS != 1000*seconds || u.PlayedSeconds != seconds ||
		u.Chunks != chunks {
		t.Errorf("%d chunks from %v to %v ms, %v s played", u.Chunks, *u.StartedMS, *u.StoppedMS, u.PlayedSeconds)
	}
}

// arrivalAt is one line of a random script, in whole milliseconds.
type arrivalAt struct {
	at, length int
	id         string
	done       bool
	interrupt  bool
}

// TestPlayoutAgainstTicks compares the replica with one that checks everything once a
// millisecond.
func TestPlayoutAgainstTicks(t *testing.T) {
	for seed := range uint64(300) {
		script := randomScript(rand.New(rand.NewPCG(seed, 7)))
		o := run(t, unlimited, func(p *peer) {
			for _, a := range script {
				p.at(float64(a.at))
				if a.interrupt {
					p.interrupt()
					continue
				}
				p.say(a.id, a.length, a.done)
			}
			p.at(20_000)
		})
		got, want := timelines(o.Report), tick(script)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d, script %+v\nplayed\n%s\nwant\n%s", seed, script, strings.Join(got, "\n"),
				strings.Join(want, "\n"))
		}
	}
}

// randomScript sends a few utterances with gaps around what playback needs;
// many arrivals fall exactly on the millisecond when they are due.
func randomScript(r *rand.Rand) []arrivalAt {
	var script []arrivalAt
	now := 0
	for id := range 1 + r.IntN(4) {
		chunks := 1 + r.IntN(6)
		for n := range chunks {
			length := 10 * (1 + r.IntN(6))
			script = append(script, arrivalAt{at: now, length: length, id: fmt.Sprint(id), done: n == chunks-1})
			now += 10 * r.IntN(8)
			if r.IntN(10) == 0 {
				now += 10 * (45 + r.IntN(10)) // around the time-out of the pre-buffer
			}
			if r.IntN(15) == 0 {
				script = append(script, arrivalAt{at: now, interrupt: true})
				break
			}
		}
		if r.IntN(3) == 0 {
			now += 100
		}
	}
	return script
}

// modelUtterance is an utterance in the millisecond model.
type modelUtterance struct {
	Utterance
	left    int
	closed  bool
	dry     int // since when, -1 if not
	waiting bool
}

// tick is the slow, obvious model of the playout.
func tick(script []arrivalAt) []string {
	var all, queue []*modelUtterance
	playing, lastStop, lastChunk := false, -1, 0
	stop := func(u *modelUtterance, now int, interrupted bool) {
		if u.waiting {
			u.Underruns = append(u.Underruns, Underrun{AtMS: float64(u.dry), SilenceMS: float64(now - u.dry)})
		}
		u.StoppedMS, u.Interrupted = new(float64(now)), interrupted
		queue, playing = queue[1:], false
	}
	begin := func(now int) {
		for !playing && len(queue) > 0 {
			u := queue[0]
			if u.left == 0 || !u.closed && u.left < 100 && lastStop != now && now < lastChunk+500 {
				return
			}
			playing = true
			if u.waiting {
				u.Underruns = append(u.Underruns, Underrun{AtMS: float64(u.dry), SilenceMS: float64(now - u.dry)})
				u.waiting = false
			}
			if u.StartedMS == nil {
				u.StartedMS = new(float64(now))
			}
		}
	}
	for now := range 20_000 {
		if playing && queue[0].left == 0 && queue[0].closed {
			stop(queue[0], now, false)
			lastStop = now
		}
		begin(now)
		for len(script) > 0 && script[0].at == now {
			a := script[0]
			script = script[1:]
			if a.interrupt {
				for len(queue) > 0 {
					stop(queue[0], now, true)
				}
				continue
			}
			if len(queue) == 0 || queue[len(queue)-1].ID != a.id {
				u := &modelUtterance{Utterance: Utterance{ID: a.id}}
				all, queue = append(all, u), append(queue, u)
			}
			u := queue[len(queue)-1]
			u.left += a.length
			lastChunk = now
			u.closed = a.done
			begin(now)
		}
		if playing && queue[0].left == 0 && !queue[0].closed {
			playing = false
			queue[0].dry, queue[0].waiting = now, true
		}
		begin(now)
		if playing {
			queue[0].left--
			queue[0].PlayedSamples += 24
		}
	}
	var lines []string
	for _, u := range all {
		u.PlayedSeconds = seconds(u.PlayedSamples, 24000)
		lines = append(lines, timeline(u.Utterance))
	}
	return lines
}

// OnSound gets everything that plays, in order, with the time of its first sample.
func TestOnSound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard []int16
		var begun, last time.Time
		parts := 0
		s := newSession(Options{OnSound: func(at time.Time, rate int, samples []int16) {
			if begun.IsZero() {
				begun = at
			}
			if want := begun.Add(playingTime(int64(len(heard)), rate)); !at.Equal(want) {
				t.Errorf("part %d was due at %v, want %v", parts, at, want)
			}
			if behind := time.Since(at); behind > 2*soundInterval {
				t.Errorf("part %d is %v late", parts, behind)
			}
			heard = append(heard, samples...)
			last = at
			parts++
		}, OnEvent: func(Event) {}, OnUtterance: func(Utterance) {}, MessageLimit: -1}, time.Now())
		u := &utterance{record: Utterance{Rate: 24000}, from: &participant{}}
		s.hasJoined = true
		samples := make([]int16, 24000)
		for i := range samples {
			samples[i] = int16(i)
		}
		s.renderer.add(u, samples, time.Now())
		s.renderer.finish(u, time.Now())
		for wait, more := s.renderer.untilDue(time.Now()); more; wait, more = s.renderer.untilDue(time.Now()) {
			time.Sleep(wait)
			s.renderer.advance(time.Now())
		}
		if !slices.Equal(heard, samples) || parts < 50 || last.Sub(begun) < 970*time.Millisecond {
			t.Errorf("%d of %d samples in %d parts, the last after %v", len(heard), len(samples), parts, last.Sub(begun))
		}
	})
}
