package livekit

import (
	"fmt"
	"testing"
	"time"
)

// ledgerTest is a ledger and a clock.
type ledgerTest struct {
	*testing.T
	ledger
	now time.Time
}

func newLedgerTest(t *testing.T) *ledgerTest { return &ledgerTest{T: t, now: time.Unix(1000, 0)} }

// say opens a stream of a length, sends it at once and closes it.
func (s *ledgerTest) say(id string, length time.Duration) *entry {
	e := s.ledger.open(id, 1000, s.now)
	e.samples, e.isClosed = length.Milliseconds(), true
	return e
}

func (s *ledgerTest) last() *entry { return s.pending[len(s.pending)-1] }

func (s *ledgerTest) pass(d time.Duration) { s.now = s.now.Add(d) }

func (s *ledgerTest) wantFinished(position time.Duration, interrupted bool, want string) {
	s.Helper()
	if got := s.ledger.finished(position, interrupted, s.now); got != want {
		s.Errorf("finished at %v (interrupted %v) is of %q, want %q", position, interrupted, got, want)
	}
}

func TestReportsGoToTheirStreams(t *testing.T) {
	s := newLedgerTest(t)
	for i := range 5 {
		id := fmt.Sprint(i)
		s.say(id, time.Second)
		if got := s.started(); got != id {
			t.Errorf("started is of %q, want %q", got, id)
		}
		if got := s.started(); got != "" {
			t.Errorf("a second start is of %q", got)
		}
		s.pass(time.Second)
		s.wantFinished(time.Second, false, id)
		s.wantFinished(time.Second, false, "")
	}
}

func TestLostReportDoesNotShiftTheRest(t *testing.T) {
	s := newLedgerTest(t)
	s.say("lost", time.Second)
	s.pass(8 * time.Second)
	for i := range 5 {
		id := fmt.Sprint(i)
		s.say(id, time.Second)
		s.pass(time.Second)
		s.wantFinished(time.Second, false, id)
		if s.awaits("lost") {
			t.Error("the lost report is still awaited")
		}
	}
}

func TestLateReportIsNotTheNextStreams(t *testing.T) {
	for name, open := range map[string]func(s *ledgerTest){
		"next is open":         func(s *ledgerTest) { s.ledger.open("next", 1000, s.now).samples = 10000 },
		"next is closed":       func(s *ledgerTest) { s.say("next", 10*time.Second) },
		"next is shorter":      func(s *ledgerTest) { s.say("next", 100*time.Millisecond) },
		"next was interrupted": func(s *ledgerTest) { s.say("next", 10*time.Second).isCleared = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := newLedgerTest(t)
			s.say("late", 5*time.Second)
			s.pass(11 * time.Second)
			open(s)
			s.pass(time.Second)
			s.wantFinished(5*time.Second, false, "late")
			if !s.awaits("next") {
				t.Error("the next stream is not awaited")
			}
		})
	}
}

func TestInterruptedReportGoesToWhatWasInterrupted(t *testing.T) {
	s := newLedgerTest(t)
	s.say("interrupted", 5*time.Second).isCleared = true
	s.pass(2 * time.Second)
	s.say("next", 5*time.Second)
	s.pass(time.Second)
	s.wantFinished(500*time.Millisecond, true, "interrupted")
	s.pass(4 * time.Second)
	s.wantFinished(5*time.Second, false, "next")
}

// What a killed sender with our identity said was told to stop. The report of that is not taken
// for the end of our stream, which opened a moment before.
func TestReportOfAKilledSenderIsNotOurs(t *testing.T) {
	for position := range 3 { // seconds
		s := newLedgerTest(t)
		s.clear()
		s.ledger.open("ours", 1000, s.now).samples = 100
		s.pass(time.Millisecond)
		s.wantFinished(time.Duration(position)*time.Second, true, "")
		if got := s.started(); got != "ours" {
			t.Errorf("started is of %q", got)
		}
		s.last().samples, s.last().isClosed = 6000, true
		s.pass(6 * time.Second)
		s.wantFinished(6*time.Second, false, "ours")
	}
}

// If the avatar played nothing when it was told to stop, no report of that comes, and an
// interrupted one is of our stream once that has started.
func TestNoReportOfSilence(t *testing.T) {
	s := newLedgerTest(t)
	s.clear()
	if got := s.started(); got != "" {
		t.Errorf("started is of %q, and nothing is open", got)
	}
	s.say("ours", 6*time.Second)
	if got := s.started(); got != "ours" {
		t.Errorf("started is of %q", got)
	}
	s.pass(time.Second)
	s.wantFinished(time.Second, true, "ours")
	s.clear()
	s.say("next", time.Second)
	s.wantFinished(time.Second, false, "next") // it says no start, and is fast
	if len(s.pending) != 0 {
		t.Errorf("%d streams are pending", len(s.pending))
	}
}

// Another participant told the avatar to stop.
func TestForeignInterrupt(t *testing.T) {
	s := newLedgerTest(t)
	s.ledger.open("a", 1000, s.now).samples = 2000
	s.pass(time.Second)
	s.wantFinished(time.Second, true, "a")
}

// If the avatar's clock runs faster than ours, reports are matched by the played and the sent
// lengths.
func TestFastAvatar(t *testing.T) {
	s := newLedgerTest(t)
	s.say("lost", 3*time.Second)
	s.say("a", 5*time.Second)
	s.wantFinished(5*time.Second, false, "a")
	s.say("b", 5*time.Second)
	s.wantFinished(-1, false, "b")
}

func TestLedgerIsBounded(t *testing.T) {
	s := newLedgerTest(t)
	for i := range 3 * maxPending {
		s.say(fmt.Sprint(i), time.Second)
	}
	if len(s.pending) != maxPending {
		t.Errorf("%d streams are pending, want %d", len(s.pending), maxPending)
	}
}

// A stream that is still open cannot finish, however long it lasts.
func TestOpenStreamIsNotFinished(t *testing.T) {
	s := newLedgerTest(t)
	s.say("late", 5*time.Second)
	s.pass(5 * time.Second)
	s.ledger.open("next", 1000, s.now).samples = 5000
	s.pass(6 * time.Second)
	s.wantFinished(5*time.Second, false, "late")
}
