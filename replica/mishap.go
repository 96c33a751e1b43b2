package replica

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// foreignGrace is how long a sender may go on with an utterance that somebody
// else has interrupted: it has yet to learn of it.
const foreignGrace = time.Second

// idSource makes ids that have nothing to do with those of the sender.
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

// plan enters what will go wrong once so much was played.
func (s *session) plan() {
	f := &s.opts.Faults
	if f.UserAt > 0 {
		s.renderer.mark(f.UserAt, s.userStarts)
	}
	if f.InterruptAfter > 0 {
		s.renderer.mark(f.InterruptAfter, s.interruptByOther)
	}
}

func (s *session) fault(at time.Time, format string, args ...any) {
	s.opts.OnEvent(Event{Kind: EventFault, AtMS: s.since(at), Text: fmt.Sprintf(format, args...)})
}

// interruptByOther ends all speech without a word from the sender.
func (s *session) interruptByOther(at time.Time) {
	s.fault(at, "is interrupted by somebody else")
	s.interrupt(at, true)
}

// userStarts lets a user speak, once.
func (s *session) userStarts(at time.Time) {
	id := s.ids.next()
	s.fault(at, "hears a user speak")
	s.sendUser("started_speaking", id, at, properties{})
	s.agenda.add(at.Add(s.opts.Faults.UserFor), func(at time.Time) { s.userStops(id, at) })
}

func (s *session) userStops(id string, at time.Time) {
	f := &s.opts.Faults
	s.sendUser("stopped_speaking", id, at, properties{Interrupted: new(false), Duration: new(f.UserFor.Seconds())})
	s.sendUser("utterance", id, at, properties{Speech: f.UserSays})
}

// part ends the run where a fault says so after this many chunks.
func (s *session) part(at time.Time) {
	chunks := s.report.Chunks
	if chunks == 0 {
		return // refused, and zero means never
	}
	switch chunks {
	case s.opts.Faults.DieAfter:
		s.gone = EndDied
		s.fault(at, "dies")
	case s.opts.Faults.LeaveAfter:
		s.gone = EndLeft
		s.fault(at, "leaves")
		s.sendShutdown(at)
		s.outbox.hurry()
	}
}

// stall is the fault of reading no further. The reader owns it.
type stall struct {
	after int
	time  time.Duration // for good, if zero
	limit int           // bytes of a message
	seen  int           // chunks so far
}

// begins counts msg, and reports whether nothing is read after it.
func (f *stall) begins(msg []byte) bool {
	if f.seen >= f.after {
		return false // over, or never to be
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
