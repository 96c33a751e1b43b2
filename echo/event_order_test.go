package echo

import (
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"echocast/internal/testwait"
)

// eventArrival is an event of a generated conversation, and when it arrives.
type eventArrival struct {
	event Event
	at    time.Duration
	twin  bool // it says again what another says
}

// conversationOf generates the events of a user and a replica, in the order of
// emission: turns of speech, and what the user says in each.
func conversationOf(chance *rand.Rand) (events []eventArrival) {
	var now time.Duration
	epoch := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	add := func(e Event) {
		e.Seq = int64(len(events) + 1)
		e.Duration = -1
		e.Time = epoch.Add(now)
		events = append(events, eventArrival{event: e, at: now})
	}
	for turn := range 1 + chance.IntN(5) {
		add(Event{Kind: StartedSpeaking, Type: "conversation.user.started_speaking", Role: RoleUser, Turn: turn})
		now += time.Duration(50+chance.IntN(2000)) * time.Millisecond
		add(Event{Kind: StoppedSpeaking, Type: "conversation.user.stopped_speaking", Role: RoleUser, Turn: turn})
		if chance.IntN(3) > 0 { // else it was a cough
			add(Event{Kind: KindUtterance, Type: "conversation.utterance", Role: RoleUser, Turn: turn,
				Text: fmt.Sprint("question ", turn)})
		}
		now += time.Duration(chance.IntN(500)) * time.Millisecond
		id := fmt.Sprint("answer ", turn)
		add(Event{Kind: StartedSpeaking, Type: "conversation.started_speaking", Role: RolePal, InferenceID: id, Turn: turn})
		now += time.Duration(50+chance.IntN(2000)) * time.Millisecond
		add(Event{Kind: StoppedSpeaking, Type: "conversation.stopped_speaking", Role: RolePal, InferenceID: id,
			Turn: turn, Interrupted: chance.IntN(2) == 0})
		now += time.Duration(chance.IntN(1500)) * time.Millisecond
	}
	return events
}

// arrivals loses, repeats and delays events, so that they overtake each other.
func arrivals(chance *rand.Rand, events []eventArrival) (came []eventArrival) {
	for _, one := range events {
		if chance.IntN(10) == 0 {
			continue
		}
		for i := range 1 + chance.IntN(3) {
			late := one
			late.at += time.Duration(chance.IntN(3000)) * time.Millisecond
			late.twin = i > 0
			came = append(came, late)
		}
	}
	slices.SortStableFunc(came, func(a, b eventArrival) int { return cmp.Compare(a.at, b.at) })
	return came
}

// Whatever is lost, late or repeated: the events of each speaker are in order, none is
// reported twice, and the last one is the last that arrived. What a user said is reported
// exactly once.
func TestSpeakerEventsAreOrdered(t *testing.T) {
	for seed := range uint64(testwait.Trials(20_000)) {
		chance := rand.New(rand.NewPCG(seed, 18))
		came := arrivals(chance, conversationOf(chance))
		numbered := chance.IntN(4) > 0 // else the times of emission have to do
		filter := NewEventFilter()
		start := time.Now()
		last, newest, said := map[speaker]int64{}, map[speaker]int64{}, map[int64]int{}
		for _, one := range came {
			seq := one.event.Seq
			if !numbered {
				one.event.Seq = 0
			}
			news := filter.IsNews(start.Add(one.at), one.event)
			about, ordered := speakerOf(one.event)
			if !ordered {
				if news {
					said[seq]++
				} else if said[seq] == 0 {
					t.Fatalf("seed %d: an utterance that nobody has told yet is no news", seed)
				}
				continue
			}
			newest[about] = max(newest[about], seq)
			if news && seq <= last[about] {
				t.Fatalf("seed %d: number %d is news after number %d", seed, seq, last[about])
			}
			if news {
				last[about] = seq
			}
		}
		for about, seq := range newest {
			if last[about] != seq {
				t.Fatalf("seed %d: of %+v number %d counts, not %d", seed, about, last[about], seq)
			}
		}
		for seq, times := range said {
			if times != 1 && numbered {
				t.Fatalf("seed %d: utterance %d is news %d times", seed, seq, times)
			}
		}
	}
}

// When the service restarts its sequence numbers, new events do not count as old.
func TestSpeakerEventsAfterSeqReset(t *testing.T) {
	filter := NewEventFilter()
	now := time.Now()
	for i, c := range []struct {
		kind Kind
		seq  int64
		want bool
	}{
		{StartedSpeaking, 1000, true}, {StoppedSpeaking, 1001, true}, {StartedSpeaking, 1000, false},
		{StartedSpeaking, 3, true},
		{StoppedSpeaking, 4, true}, {StartedSpeaking, 3, false}, {StartedSpeaking, 5, true},
	} {
		e := Event{Kind: c.kind, Type: string(c.kind), Role: RoleUser, Seq: c.seq, Duration: -1}
		if got := filter.IsNews(now.Add(time.Duration(i)*5*time.Second), e); got != c.want {
			t.Errorf("event %d, number %d: news is %v, want %v", i, c.seq, got, c.want)
		}
	}
}

// Without numbers and times, a second start is reported only if a stop was between them.
func TestSpeakerEventsWithoutSeq(t *testing.T) {
	filter := NewEventFilter()
	now := time.Now()
	for i, c := range []struct {
		kind Kind
		want bool
	}{{StartedSpeaking, true}, {StartedSpeaking, false}, {StoppedSpeaking, true}, {StoppedSpeaking, false},
		{StartedSpeaking, true}} {
		e := Event{Kind: c.kind, Type: string(c.kind), Role: RoleUser, Duration: -1}
		if got := filter.IsNews(now.Add(time.Duration(i)*100*time.Millisecond), e); got != c.want {
			t.Errorf("event %d, %s: news is %v, want %v", i, c.kind, got, c.want)
		}
	}
}

// User events that are late, repeated and out of order interrupt the replica for no longer
// than a user may speak: the speech ends soon after the last of them.
func TestLateUserEventsDoNotSilenceReplica(t *testing.T) {
	const length = 4 * time.Second
	for seed := range uint64(testwait.Trials(1000)) {
		synctest.Test(t, func(t *testing.T) {
			chance := rand.New(rand.NewPCG(seed, 19))
			r := newRoom()
			s, err := NewSession(NewMessages(r, "c1", 0), &Options{Rate: testRate, BargeIn: true, Resume: true})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close(); r.hangUp() }()
			r.join()
			r.playReceived(sameID)
			var end time.Duration
			starts := 0
			for _, one := range arrivalsOfUser(chance) {
				end = one.at
				if one.event.Kind == StartedSpeaking && !one.twin {
					starts++
				}
				time.AfterFunc(one.at, func() {
					kind := map[Kind]string{StartedSpeaking: "started", StoppedSpeaking: "stopped"}[one.event.Kind]
					r.say(`{"event_type":"conversation.%s_speaking","seq":%d,"properties":{"role":"user"}}`, kind, one.event.Seq)
				})
			}
			feed := NewFeed(&silent{int(length.Seconds()) * testRate, io.EOF}, FeedOptions{Rate: testRate, Keep: time.Minute})
			defer feed.Close()
			began := time.Now()
			receipt, err := s.Speak(t.Context(), Speech{Samples: feed, Abort: feed.Abort})
			if took := time.Since(began); err != nil || receipt.Outcome != Finished ||
				took > end+length+time.Duration(starts+1)*time.Second {
				t.Errorf("seed %d: it took %v, and the last event came after %v: %v, %+v", seed, took, end, err, receipt)
			}
			interrupts := 0
			for _, m := range r.messages() {
				if m.interrupts() {
					interrupts++
				}
			}
			if interrupts > starts {
				t.Errorf("seed %d: %d interrupts for a user who began %d times", seed, interrupts, starts)
			}
		})
	}
}

// arrivalsOfUser are the events of a user, of which no stop is lost.
func arrivalsOfUser(chance *rand.Rand) (came []eventArrival) {
	for _, one := range conversationOf(chance) {
		if one.event.Role != RoleUser || one.event.Kind == KindUtterance {
			continue
		}
		for i := range 1 + chance.IntN(3) {
			late := one
			late.at += time.Duration(chance.IntN(3000)) * time.Millisecond
			late.twin = i > 0
			came = append(came, late)
		}
	}
	slices.SortStableFunc(came, func(a, b eventArrival) int { return cmp.Compare(a.at, b.at) })
	return came
}
