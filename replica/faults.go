package replica

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Faults make a replica, or the connection to it, misbehave on purpose. The zero value has
// no faults. In every run, the same faults affect the same events in the same way.
//
// Faults that count, lose or double messages treat the twins and the legacy form of an
// event as separate messages. Faults that reorder events keep them together.
type Faults struct {
	// Seed is the seed of the random choices: Loss, Jitter, and the ids of IDRandom.
	Seed uint64

	// Mute suppresses all events, even system.replica_joined.
	Mute bool

	// Drop loses every message of these kinds.
	Drop []Sent

	// DropEvery loses every n-th message. The first message is number 1.
	DropEvery int

	// Loss is the share of messages that are lost at random, from 0 to 1.
	Loss float64

	// Duplicate sends every message twice in a row.
	Duplicate bool

	// Delay is how long every message is delayed.
	Delay time.Duration

	// Jitter is the maximum of the random delay of each message, so messages arrive out of
	// order.
	Jitter time.Duration

	// Swap sends each pair of events in reverse order. The first event waits until there is
	// a second. System events are not reordered.
	Swap bool

	// HoldBack delays the first event of each pair by this time. System events
	// are not delayed.
	HoldBack time.Duration

	// StallAfter is the number of chunks after which the replica stops reading. It stops
	// for StallFor or, if that is zero, for the rest of the run. While it does not read, it
	// does not notice that a peer leaves.
	StallAfter int
	StallFor   time.Duration

	// DieAfter is the number of chunks after which the replica crashes. Run then calls
	// Options.Die and returns without sending another event.
	DieAfter int

	// LeaveAfter is the number of chunks after which the replica leaves. It then sends
	// system.shutdown and all delayed events, and Run returns.
	LeaveAfter int

	// InterruptAfter is the played time after which somebody other than the sender
	// interrupts. All speech then ends, without a message from the sender. Played time
	// counts from the start of the run and excludes silence. The fault happens once.
	InterruptAfter time.Duration

	// UserAt is the played time after which a user speaks for UserFor (1 s by default) and
	// says UserSays ("Excuse me." by default). The replica continues to speak. The fault
	// happens once.
	UserAt   time.Duration
	UserFor  time.Duration
	UserSays string
}

// Sent is a kind of event that a replica sends.
type Sent string

// The kinds of events that Faults.Drop can lose.
const (
	SentJoined    Sent = "joined"
	SentStarted   Sent = "started"   // the replica has started speaking
	SentStopped   Sent = "stopped"   // the replica has stopped speaking
	SentUtterance Sent = "utterance" // the words of a text that the replica says
	SentUser      Sent = "user"      // a user has started or stopped speaking, or said something
	SentShutdown  Sent = "shutdown"
	SentScript    Sent = "script" // an event of the script
	SentAll       Sent = "all"    // every kind but joined and shutdown
)

// SentKinds lists all kinds of events.
var SentKinds = []Sent{SentJoined, SentStarted, SentStopped, SentUtterance, SentUser, SentShutdown, SentScript, SentAll}

// Check returns an error for a negative number or time, for a Loss outside 0 to
// 1, and for an unknown kind of event in Drop.
func (f Faults) Check() error {
	for name, n := range map[string]int{"DropEvery": f.DropEvery, "StallAfter": f.StallAfter, "DieAfter": f.DieAfter,
		"LeaveAfter": f.LeaveAfter} {
		if n < 0 {
			return fmt.Errorf("replica: %s %d is negative", name, n)
		}
	}
	for name, d := range map[string]time.Duration{"Delay": f.Delay, "Jitter": f.Jitter, "HoldBack": f.HoldBack,
		"StallFor":       f.StallFor,
		"InterruptAfter": f.InterruptAfter, "UserAt": f.UserAt, "UserFor": f.UserFor} {
		if d < 0 {
			return fmt.Errorf("replica: %s %v is negative", name, d)
		}
	}
	if !(f.Loss >= 0 && f.Loss <= 1) {
		return fmt.Errorf("replica: Loss %v is not between 0 and 1", f.Loss)
	}
	for _, kind := range f.Drop {
		if !slices.Contains(SentKinds, kind) {
			return fmt.Errorf("replica: unknown kind of event %q", kind)
		}
	}
	return nil
}

// isSystem reports whether events of this kind are not about speech.
func (k Sent) isSystem() bool { return k == SentJoined || k == SentShutdown }

// interruptGrace is how long a sender may continue to send chunks of an utterance that
// somebody else interrupted. The event that reports the interrupt takes time to arrive.
const interruptGrace = time.Second

// idSource makes random ids, unrelated to those of the sender.
type idSource struct{ random *rand.Rand }

func newIDSource(seed uint64) idSource { return idSource{rand.New(rand.NewPCG(seed, 1))} }

func (s idSource) next() string {
	var id [16]byte
	for i := range id {
		id[i] = byte(s.random.Uint32())
	}
	setVersion(&id, 4)
	return uuidText(id)
}

// planFaults schedules the faults that happen after a played time, from now on.
func (s *session) planFaults() {
	f, played := &s.opts.Faults, s.renderer.playedTime()
	if f.UserAt > 0 {
		s.renderer.mark(played+f.UserAt, s.userStarts)
	}
	if f.InterruptAfter > 0 {
		s.renderer.mark(played+f.InterruptAfter, s.interruptByOther)
	}
}

// setFaults replaces the faults. Delayed events are sent at once.
func (s *session) setFaults(faults Faults) {
	s.opts.Faults = (&Options{Faults: faults}).withDefaults().Faults
	s.outbox.faults = s.opts.Faults
	s.outbox.flush()
	s.renderer.marks = nil
	s.planFaults()
}

// userSpeaks sends the events of a user with a microphone. They have one id from
// the start to the end.
func (s *session) userSpeaks(speaking bool, at time.Time) {
	switch {
	case speaking && s.userID == "":
		s.userID, s.userSince = s.random.next(), at
		s.sendUser("started_speaking", s.userID, at, properties{})
	case !speaking && s.userID != "":
		s.sendUser("stopped_speaking", s.userID, at,
			properties{Interrupted: new(false), Duration: new(at.Sub(s.userSince).Seconds())})
		s.userID = ""
	}
}

func (s *session) fault(at time.Time, text string) {
	s.opts.OnEvent(Event{Kind: EventFault, AtMS: s.since(at), Text: text})
}

// interruptByOther ends all speech without a message from the sender.
func (s *session) interruptByOther(at time.Time) {
	s.fault(at, "is interrupted by somebody else")
	s.interrupt(at, true)
}

// userStarts simulates a user who begins to speak.
func (s *session) userStarts(at time.Time) {
	id := s.random.next()
	s.fault(at, "hears a user speak")
	s.sendUser("started_speaking", id, at, properties{})
	s.schedule.add(at.Add(s.opts.Faults.UserFor), func(at time.Time) { s.userStops(id, at) })
}

func (s *session) userStops(id string, at time.Time) {
	f := &s.opts.Faults
	s.sendUser("stopped_speaking", id, at, properties{Interrupted: new(false), Duration: new(f.UserFor.Seconds())})
	s.sendUser("utterance", id, at, properties{Speech: f.UserSays})
}

// checkDeparture ends the run if a fault is set for this number of chunks.
func (s *session) checkDeparture(at time.Time) {
	chunks := s.report.Chunks
	if chunks == 0 {
		return // zero means never
	}
	switch chunks {
	case s.opts.Faults.DieAfter:
		s.ending = EndDied
		s.fault(at, "dies")
	case s.opts.Faults.LeaveAfter:
		s.ending = EndLeft
		s.fault(at, "leaves")
		s.sendShutdown(at)
		s.outbox.flush()
	}
}

// stall is the fault that stops reading. The reader owns it.
type stall struct {
	after int           // chunks; 0 for never
	time  time.Duration // zero for the rest of the run
	limit int           // bytes of a message
	seen  int           // chunks so far
}

// beginsAfter counts msg. It reports whether the replica stops reading after it.
func (f *stall) beginsAfter(msg []byte) bool {
	if f.seen >= f.after {
		return false
	}
	if m, _ := parse(msg, f.limit); m.action == actionSpeak {
		f.seen++
	}
	return f.seen == f.after
}

func (f *stall) wait(ctx context.Context) {
	var over <-chan time.Time
	if f.time > 0 {
		over = time.After(f.time)
	}
	select {
	case <-over:
	case <-ctx.Done():
	}
}
