package echo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"echocast/internal/testwait"
)

var sequenceStart = time.Date(2026, 7, 20, 9, 0, 0, 0, time.UTC)

func after(ms int) time.Time { return sequenceStart.Add(time.Duration(ms) * time.Millisecond) }

// sequence is a Sequencer that is asked whenever it is due.
type sequence struct {
	*Sequencer
	out  []string // the types of what came out, with "gap n" before them
	seqs []int64
	gaps int64
}

// holds is how many events wait.
func (s *sequence) holds() (n int) {
	for _, order := range s.orders {
		n += len(order.held) + len(order.unnumbered) + len(order.ready)
	}
	return n + len(s.overflow)
}

// runTo asks at every time it is due until now.
func (s *sequence) runTo(now time.Time) {
	for at, ok := s.Due(); ok && !at.After(now); at, ok = s.Due() {
		s.drain(at)
	}
}

func (s *sequence) drain(now time.Time) {
	for e, gap, ok := s.Next(now); ok; e, gap, ok = s.Next(now) {
		if gap > 0 {
			s.out = append(s.out, fmt.Sprint("gap ", gap))
		}
		s.out, s.seqs, s.gaps = append(s.out, e.Type), append(s.seqs, e.Seq), s.gaps+gap
	}
}

func (s *sequence) add(now time.Time, e Event) {
	s.runTo(now)
	s.Add(now, e)
	s.drain(now)
}

func numbered(seq int64, name string) Event { return Event{Type: name, Seq: seq, Duration: -1} }

func TestSequencer(t *testing.T) {
	const window = 250
	type came struct {
		ms int
		e  Event
	}
	spoke := func(kind Kind, name, role string, seq int64, interrupted bool) Event {
		return Event{Kind: kind, Type: name, Role: role, InferenceID: "u1", Seq: seq, Turn: 3,
			Interrupted: interrupted, Duration: -1}
	}
	heartbeat := func(name string, attempt int) Event {
		return Event{Kind: ReplicaPresent, Type: name, Role: RolePal, Attempt: attempt, Duration: -1}
	}
	emitted := func(e Event, ms int) Event {
		e.Time = after(ms)
		return e
	}
	for name, test := range map[string]struct {
		came []came
		want string
	}{
		"in order":               {[]came{{0, numbered(7, "a")}, {1, numbered(8, "b")}, {300, numbered(9, "c")}}, "a b c"},
		"the first are swapped":  {[]came{{0, numbered(8, "b")}, {100, numbered(7, "a")}}, "a b"},
		"later ones are swapped": {[]came{{0, numbered(1, "a")}, {300, numbered(3, "c")}, {400, numbered(2, "b")}}, "a b c"},
		"a gap": {[]came{{0, numbered(1, "a")}, {300, numbered(4, "d")}, {310, numbered(5, "e")}},
			"a gap 2 d e"},
		"too late": {[]came{{0, numbered(1, "a")}, {300, numbered(3, "c")}, {900, numbered(2, "b")},
			{901, numbered(4, "d")}}, "a gap 1 c b d"},
		"the same again": {[]came{{0, numbered(1, "a")}, {1, numbered(1, "a")}, {900, numbered(1, "a")},
			{901, numbered(2, "b")}}, "a b"},
		"a number, two events": {[]came{{0, numbered(1, "a")}, {1, numbered(1, "b")}, {300, numbered(2, "c")}}, "a b c"},
		"no numbers":           {[]came{{0, numbered(0, "a")}, {1, numbered(0, "b")}, {2, numbered(0, "a")}}, "a b a"},
		"none follows the others": {[]came{{0, numbered(1, "a")}, {300, numbered(3, "c")}, {310, numbered(0, "x")},
			{320, numbered(2, "b")}, {321, numbered(4, "d")}}, "a b c x d"},
		"none waits in vain": {[]came{{0, numbered(1, "a")}, {300, numbered(3, "c")}, {310, numbered(0, "x")}},
			"a gap 1 c x"},
		"one stop, three messages": {[]came{
			{0, spoke(StoppedSpeaking, "new", RolePal, 60, false)}, {5, spoke(StoppedSpeaking, "new", RolePal, 60, false)},
			{10, spoke(StoppedSpeaking, "old", RolePal, 61, false)}, {300, numbered(62, "x")}}, "new x"},
		"the first of twins counts": {[]came{
			{0, numbered(59, "a")}, {300, spoke(StoppedSpeaking, "old", RolePal, 62, false)}, {310, numbered(61, "b")},
			{320, spoke(StoppedSpeaking, "new", RolePal, 60, false)}, {330, numbered(63, "c")}}, "a new b c"},
		"a user is no twin of the replica": {[]came{{0, spoke(StartedSpeaking, "p", RolePal, 1, false)},
			{1, spoke(StartedSpeaking, "u", RoleUser, 2, false)}}, "p u"},
		"an interruption is news": {[]came{{0, spoke(StoppedSpeaking, "a", RolePal, 1, false)},
			{1, spoke(StoppedSpeaking, "b", RolePal, 2, true)}}, "a b"},
		"twins long after are none": {[]came{{0, spoke(StartedSpeaking, "a", RolePal, 0, false)},
			{2001, spoke(StartedSpeaking, "b", RolePal, 0, false)}}, "a b"},
		"twins emitted apart are none": {[]came{
			{0, emitted(spoke(StartedSpeaking, "a", RoleUser, 1, false), 0)},
			{900, emitted(spoke(StartedSpeaking, "b", RoleUser, 2, false), 900)}}, "a b"},
		"twins without a number": {[]came{{0, spoke(StartedSpeaking, "a", RolePal, 0, false)},
			{1, spoke(StartedSpeaking, "b", RolePal, 0, false)}}, "a"},
		"heartbeats": {[]came{{0, heartbeat("a", 1)}, {1, heartbeat("b", 1)}, {1000, heartbeat("a", 2)},
			{1001, heartbeat("b", 2)},
			{2000, heartbeat("c", 0)}, {3000, heartbeat("c", 0)}, {4001, heartbeat("c", 0)}, {5000, heartbeat("c", 0)}},
			"a a c c"},
		"calls that look alike": {[]came{{0, Event{Kind: KindToolCall, Type: "a", Seq: 1}},
			{1, Event{Kind: KindToolCall, Type: "a", Seq: 2}}}, "a a"},
		"restarted": {[]came{{0, numbered(500, "a")}, {300, numbered(502, "c")}, {310, numbered(2, "y")},
			{320, numbered(1, "x")}}, "a gap 1 c x y"},
		"restarted soon": {[]came{{0, emitted(numbered(1, "a"), 0)}, {300, emitted(numbered(2, "b"), 300)},
			{9000, emitted(numbered(1, "a"), 9000)},
			{9001, emitted(numbered(2, "b"), 9001)}}, "a b a b"},
		"absurd numbers": {[]came{{0, numbered(1, "a")}, {300, numbered(math.MaxInt64, "x")},
			{301, numbered(math.MinInt64, "y")}, {302, numbered(2, "b")},
			{303, numbered(maxSeq-1, "z")}, {900, numbered(3, "c")}, {901, numbered(4, "d")}}, "a x y b z c d"},
	} {
		s := &sequence{Sequencer: NewSequencer(window * time.Millisecond)}
		for _, c := range test.came {
			s.add(after(c.ms), c.e)
		}
		s.runTo(after(60_000))
		if got := strings.Join(s.out, " "); got != test.want {
			t.Errorf("%s: %s; want %s", name, got, test.want)
		}
	}
}

// An event is held no longer than the window, and not at all if nothing is missing.
func TestSequencerWindow(t *testing.T) {
	s := NewSequencer(100 * time.Millisecond)
	if _, ok := s.Due(); ok {
		t.Error("something is due and nothing came")
	}
	s.Add(after(0), numbered(1, "a"))
	if at, ok := s.Due(); !ok || !at.Equal(after(100)) {
		t.Errorf("the first is due at %v, %v", at, ok)
	}
	if _, _, ok := s.Next(after(99)); ok {
		t.Error("the first is not held")
	}
	if e, _, ok := s.Next(after(100)); !ok || e.Type != "a" {
		t.Errorf("%+v, %v; want a", e, ok)
	}
	s.Add(after(200), numbered(2, "b"))
	if at, ok := s.Due(); !ok || at.After(after(200)) {
		t.Errorf("the next in order is due at %v, %v", at, ok)
	}
}

// sent is one message on its way.
type sent struct {
	e  Event
	at time.Time // when it arrives
}

// conversation makes a random one: what was emitted, in order, and what arrives
// of it, in the order of arrival: some of it repeated, with twins, late by less
// than the window, or never.
func conversation(rng *rand.Rand, window time.Duration, loss float64) (ids []string, arriving []sent, missing int64) {
	seq, now := rng.Int64N(1000)+1, sequenceStart
	kinds := []Kind{StartedSpeaking, StoppedSpeaking, KindUtterance, KindUtteranceStreaming, KindToolCall, Unknown}
	var here []int64    // numbers that arrive
	var lastFirst int64 // the lowest number of the last event that arrives
	for i := range 1 + rng.IntN(120) {
		now = now.Add(time.Duration(rng.IntN(40)) * time.Millisecond)
		e := Event{Kind: kinds[rng.IntN(len(kinds))], Type: "new", Role: RolePal, InferenceID: fmt.Sprint("u", i),
			Seq: seq, Duration: -1}
		if rng.IntN(2) == 0 {
			e.Time = now
		}
		messages := []Event{e}
		if hasTwins(e.Kind) && rng.IntN(2) == 0 {
			seq += rng.Int64N(2) // a new number or the same
			old := e
			old.Type, old.Seq = "old", seq
			messages = append(messages, old)
		}
		seq++
		first := int64(0)
		for _, m := range messages {
			if rng.Float64() < loss {
				continue
			}
			for range 1 + rng.IntN(3) {
				arriving = append(arriving, sent{m, now.Add(time.Duration(rng.Int64N(int64(window))))})
			}
			here = append(here, m.Seq)
			if first == 0 {
				first, lastFirst = m.Seq, m.Seq
				ids = append(ids, e.InferenceID)
			}
		}
	}
	slices.SortStableFunc(arriving, func(a, b sent) int { return a.at.Compare(b.at) })
	for n := range lastFirst {
		if len(here) > 0 && n > here[0] && !slices.Contains(here, n) {
			missing++
		}
	}
	return ids, arriving, missing
}

// Whatever is repeated, lost, or late by less than the window: events come out as they were
// sent, in order and once, and each missing number is counted.
func TestSequencerRestoresTheOrder(t *testing.T) {
	const window = 200 * time.Millisecond
	for trial := range uint64(testwait.Trials(10_000)) {
		rng := rand.New(rand.NewPCG(trial, 1))
		ids, arriving, missing := conversation(rng, window, float64(trial%3)*0.1)
		s := &sequence{Sequencer: NewSequencer(window)}
		var got []string
		var gaps int64
		drain := func(now time.Time) {
			for e, gap, ok := s.Next(now); ok; e, gap, ok = s.Next(now) {
				got, gaps = append(got, e.InferenceID), gaps+gap
			}
		}
		runTo := func(now time.Time) {
			for at, ok := s.Due(); ok && !at.After(now); at, ok = s.Due() {
				drain(at)
			}
		}
		for _, m := range arriving {
			runTo(m.at)
			s.Add(m.at, m.e)
			drain(m.at)
		}
		runTo(sequenceStart.Add(time.Hour))
		if !slices.Equal(got, ids) || gaps != missing {
			t.Fatalf("trial %d, %d numbers missing, %d counted:\ngot  %v\nwant %v", trial, missing, gaps, got, ids)
		}
	}
}

// The number of events that wait for a missing one is limited, however many arrive within the
// window.
func TestSequencerIsBounded(t *testing.T) {
	s := &sequence{Sequencer: NewSequencer(time.Hour)}
	s.add(after(0), numbered(1, "first"))
	for seq := range int64(10_000) {
		s.add(after(0), numbered(3+seq, "more"))
		if seq%3 == 0 {
			s.add(after(0), numbered(0, "loose"))
		}
		if held := s.holds(); held > maxHeld {
			t.Fatalf("%d events held", held)
		}
	}
	s.runTo(after(4_000_000))
	s.seqs = slices.DeleteFunc(s.seqs, func(seq int64) bool { return seq == 0 })
	if len(s.seqs) != 10_001 || !slices.IsSorted(s.seqs) || s.gaps != 1 {
		t.Errorf("%d events, %d numbers missing", len(s.seqs), s.gaps)
	}
}

// However many events arrive and whatever their numbers, few are held, none is lost, and none
// waits forever.
func FuzzSequencer(f *testing.F) {
	f.Add([]byte{1, 2, 3, 200, 4}, uint64(1))
	f.Add([]byte(strings.Repeat("\x00\x07\xff", 300)), uint64(2))
	f.Fuzz(func(t *testing.T, steps []byte, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 2))
		s := &sequence{Sequencer: NewSequencer(50 * time.Millisecond)}
		now, seq := sequenceStart, int64(1)
		for i, step := range steps {
			switch step % 8 {
			case 0:
				seq = rng.Int64() - rng.Int64()
			case 1:
				seq = rng.Int64N(1 << 20)
			case 2:
				seq = 0
			case 3:
				seq -= int64(step)
			default:
				seq += int64(step/8) % 4
			}
			now = now.Add(time.Duration(step/16) * time.Millisecond)
			s.add(now, numbered(seq, fmt.Sprint(i))) // each has a different type: none is folded
			if held := s.holds(); held > maxHeld || len(s.orders[0].fingerprints) > maxFingerprints {
				t.Fatalf("%d events held, %d remembered", held, len(s.orders[0].fingerprints))
			}
		}
		s.runTo(now.Add(50 * time.Millisecond))
		if _, waits := s.Due(); waits || len(s.seqs) != len(steps) || s.gaps < 0 {
			t.Fatalf("%d of %d events came out, %d numbers missing", len(s.seqs), len(steps), s.gaps)
		}
	})
}

// Webhooks of many conversations arrive at one address: equal events of two conversations are
// not repeats, and each has its own numbers. A repeated delivery is dropped, even after
// minutes.
func TestSequencerOfManyConversations(t *testing.T) {
	s := NewSequencer(100 * time.Millisecond)
	told := map[string]int{}
	drain := func(now time.Time) {
		for e, gap, ok := s.Next(now); ok; e, gap, ok = s.Next(now) {
			told[e.ConversationID+" "+e.Type]++
			if gap != 0 {
				t.Errorf("%d events are missing before %+v", gap, e)
			}
		}
	}
	var all []Event
	for i := range 300 { // more than are kept apart
		id := fmt.Sprint("c", i)
		for n, kind := range []Kind{ReplicaJoined, Shutdown} {
			e := Event{Kind: kind, Type: string(kind), Role: RolePal, ConversationID: id, Seq: int64(n + 1),
				Time: after(n), Duration: -1}
			e.Raw = fmt.Appendf(nil, `{"conversation_id":%q,"event_type":%q}`, id, kind)
			all = append(all, e)
			s.Add(after(i+n), e)
			drain(after(i + n))
		}
	}
	for _, e := range all[len(all)-100:] {
		s.Add(after(600_000), e)
	}
	drain(after(700_000))
	if len(told) != len(all) {
		t.Errorf("%d of %d events were told", len(told), len(all))
	}
	for what, times := range told {
		if times != 1 {
			t.Errorf("%s was told %d times", what, times)
		}
	}
}

// A message without a conversation id belongs to the last conversation.
func TestSequencerOfAnUnnamedConversation(t *testing.T) {
	s := &sequence{Sequencer: NewSequencer(100 * time.Millisecond)}
	for i, id := range []string{"", "c1", "", "c1"} {
		e := numbered(int64(1+i), fmt.Sprint(i))
		e.ConversationID = id
		s.add(after(i), e)
	}
	s.runTo(after(1000))
	if !slices.Equal(s.seqs, []int64{1, 2, 3, 4}) || s.gaps != 0 || len(s.orders) != 1 {
		t.Errorf("%v, %d gaps, %d conversations", s.seqs, s.gaps, len(s.orders))
	}
}

func BenchmarkSequencer(b *testing.B) {
	s := NewSequencer(250 * time.Millisecond)
	e := Event{Kind: KindUtteranceStreaming, Type: "conversation.utterance.streaming", Role: RolePal,
		InferenceID: fixtureID, Text: "The first boat", Duration: -1}
	now := sequenceStart
	for b.Loop() {
		now = now.Add(40 * time.Millisecond)
		e.Seq, e.ContentIndex = e.Seq+1, e.ContentIndex+1
		s.Add(now, e)
		for _, _, ok := s.Next(now); ok; _, _, ok = s.Next(now) {
		}
	}
}
