package replica

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// order lists every message as "20 started_speaking pal".
func (o outcome) order() []string {
	var lines []string
	for _, e := range o.events {
		name := e.EventType[strings.IndexByte(e.EventType, '.')+1:]
		if e.Properties != nil && e.Properties.Role != "" {
			name += " " + e.Properties.Role
		}
		lines = append(lines, fmt.Sprintf("%v %s", e.at, name))
	}
	return lines
}

// speakTwice speaks two utterances, heard from 0 to 100 and from 200 to 300 ms
func speakTwice(p *peer) {
	p.say("a", 100, true)
	p.at(200).say("b", 100, true)
	p.at(5000)
}

func TestFaultsOnTheWire(t *testing.T) {
	const startedA, startedB = "0 started_speaking pal 0 started_speaking replica",
		"200 started_speaking pal 200 started_speaking replica"
	const stoppedA, stoppedB = "100 stopped_speaking pal 100 stopped_speaking replica",
		"300 stopped_speaking pal 300 stopped_speaking replica"
	const joined = "0 replica_joined 0 pal_joined"
	tests := []struct {
		name   string
		faults Faults
		want   []string
		lost   int
	}{
		{"none", Faults{}, []string{joined, startedA, stoppedA, startedB, stoppedB}, 0},
		{"mute", Faults{Mute: true}, nil, 10},
		{"starts lost", Faults{Drop: []Sent{SentStarted}}, []string{joined, stoppedA, stoppedB}, 4},
		{"stops lost", Faults{Drop: []Sent{SentStopped}}, []string{joined, startedA, startedB}, 4},
		{"both lost", Faults{Drop: []Sent{SentStopped, SentStarted}}, []string{joined}, 8},
		{"all lost", Faults{Drop: []Sent{SentAll}}, []string{joined}, 8},
		{"joining lost", Faults{Drop: []Sent{SentJoined}}, []string{startedA, stoppedA, startedB, stoppedB}, 2},
		{"every second lost", Faults{DropEvery: 2}, []string{
			"0 replica_joined", "0 started_speaking pal", "100 stopped_speaking pal", "200 started_speaking pal",
			"300 stopped_speaking pal"}, 5},
		{"every third lost", Faults{DropEvery: 3}, []string{
			joined, "0 started_speaking replica", "100 stopped_speaking pal", startedB, "300 stopped_speaking replica"}, 3},
		{"certainly lost", Faults{Loss: 1}, nil, 10},
		{"doubled", Faults{Duplicate: true, Drop: []Sent{SentStopped}}, []string{
			"0 replica_joined 0 replica_joined 0 pal_joined 0 pal_joined",
			"0 started_speaking pal 0 started_speaking pal 0 started_speaking replica 0 started_speaking replica",
			"200 started_speaking pal 200 started_speaking pal 200 started_speaking replica 200 started_speaking replica"}, 4},
		{"delayed", Faults{Delay: 150 * time.Millisecond}, []string{
			"150 replica_joined 150 pal_joined 150 started_speaking pal 150 started_speaking replica",
			"250 stopped_speaking pal 250 stopped_speaking replica 350 started_speaking pal 350 started_speaking replica",
			"450 stopped_speaking pal 450 stopped_speaking replica"}, 0},
		{"neighbours swapped", Faults{Swap: true}, []string{
			joined, stoppedA, strings.ReplaceAll(startedA, "0 ", "100 "), stoppedB, strings.ReplaceAll(startedB, "200", "300")},
			0},
		{"every second held back", Faults{HoldBack: 250 * time.Millisecond}, []string{
			joined, stoppedA, strings.ReplaceAll(startedA, "0 ", "250 "), stoppedB, strings.ReplaceAll(startedB, "200", "450")},
			0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := run(t, &Options{MessageLimit: -1, Faults: test.faults}, speakTwice)
			if got, want := strings.Join(o.order(), " "), strings.Join(test.want, " "); got != want {
				t.Errorf("sent\n%s\nwant\n%s", got, want)
			}
			if o.EventsLost != test.lost || o.EventsSent != len(o.events) || o.ComplaintCount != 0 || o.PlayedSeconds != 0.2 {
				t.Errorf("lost %d, sent %d, played %v s, complaints %v", o.EventsLost, o.EventsSent, o.PlayedSeconds, o.Complaints)
			}
		})
	}
}

// A swapped event that is not followed by another is never sent. A replica that leaves sends
// everything.
func TestSwappedLast(t *testing.T) {
	o := run(t, &Options{MessageLimit: -1, Faults: Faults{Swap: true, LeaveAfter: 1}},
		func(p *peer) { p.say("a", 100, true) })
	if got := strings.Join(o.order(), ", "); got != "0 replica_joined, 0 pal_joined, 0 shutdown, 0 started_speaking "+
		"pal, 0 started_speaking replica" {
		t.Errorf("sent %s", got)
	}
}

func TestFaultChanceIsReproducible(t *testing.T) {
	with := func(seed uint64) string {
		o := run(t, &Options{MessageLimit: -1, IDs: IDRandom, Faults: Faults{Seed: seed, Loss: 0.4, Jitter: time.Second}},
			speakTwice)
		return strings.Join(o.order(), ", ") + " " + o.Utterances[0].EventID
	}
	first := with(7)
	if again := with(7); again != first {
		t.Errorf("with one seed\n%s\nand then\n%s", first, again)
	}
	if other := with(8); other == first {
		t.Errorf("with another seed again\n%s", other)
	}
}

func TestOwnIDs(t *testing.T) {
	o := run(t, &Options{MessageLimit: -1, IDs: IDRandom}, speakTwice)
	a, b := o.events[2].InferenceID, o.events[6].InferenceID
	if len(a) != 36 || a[14] != '4' || a == b || a == IDVersion4.of("a") {
		t.Errorf("ids %s and %s", a, b)
	}
	if o.events[4].InferenceID != a || o.Utterances[0].EventID != a {
		t.Errorf("started as %s, stopped as %s, reported as %s", a, o.events[4].InferenceID, o.Utterances[0].EventID)
	}
}

// A replica that stops reading keeps its sender waiting, and plays what it has.
func TestStall(t *testing.T) {
	var faults []string
	opts := &Options{MessageLimit: -1, Faults: Faults{StallAfter: 2, StallFor: 400 * time.Millisecond}}
	opts.OnEvent = func(e Event) {
		if e.Kind == EventFault {
			faults = append(faults, fmt.Sprintf("%v %s", e.AtMS, e.Text))
		}
	}
	var taken float64
	o := run(t, opts, func(p *peer) {
		p.raw(interruptMessage) // is no chunk
		p.at(10).say("a", 100, false)
		p.say("a", 100, false)
		p.say("a", 100, true)
		taken = milliseconds(time.Since(p.start))
		p.at(1000)
	})
	if taken != 410 || len(o.Utterances[0].Underruns) != 1 || !slices.Equal(faults, []string{"10 stops reading"}) {
		t.Errorf("taken at %v ms, underruns %v, faults %v", taken, o.Utterances[0].Underruns, faults)
	}
}

func TestStallForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := &peer{t: t, conn: newPipe(), start: time.Now(), done: make(chan struct{})}
		go p.collect()
		var report Report
		go func() {
			defer close(p.done)
			report, _ = New(p.conn, &Options{MessageLimit: -1, Faults: Faults{StallAfter: 1}}).Run(ctx)
		}()
		p.say("a", 100, false)
		synctest.Wait()
		select {
		case p.conn.in <- nil:
			t.Error("a message was read")
		case <-time.After(24 * time.Hour):
		}
		cancel()
		<-p.done
		if report.End != EndContext || report.PlayedSeconds != 0.1 || report.Messages != 1 {
			t.Errorf("report %+v", report)
		}
		noGoroutines(t)
	})
}

// parted runs a replica that ends by itself.
func parted(t *testing.T, opts *Options, script func(*peer)) (o outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &peer{t: t, conn: newPipe(), start: time.Now(), done: make(chan struct{})}
		collected := make(chan struct{})
		go func() { defer close(collected); p.collect() }()
		go func() {
			defer close(p.done)
			o.Report, o.err = New(p.conn, opts).Run(t.Context())
		}()
		script(p)
		<-p.done
		<-collected
		o.events = p.events
		noGoroutines(t)
	})
	return o
}

func TestDie(t *testing.T) {
	died := 0
	opts := &Options{MessageLimit: -1, Faults: Faults{DieAfter: 3}, Die: func() { died++ }}
	o := parted(t, opts, func(p *peer) {
		p.say("a", 50, false)
		p.at(20).say("a", 20, false)
		p.at(40).say("a", 100, false)
	})
	if got := strings.Join(o.order(), ", "); died != 1 || got != "0 replica_joined, 0 pal_joined" {
		t.Errorf("died %d times, sent %s", died, got)
	}
	if o.End != EndDied || o.EndMS != 40 || o.err != nil || o.ComplaintCount != 0 || o.Chunks != 3 {
		t.Errorf("end %q at %v ms, error %v, complaints %v", o.End, o.EndMS, o.err, o.Complaints)
	}
}

func TestLeave(t *testing.T) {
	o := parted(t, &Options{MessageLimit: -1, Faults: Faults{LeaveAfter: 2, Delay: time.Second}}, func(p *peer) {
		p.say("a", 100, false)
		p.at(50).say("a", 100, false)
	})
	want := "50 replica_joined, 50 pal_joined, 50 started_speaking pal, 50 started_speaking replica, 50 shutdown"
	if got := strings.Join(o.order(), ", "); got != want || o.End != EndLeft || o.err != nil || o.ComplaintCount != 0 {
		t.Errorf("sent %s, end %q, error %v, complaints %v", got, o.End, o.err, o.Complaints)
	}
	got, want2 := shape(t, "", o.events[4].raw), shape(t, "", []byte(fixture(t, "testdata/recv/system_shutdown.json")))
	got = slices.DeleteFunc(got, func(field string) bool { return field == "timestamp text" })
	if !slices.Equal(got, append([]string{}, want2...)) {
		t.Errorf("shutdown is %v, want %v", got, want2)
	}
}

func TestInterruptByOther(t *testing.T) {
	o := run(t, &Options{MessageLimit: -1, IDs: IDRaw, Faults: Faults{InterruptAfter: 250 * time.Millisecond}},
		func(p *peer) {
			p.at(10).say("a", 100, true)
			p.at(500).say("b", 100, false)
			p.at(800).say("b", 100, false) // 200 ms too late, which is no playing
			p.say("c", 100, true)
			p.at(900).say("c", 100, true) // unaware
			p.at(950).say("d", 400, true)
			p.at(2000).say("c", 100, true) // deaf
			p.at(2500)
		})
	want := []string{
		"10 started_speaking a", "110 stopped_speaking 0.1 interrupted=false a",
		"500 started_speaking b", "850 stopped_speaking 0.15 interrupted=true b", "850 stopped_speaking 0 interrupted=true c",
		"950 started_speaking d", "1350 stopped_speaking 0.4 interrupted=false d",
	}
	if got := o.speaking("pal"); !slices.Equal(got, want) {
		t.Errorf("said\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if want := []Interrupt{{AtMS: 850, Utterances: 2, DroppedSamples: 24 * 150,
		ByOther: true}}; !slices.Equal(o.Interrupts, want) {
		t.Errorf("interrupts %+v", o.Interrupts)
	}
	if got := o.kinds(); !slices.Equal(got, []Kind{KindMixedIDs, KindAfterInterrupt}) {
		t.Errorf("complaints %v", o.Complaints)
	}
}

func TestUserSpeaks(t *testing.T) {
	faults := Faults{UserAt: 150 * time.Millisecond, UserFor: 2 * time.Second, UserSays: "Which boat leaves first?"}
	o := run(t, &Options{ConversationID: "c1", MessageLimit: -1, Legacy: true, Faults: faults}, speakTwice)
	var got []string
	for _, e := range o.events {
		p := e.Properties
		if p != nil && p.Role == "user" || strings.HasPrefix(e.EventType, "conversation.user.") {
			got = append(got, fmt.Sprintf("%v %s", e.at, strings.TrimPrefix(e.EventType, "conversation.")))
		}
	}
	want := []string{"250 started_speaking", "250 user.started_speaking", "2250 stopped_speaking",
		"2250 user.stopped_speaking", "2250 utterance"}
	if !slices.Equal(got, want) {
		t.Errorf("the user\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, e := range o.events {
		name := map[string]string{"conversation.user.started_speaking": "legacy_user_started_speaking",
			"conversation.user.stopped_speaking": "legacy_user_stopped_speaking"}[e.EventType]
		if e.EventType == "conversation.started_speaking" && e.Properties.Role == "user" {
			name = "started_speaking_user"
		}
		if name == "" {
			continue
		}
		if got, want := shape(t, "", e.raw),
			shape(t, "", []byte(fixture(t, "testdata/recv/"+name+".json"))); !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if last := o.events[len(o.events)-1]; last.Properties.Speech != faults.UserSays || len(last.InferenceID) != 36 {
		t.Errorf("the user says %+v", last)
	}
}

func TestFaultsCheck(t *testing.T) {
	for want, faults := range map[string]Faults{
		"":                         {Loss: 1, Drop: SentKinds},
		"DropEvery -1":             {DropEvery: -1},
		"DieAfter -2":              {DieAfter: -2},
		"Delay -1ns":               {Delay: -1},
		"Loss 1.5":                 {Loss: 1.5},
		"Loss NaN":                 {Loss: math.NaN()},
		`unknown kind of event "x`: {Drop: []Sent{"x"}},
	} {
		err := faults.Check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: %v, want %q", faults, err, want)
		}
	}
}
