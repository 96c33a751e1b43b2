package replica

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Faults are ways in which a replica, or the way to it, misbehaves on purpose.
// The zero value is none of them. Equal faults make the same of equal events.
//
// Twins and legacy events are messages of their own where messages are counted,
// lost or doubled; where their order is changed they stay together.
type Faults struct {
	// Seed chooses what is left to chance: Loss, Jitter, and the ids of IDOwn.
	Seed uint64

	// Mute sends nothing at all, not even that the replica has joined.
	Mute bool

	// Drop loses every message of these kinds.
	Drop []Sent

	// DropEvery loses every n-th message; the first is number 1.
	DropEvery int

	// Loss is the share of messages that are lost at random, from 0 to 1.
	Loss float64

	// Duplicate sends every message twice in a row.
	Duplicate bool

	// Delay is how much later every message is sent.
	Delay time.Duration

	// Jitter delays each message by a random time below this, so that they
	// overtake one another.
	Jitter time.Duration

	// Swap sends every second event before the one it follows, which waits for
	// it as long as that takes. Events of the system keep their place.
	Swap bool

	// HoldBack sends the first of every two events so much later. Events of the
	// system keep their place.
	HoldBack time.Duration

	// StallAfter is after how many chunks the replica stops reading, for the
	// time StallFor or, where that is zero, for good. A peer that leaves is not
	// noticed meanwhile.
	StallAfter int
	StallFor   time.Duration

	// DieAfter is after how many chunks the replica is gone without a word: Run
	// calls Options.Die and returns, having sent nothing more.
	DieAfter int

	// LeaveAfter is after how many chunks the replica leaves: it sends
	// system.shutdown and whatever is delayed, and Run returns.
	LeaveAfter int

	// InterruptAfter is after how much playing somebody else interrupts: all
	// speech ends, without a message from the sender. Playing is counted from
	// the beginning of the run, and silence is none. It happens once.
	InterruptAfter time.Duration

	// UserAt is after how much playing, counted as above, a user speaks for the
	// time UserFor (1 s by default) and says UserSays ("Excuse me." by default).
	// It interrupts nothing. It happens once.
	UserAt   time.Duration
	UserFor  time.Duration
	UserSays string
}

// Sent is a kind of message that a replica sends.
type Sent string

// The kinds of messages to lose.
const (
	SentJoined    Sent = "joined"
	SentStarted   Sent = "started"   // the replica has started speaking
	SentStopped   Sent = "stopped"   // the replica has stopped speaking
	SentUtterance Sent = "utterance" // what the replica says, of text
	SentUser      Sent = "user"      // a user has started or stopped speaking, or said something
	SentShutdown  Sent = "shutdown"
	SentScript    Sent = "script" // an event of the script
	SentAll       Sent = "all"    // every kind but joined and shutdown
)

// SentKinds are all kinds of messages, for those who list or check them.
var SentKinds = []Sent{SentJoined, SentStarted, SentStopped, SentUtterance, SentUser, SentShutdown, SentScript, SentAll}

// Check says what cannot be: a negative number or time, a share beyond 1, or a
// kind of message there is none of.
func (f Faults) Check() error {
	for name, n := range map[string]int{"DropEvery": f.DropEvery, "StallAfter": f.StallAfter, "DieAfter": f.DieAfter, "LeaveAfter": f.LeaveAfter} {
		if n < 0 {
			return fmt.Errorf("replica: %s %d is negative", name, n)
		}
	}
	for name, d := range map[string]time.Duration{"Delay": f.Delay, "Jitter": f.Jitter, "HoldBack": f.HoldBack, "StallFor": f.StallFor,
		"InterruptAfter": f.InterruptAfter, "UserAt": f.UserAt, "UserFor": f.UserFor} {
		if d < 0 {
			return fmt.Errorf("replica: %s %v is negative", name, d)
		}
	}
	if !(f.Loss >= 0 && f.Loss <= 1) {
		return fmt.Errorf("replica: a Loss of %v is no share from 0 to 1", f.Loss)
	}
	for _, kind := range f.Drop {
		if !slices.Contains(SentKinds, kind) {
			return fmt.Errorf("replica: no message is called %q", kind)
		}
	}
	return nil
}

// drops reports whether messages of a kind are lost on purpose.
func (f *Faults) drops(kind Sent) bool {
	return f.Mute || slices.Contains(f.Drop, kind) || !kind.ofSystem() && slices.Contains(f.Drop, SentAll)
}

// ofSystem reports whether no order of speaking is told by it.
func (k Sent) ofSystem() bool { return k == SentJoined || k == SentShutdown }

// letter is a message on its way.
type letter struct {
	msg []byte
	due time.Time
}

// outbox is the way of events to the wire, with its faults. Without any, they
// are due when they happen, in their order.
type outbox struct {
	faults  Faults
	random  *rand.Rand
	letters []letter  // in the order in which they are due
	clock   time.Time // of the last event
	offered int       // messages that were to be sent
	events  int       // events whose order may be changed
	waiting []letter  // the event that the next one overtakes
	lost    int       // messages that never will be sent
}

func newOutbox(faults Faults) outbox {
	return outbox{faults: faults, random: rand.New(rand.NewPCG(faults.Seed, 0))}
}

// post takes an event: the messages that tell of it.
func (b *outbox) post(kind Sent, at time.Time, messages ...[]byte) {
	if at.After(b.clock) {
		b.clock = at
	}
	due := b.clock.Add(b.faults.Delay)
	var letters []letter
	for _, msg := range messages {
		letters = append(letters, b.address(kind, due, msg)...)
	}
	b.arrange(kind, due, letters)
}

// address makes letters of one message: none where it is lost.
func (b *outbox) address(kind Sent, due time.Time, msg []byte) []letter {
	b.offered++
	if b.loses(kind) {
		b.lost++
		return nil
	}
	if b.faults.Jitter > 0 {
		due = due.Add(time.Duration(b.random.Int64N(int64(b.faults.Jitter))))
	}
	letters := []letter{{msg, due}}
	if b.faults.Duplicate {
		letters = append(letters, letters[0])
	}
	return letters
}

func (b *outbox) loses(kind Sent) bool {
	f := &b.faults
	return f.drops(kind) ||
		f.DropEvery > 0 && b.offered%f.DropEvery == 0 ||
		f.Loss > 0 && b.random.Float64() < f.Loss
}

// arrange puts the letters of an event in their place.
func (b *outbox) arrange(kind Sent, due time.Time, letters []letter) {
	if kind.ofSystem() || !b.faults.Swap && b.faults.HoldBack == 0 {
		b.queue(letters)
		return
	}
	b.events++
	if isFirst := b.events%2 == 1; isFirst {
		b.delay(letters)
		return
	}
	b.queue(letters)
	for i := range b.waiting {
		b.waiting[i].due = due
	}
	b.queue(b.waiting)
	b.waiting = nil
}

// delay treats the first of two events.
func (b *outbox) delay(letters []letter) {
	if b.faults.Swap {
		b.waiting = letters
		return
	}
	for i := range letters {
		letters[i].due = letters[i].due.Add(b.faults.HoldBack)
	}
	b.queue(letters)
}

// queue inserts letters behind those that are due no later.
func (b *outbox) queue(letters []letter) {
	for _, l := range letters {
		at := len(b.letters)
		for at > 0 && b.letters[at-1].due.After(l.due) {
			at--
		}
		b.letters = slices.Insert(b.letters, at, l)
	}
}

// take returns the next message that is due by now; ok is false if none is.
func (b *outbox) take(now time.Time) (msg []byte, ok bool) {
	if len(b.letters) == 0 || b.letters[0].due.After(now) {
		return nil, false
	}
	msg = b.letters[0].msg
	b.letters = slices.Delete(b.letters, 0, 1)
	return msg, true
}

// hurry makes everything due at once.
func (b *outbox) hurry() {
	b.queue(b.waiting)
	b.waiting = nil
	for i := range b.letters {
		b.letters[i].due = b.clock
	}
}

// untilDue is how long nothing is due; ok is false if nothing will be.
func (b *outbox) untilDue(now time.Time) (wait time.Duration, ok bool) {
	if len(b.letters) == 0 {
		return 0, false
	}
	return b.letters[0].due.Sub(now), true
}
