package replica

import (
	"math/rand/v2"
	"slices"
	"time"
)

// outbox queues events until they are sent. It applies the faults that lose, double, delay
// or reorder them. Without faults an event is due when it happens.
type outbox struct {
	faults  Faults
	random  *rand.Rand
	queue   schedule[delivery]
	clock   time.Time // of the last event
	offered int       // messages so far, lost ones included
	lost    int
	events  int                   // events that may be reordered, so far
	swapped []scheduled[delivery] // the event that waits for the next one to be sent first
}

// delivery is a message and its recipient. A nil recipient means all participants.
type delivery struct {
	to  *participant
	msg []byte
}

func newOutbox(faults Faults) outbox {
	return outbox{faults: faults, random: rand.New(rand.NewPCG(faults.Seed, 0))}
}

// post queues the messages of one event for one participant, or for all if to is nil.
func (b *outbox) post(to *participant, kind Sent, at time.Time, messages ...[]byte) {
	if at.After(b.clock) {
		b.clock = at
	}
	due := b.clock.Add(b.faults.Delay)
	var kept []scheduled[delivery]
	for _, msg := range messages {
		kept = append(kept, b.applyLoss(kind, due, delivery{to, msg})...)
	}
	b.reorder(kind, due, kept)
}

// applyLoss returns a message zero times, once or twice, according to the faults.
func (b *outbox) applyLoss(kind Sent, due time.Time, msg delivery) []scheduled[delivery] {
	b.offered++
	if b.isLost(kind) {
		b.lost++
		return nil
	}
	if b.faults.Jitter > 0 {
		due = due.Add(time.Duration(b.random.Int64N(int64(b.faults.Jitter))))
	}
	kept := []scheduled[delivery]{{due, msg}}
	if b.faults.Duplicate {
		kept = append(kept, kept[0])
	}
	return kept
}

func (b *outbox) isLost(kind Sent) bool {
	f := &b.faults
	return f.drops(kind) ||
		f.DropEvery > 0 && b.offered%f.DropEvery == 0 ||
		f.Loss > 0 && b.random.Float64() < f.Loss
}

// reorder queues the messages of one event, out of order if a fault says so.
func (b *outbox) reorder(kind Sent, due time.Time, messages []scheduled[delivery]) {
	if kind.isSystem() || !b.faults.Swap && b.faults.HoldBack == 0 {
		b.add(messages, 0)
		return
	}
	b.events++
	switch isFirst := b.events%2 == 1; {
	case isFirst && b.faults.Swap:
		b.swapped = messages
	case isFirst:
		b.add(messages, b.faults.HoldBack)
	default:
		b.add(messages, 0)
		b.addSwapped(due)
	}
}

func (b *outbox) add(messages []scheduled[delivery], delay time.Duration) {
	for _, m := range messages {
		b.queue.add(m.at.Add(delay), m.value)
	}
}

// addSwapped queues the event that waits for the next one to be sent first.
func (b *outbox) addSwapped(due time.Time) {
	for _, m := range b.swapped {
		b.queue.add(due, m.value)
	}
	b.swapped = nil
}

// take returns the next message that is due by now. ok is false if there is none.
func (b *outbox) take(now time.Time) (msg delivery, ok bool) {
	if !b.queue.isDue(now) {
		return delivery{}, false
	}
	return b.queue.pop().value, true
}

// flush makes every message due at once.
func (b *outbox) flush() {
	b.addSwapped(b.clock)
	for i := range b.queue {
		b.queue[i].at = b.clock
	}
}

// drops reports whether every message of a kind is lost.
func (f *Faults) drops(kind Sent) bool {
	return f.Mute || slices.Contains(f.Drop, kind) || !kind.isSystem() && slices.Contains(f.Drop, SentAll)
}
