package echo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

var (
	allSendings = []sentState{nothingSent, someSent, allSent}
	allVoices   = []voiceState{notHeard, speaking, underran, saidAll, cutShort}
	allReasons  = []endReason{stillOpen, complete, unverified, stopped, paused, bargedIn, cutByOther, broken, lost}
	allEvents   = append([]stateEvent{messageLeaves, lastLeaves, replicaStarts, replicaStops, replicaIsCut, startNotOurs},
		stateEvents(allReasons[1:])...)
)

func stateEvents(endings []endReason) (events []stateEvent) {
	for _, end := range endings {
		events = append(events, stateEvent(end))
	}
	return events
}

// allUtteranceStates calls f for each possible state.
func allUtteranceStates(f func(l utteranceState)) {
	for _, sent := range allSendings {
		for _, voice := range allVoices {
			for _, end := range allReasons {
				f(utteranceState{sent, voice, end})
			}
		}
	}
}

// Every state handles every event and keeps the rules: no transition goes back, the first
// reason to end counts, and each action happens once.
func TestEveryStateTimesEveryEvent(t *testing.T) {
	allUtteranceStates(func(l utteranceState) {
		for _, e := range allEvents {
			next, todo := l.next(e)
			fail := func(rule string) { t.Errorf("%+v, %q: %+v and %03b: %s", l, e, next, todo, rule) }
			if l.Sent == allSent && next.Sent != allSent || l.Sent == someSent && next.Sent == nothingSent {
				fail("what was sent is sent")
			}
			if l.Voice.isFinal() && next.Voice != l.Voice {
				fail("no further event will come")
			}
			if l.Sent == nothingSent && next.Voice != l.Voice {
				fail("the replica cannot speak of what was not sent")
			}
			if l.End != stillOpen && next.End != l.End && !(l.End == cutByOther && next.End.isOurs()) {
				fail("the first reason counts")
			}
			if (todo&noteFinal != 0) != (next.Voice.isFinal() && !l.Voice.isFinal()) {
				fail("the last event is noted when it comes")
			}
			early := next.End != stillOpen && next.End != complete && next.End != unverified
			if (todo&haltSource != 0) != (early && l.End == stillOpen) {
				fail("the source is ended when the utterance ends early")
			}
			if isInterrupted := todo&tellReplica != 0; isInterrupted != (todo&haltSource != 0 && next.Sent != nothingSent &&
				!next.Voice.isFinal()) {
				fail("a replica that may speak is told to stop, and no other")
			}
			again, once := next.next(e)
			if final := e == replicaIsCut || e == stateEvent(again.End); final && (again != next || once != 0) {
				fail("a twin changes nothing")
			}
		}
	})
}

// The documented table of states matches the code.
func TestUtteranceStateTable(t *testing.T) {
	var table strings.Builder
	table.WriteString("sent|voice|ending, event: what follows; the states that can be, and the events that change them\n")
	seen := map[utteranceState]bool{{}: true}
	for queue := []utteranceState{{}}; len(queue) > 0; queue = queue[1:] {
		l := queue[0]
		fmt.Fprintf(&table, "\n%v  (%s", l, l.state())
		if l.End != stillOpen {
			fmt.Fprintf(&table, ", %s", l.outcome())
		}
		table.WriteString(")\n")
		for _, e := range allEvents {
			next, todo := l.next(e)
			if next == l && todo == 0 {
				continue
			}
			fmt.Fprintf(&table, "  %-10s %v%s\n", e, next, todo)
			if !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	const file = "testdata/utterance_states.txt"
	if *update {
		if err := os.WriteFile(file, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if table.String() != string(want) {
		t.Errorf("the table of states differs from %s; -update rewrites it:\n%s", file, table.String())
	}
}

func (l utteranceState) String() string {
	word := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	return fmt.Sprintf("%s|%s|%s", word(string(l.Sent)), word(string(l.Voice)), word(string(l.End)))
}

func (a action) String() string {
	words := ""
	for _, one := range []struct {
		bit  action
		word string
	}{{haltSource, ", end the source"}, {tellReplica, ", tell the replica"}, {noteFinal, ", no further event"}} {
		if a&one.bit != 0 {
			words += one.word
		}
	}
	return words
}

// Every reason to end has an ending and an outcome.
func TestEndings(t *testing.T) {
	someError := errors.New("the input broke")
	for _, c := range []struct {
		err         error
		interrupted bool
		end         endReason
		nothing     Outcome // where nothing was sent
		some        Outcome
	}{
		{nil, false, complete, Sent, Sent},
		{fmt.Errorf("%w: 3 s", ErrUnverified), false, unverified, Unverified, Unverified},
		{ErrStopped, true, stopped, Failed, Interrupted},
		{ErrReplaced, true, stopped, Failed, Interrupted},
		{context.Canceled, false, stopped, Failed, Interrupted},
		{someError, true, stopped, Failed, Interrupted},
		{ErrPaused, true, paused, Failed, Interrupted},
		{ErrBargeIn, true, bargedIn, Failed, Interrupted},
		{ErrInterrupted, true, cutByOther, Interrupted, Interrupted},
		{someError, false, broken, Failed, Interrupted},
		{fmt.Errorf("%w: %w", ErrLost, someError), true, lost, Failed, Failed},
	} {
		if got := endReasonOf(c.err, c.interrupted); got != c.end {
			t.Errorf("%v: %q, want %q", c.err, got, c.end)
		}
		if got := (utteranceState{End: c.end}).outcome(); got != c.nothing {
			t.Errorf("%v, nothing was sent: %q, want %q", c.err, got, c.nothing)
		}
		if got := (utteranceState{Sent: someSent, End: c.end}).outcome(); got != c.some {
			t.Errorf("%v: %q, want %q", c.err, got, c.some)
		}
	}
	if got := (utteranceState{allSent, saidAll, complete}).outcome(); got != Finished {
		t.Errorf("said to its end: %q", got)
	}
}

// What follows an ending depends on the options alone.
func TestSequels(t *testing.T) {
	redial := func(context.Context) (Stage, error) { return nil, nil }
	for _, end := range allReasons {
		for _, policy := range []ReconnectPolicy{ReconnectAbandon, ReconnectRestart, ReconnectResume} {
			for _, resume := range []bool{false, true} {
				for _, connects := range []bool{false, true} {
					o := &Options{OnLoss: policy, Resume: resume}
					if connects {
						o.Redial = redial
					}
					want := noContinuation
					switch {
					case end == paused, resume && (end == bargedIn || end == cutByOther):
						want = afterQuiet
					case end == lost && connects && policy == ReconnectRestart:
						want = fromStart
					case end == lost && connects && policy == ReconnectResume:
						want = fromHeard
					}
					if got := o.continuation(end); got != want {
						t.Errorf("%q, %s, resume %v, redial %v: %q, want %q", end, policy, resume, connects, got, want)
					}
				}
			}
		}
	}
}
