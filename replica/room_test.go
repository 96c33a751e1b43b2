package replica

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// roomTest is a room in fake time.
type roomTest struct {
	t      *testing.T
	room   *Room
	start  time.Time
	joined sync.WaitGroup
}

// inRoom runs a script in a room and returns its report. Who has not left when
// the script returns leaves then.
func inRoom(t *testing.T, opts *Options, script func(r *roomTest)) (report Report, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := &roomTest{t: t, room: NewRoom(opts), start: time.Now()}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			report, err = r.room.Run(ctx)
		}()
		script(r)
		synctest.Wait()
		cancel()
		<-ended
		r.joined.Wait()
	})
	return report, err
}

// member is a participant with what it has received.
type member struct {
	peer
	err      error         // of Join
	left     chan struct{} // closed when Join has returned
	messages []string      // event type and inference id, at a time
}

// join lets somebody join and read until it has left.
func (r *roomTest) join(name string) *member {
	m := &member{peer: peer{t: r.t, conn: newPipe(), start: r.start}, left: make(chan struct{})}
	r.joined.Go(func() {
		defer close(m.left)
		m.err = r.room.Join(r.t.Context(), m.conn, name)
	})
	r.joined.Go(func() { m.readUntilLeft() })
	synctest.Wait()
	return m
}

func (m *member) readUntilLeft() {
	for {
		select {
		case raw := <-m.conn.out:
			envelope, _ := decodeObject(raw)
			event, _ := decodeText(envelope["event_type"])
			properties, _ := decodeObject(envelope["properties"])
			if role, _ := decodeText(properties["role"]); role == "replica" {
				continue // the twin of an event
			}
			line := fmt.Sprintf("%v %s", milliseconds(time.Since(m.start)), strings.TrimPrefix(event, "conversation."))
			if string(properties["interrupted"]) == "true" {
				line += " interrupted"
			}
			m.messages = append(m.messages, line)
		case <-m.left:
			return
		}
	}
}

// leave closes the connection of m.
func (m *member) leave() {
	close(m.conn.gone)
	<-m.left
}

func wantMessages(t *testing.T, who string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s got\n%s\nwant\n%s", who, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEverybodyInTheRoomGetsEvents(t *testing.T) {
	var a, b *member
	report, err := inRoom(t, unlimited, func(r *roomTest) {
		a = r.join("a")
		a.say("one", 1000, false)
		a.at(200)
		b = r.join("b")
		b.at(500).interrupt()
		a.at(550).say("one", 100, false) // it may not know yet
		b.at(600)
		b.leave()
		a.say("two", 100, true)
		a.at(1000)
		a.leave()
	})
	if err != nil || report.End != EndPeerGone || report.ComplaintCount != 0 {
		t.Errorf("end %s, error %v, complaints %v", report.End, err, report.Complaints)
	}
	wantMessages(t, "a", a.messages, "0 system.replica_joined", "0 system.pal_joined", "0 started_speaking",
		"500 interrupt", "500 stopped_speaking interrupted", "600 started_speaking", "700 stopped_speaking")
	wantMessages(t, "b", b.messages, "200 system.replica_joined", "200 system.pal_joined",
		"500 stopped_speaking interrupted", "550 echo")
}

func TestTwoSenders(t *testing.T) {
	report, err := inRoom(t, unlimited, func(r *roomTest) {
		a, b := r.join("a"), r.join("b")
		for n := range 4 {
			a.at(float64(50*n)).say("one", 100, n == 3)
			synctest.Wait()
			b.say("two", 50, n == 3)
		}
		a.at(2000)
	})
	if err != nil || report.ComplaintCount != 0 {
		t.Errorf("error %v, complaints %v", err, report.Complaints)
	}
	want := []string{"one start=0 stop=400 played=400", "two start=400 stop=600 played=200"}
	if got := timelines(report); !slices.Equal(got, want) {
		t.Errorf("played %q, want %q", got, want)
	}
	if report.Utterances[0].Participant != "a" || report.Utterances[1].Participant != "b" {
		t.Errorf("the senders are %q and %q", report.Utterances[0].Participant, report.Utterances[1].Participant)
	}
}

// An utterance that its sender leaves unfinished does not block others.
func TestSenderLeavesDuringUtterance(t *testing.T) {
	report, _ := inRoom(t, unlimited, func(r *roomTest) {
		a, b := r.join("a"), r.join("b")
		a.say("one", 200, false)
		b.at(100).say("two", 200, true)
		b.at(500)
		a.leave()
		b.at(2000)
	})
	want := []string{"one start=0 stop=500 played=200 dry=200+300", "two start=500 stop=700 played=200"}
	if got := timelines(report); !slices.Equal(got, want) {
		t.Errorf("played %q, want %q", got, want)
	}
	if report.ComplaintCount != 1 || report.Complaints[0].Kind != KindNeverDone ||
		report.Complaints[0].Participant != "a" {
		t.Errorf("complaints %+v", report.Complaints)
	}
}

func TestIdleSenderTimesOut(t *testing.T) {
	report, _ := inRoom(t, unlimited, func(r *roomTest) {
		a, b := r.join("a"), r.join("b")
		a.say("one", 200, false)
		b.at(1000).say("two", 200, true)
		a.at(7000).say("one", 10, true)
		b.at(9000)
	})
	want := []string{"one start=0 stop=5200 played=200 dry=200+5000", "two start=5200 stop=5400 played=200"}
	if got := timelines(report); !slices.Equal(got, want) {
		t.Errorf("played %q, want %q", got, want)
	}
	if len(report.Complaints) != 2 || report.Complaints[0].Kind != KindNeverDone ||
		report.Complaints[1].Kind != KindMixedIDs {
		t.Errorf("complaints %+v", report.Complaints)
	}
}

// Messages of one participant reach the others and not the sender.
func TestMessagesAreRelayed(t *testing.T) {
	var a, b *member
	_, _ = inRoom(t, &Options{MessageLimit: 1000, Faults: Faults{Mute: true}}, func(r *roomTest) {
		a, b = r.join("a"), r.join("b")
		a.say("one", 10, false)
		a.say("one", 50, true) // over the limit
		a.at(10)
	})
	wantMessages(t, "a", a.messages)
	wantMessages(t, "b", b.messages, "0 echo")
}

func TestReplicaLeavesTheRoom(t *testing.T) {
	var a, b *member
	report, err := inRoom(t, &Options{MessageLimit: -1, Faults: Faults{LeaveAfter: 2}}, func(r *roomTest) {
		a, b = r.join("a"), r.join("b")
		a.say("one", 100, false)
		a.at(50).say("one", 100, false)
		<-a.left
		<-b.left
		if err := r.room.Join(r.t.Context(), newPipe(), "late"); !errors.Is(err, ErrEnded) {
			t.Errorf("somebody joins afterwards: %v", err)
		}
	})
	if err != nil || report.End != EndLeft || a.err != nil || b.err != nil {
		t.Errorf("end %s, errors %v, %v and %v", report.End, err, a.err, b.err)
	}
	wantMessages(t, "b", b.messages, "0 system.replica_joined", "0 system.pal_joined", "0 echo", "0 started_speaking",
		"50 echo", "50 system.shutdown")
}

// A participant that reads nothing is removed, and blocks nobody.
func TestParticipantThatReadsNothing(t *testing.T) {
	report, _ := inRoom(t, unlimited, func(r *roomTest) {
		a := r.join("a")
		deaf := newPipe()
		var err error
		r.joined.Go(func() { err = r.room.Join(r.t.Context(), deaf, "deaf") })
		for n := range outboxSize {
			a.say(fmt.Sprint(n), 1, true)
			a.at(float64(10 * n))
		}
		synctest.Wait()
		if !errors.Is(err, ErrTooSlow) {
			t.Errorf("the participant got %v, want %v", err, ErrTooSlow)
		}
	})
	if len(report.Utterances) != outboxSize || report.Underruns != 0 {
		t.Errorf("%d utterances, %d underruns", len(report.Utterances), report.Underruns)
	}
}

// floodPipe delivers the same message again and again, as fast as it is received.
type floodPipe struct {
	*pipe
	msg      []byte
	received atomic.Int64
}

func (f *floodPipe) Receive(ctx context.Context) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, io.EOF
	}
	f.received.Add(1)
	return f.msg, nil
}

// However fast audio arrives, at most the limit is held. Played audio makes room at once, so a
// sender never waits for long.
func TestHeldAudioIsBounded(t *testing.T) {
	const chunk, maxHeld = 2400, 100 * 2400 // samples
	audio := base64.StdEncoding.EncodeToString(make([]byte, 2*chunk))
	f := &floodPipe{pipe: newPipe(), msg: []byte(echoMessage("a", audio, 24000, false))}
	_, _ = inRoom(t, &Options{MessageLimit: -1, Faults: Faults{Mute: true}}, func(r *roomTest) {
		r.room.maxHeld = maxHeld
		ctx, cancel := context.WithCancel(r.t.Context())
		r.joined.Go(func() { _ = r.room.Join(ctx, f, "") })
		synctest.Wait()
		const most = maxHeld/chunk + 2
		full := int(f.received.Load())
		if full < maxHeld/chunk || full > most {
			t.Errorf("%d chunks were received at once, want %d to %d", full, maxHeld/chunk, most)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if more := int(f.received.Load()) - full; more < 98 || more > 102 {
			t.Errorf("%d more were received while 100 were played", more)
		}
		time.Sleep(60 * time.Second)
		synctest.Wait()
		if more := int(f.received.Load()) - full; more < 698 || more > 702 {
			t.Errorf("%d more were received while 700 were played", more)
		}
		cancel()
	})
}

// What participants say before the room runs is heard when it does.
func TestArrivalsBeforeTheRoomRuns(t *testing.T) {
	r := NewRoom(unlimited)
	s := newSession(r.opts, epoch)
	p := &participant{space: make(chan struct{}, 1), cancel: func(error) {}}
	early := epoch.Add(-time.Millisecond)
	for _, a := range []arrival{
		{from: p, isJoin: true, at: early},
		{from: p, msg: []byte(echoMessage("a", twoSamples, 24000, true)), at: early},
	} {
		if end, isOver := r.take(s, a); isOver {
			t.Fatalf("%+v", end)
		}
	}
	s.end(arrival{end: EndPeerGone, at: epoch.Add(time.Second)})
	if s.report.ComplaintCount != 0 || s.report.Samples != 2 {
		t.Errorf("%d samples were heard: %+v", s.report.Samples, s.report.Complaints)
	}
}

// However many utterances arrive, the report and the remembered ids stay within limits.
func TestReportIsBounded(t *testing.T) {
	s := newSession((&Options{MessageLimit: -1}).withDefaults(), epoch)
	p := &participant{space: make(chan struct{}, 1), cancel: func(error) {}}
	s.addParticipant(p, epoch)
	const n = 2*MaxListed + 5
	for i := range n {
		at := epoch.Add(time.Duration(i) * time.Millisecond)
		s.receive(p, []byte(echoMessage(fmt.Sprint(i), twoSamples, 24000, true)), at)
		s.outbox.flush()
		s.sendDue(at)
	}
	s.receive(p, []byte(interruptMessage), epoch.Add(time.Hour))
	s.end(arrival{end: EndPeerGone, at: epoch.Add(time.Hour)})
	if len(s.report.Utterances) != MaxListed || s.report.UtteranceCount != n || s.report.Omitted != n-MaxListed {
		t.Errorf("%d of %d utterances are listed, %d omitted", len(s.report.Utterances), s.report.UtteranceCount,
			s.report.Omitted)
	}
	if len(s.known) != MaxListed || len(s.ids) != MaxListed || p.held.Load() != 0 || len(s.renderer.queue) != 0 {
		t.Errorf("%d ids are known, %d samples held, %d utterances queued", len(s.known), p.held.Load(),
			len(s.renderer.queue))
	}
}

// Chunks of one sample each cannot exceed the limit.
func TestShortChunksAreStoredTogether(t *testing.T) {
	u := &utterance{}
	for range 100_000 {
		u.keep([]int16{1})
	}
	total := 0
	for _, samples := range u.pending {
		total += len(samples)
	}
	if total != 100_000 || len(u.pending) > 100_000/(16*shortChunk)+1 {
		t.Errorf("%d samples in %d slices", total, len(u.pending))
	}
}

// Faults can be changed while participants are in the room, and a user can speak.
func TestRoomIsControlled(t *testing.T) {
	var a *member
	_, err := inRoom(t, unlimited, func(r *roomTest) {
		a = r.join("a")
		a.at(100).say("one", 100, true)
		a.at(300)
		r.room.SetFaults(Faults{Drop: []Sent{SentStarted}, InterruptAfter: 50 * time.Millisecond})
		a.say("two", 200, true)
		a.at(600)
		r.room.SetFaults(Faults{})
		r.room.UserSpeaks(true)
		r.room.UserSpeaks(true)
		a.at(800)
		r.room.UserSpeaks(false)
		a.at(900).say("three", 100, true)
		a.at(1200)
		a.leave()
		r.room.UserSpeaks(true) // nobody is there
	})
	if err != nil {
		t.Error(err)
	}
	wantMessages(t, "a", a.messages, "0 system.replica_joined", "0 system.pal_joined", "100 started_speaking",
		"200 stopped_speaking",
		"350 stopped_speaking interrupted", "600 started_speaking", "800 stopped_speaking", "900 started_speaking",
		"1000 stopped_speaking")
}
