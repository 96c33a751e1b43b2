package echo

import (
	"cmp"
	"hash/maphash"
	"slices"
	"time"
)

// Limits of a Sequencer.
const (
	maxHeld         = 256     // events that wait for an earlier one; beyond, the first is released
	maxFingerprints = 512     // events remembered in order to recognise repeats
	maxLate         = 256     // an event farther below the next number is not a late one
	maxGap          = 1 << 16 // an event farther above the next number is not after a gap
	maxSeq          = 1 << 53 // the largest that every JSON reader keeps apart

	twinTime  = 2 * time.Second        // between the arrivals of twins
	twinDrift = 500 * time.Millisecond // between the times that the service emitted them
)

// Sequencer puts events in the order in which the service emitted them, and
// drops repeats. The service sends most events of a replica twice, once as "pal" and once
// as "replica", and some a third time under an older name. After a broken connection more
// events may be repeated.
//
// It holds an event that arrives too early until those before it have arrived, but no longer
// than its window. The first event is always held for the window, because the first
// number is not known. An event without a number follows what came before it.
//
// A Sequencer is for programs that show or record events. To act on events at once,
// see EventFilter. A Sequencer is not safe for concurrent use.
//
// Each conversation has its own numbers: events of several are kept apart by their
// conversation ids. Those without one belong to the conversation of the event
// before them.
type Sequencer struct {
	window   time.Duration
	orders   []*conversationOrder // least recently used first
	overflow []ordered            // events of conversations that were dropped
}

// mostConversations is how many conversations a Sequencer keeps apart.
const mostConversations = 256

// NewSequencer returns a Sequencer that holds events for window at most. A
// quarter of a second is more than most networks need.
func NewSequencer(window time.Duration) *Sequencer {
	return &Sequencer{window: window}
}

// Add adds an event that arrived at now. After each Add, call Next until ok is false; then
// the Sequencer holds at most a few hundred events of each conversation.
func (s *Sequencer) Add(now time.Time, e Event) { s.of(e.ConversationID).add(now, e) }

// Next returns the next event that is due at now, and how many numbers before it are
// missing. An event that arrives after its window is still returned, out of order.
func (s *Sequencer) Next(now time.Time) (e Event, gap int64, ok bool) {
	if len(s.overflow) > 0 {
		first := s.overflow[0]
		s.overflow = slices.Delete(s.overflow, 0, 1)
		return first.event, first.gap, true
	}
	for _, order := range s.orders {
		if e, gap, ok = order.popDue(now); ok {
			return e, gap, ok
		}
	}
	return Event{}, 0, false
}

// Due returns when Next will have an event without another Add: a time in the past if
// it has one now.
func (s *Sequencer) Due() (at time.Time, ok bool) {
	if len(s.overflow) > 0 {
		return s.overflow[0].at, true
	}
	for _, order := range s.orders {
		if due, has := order.due(); has && (!ok || due.Before(at)) {
			at, ok = due, true
		}
	}
	return at, ok
}

// of returns the order of a conversation, and marks it as used last.
func (s *Sequencer) of(conversation string) *conversationOrder {
	at := len(s.orders) - 1
	if conversation != "" {
		at = slices.IndexFunc(s.orders, func(o *conversationOrder) bool { return o.conversation == conversation })
		if at < 0 && len(s.orders) > 0 && s.orders[len(s.orders)-1].conversation == "" {
			at = len(s.orders) - 1 // its conversation was not known yet
		}
	}
	if at < 0 {
		return s.begin(conversation)
	}
	order := s.orders[at]
	if conversation != "" {
		order.conversation = conversation
	}
	s.orders = append(slices.Delete(s.orders, at, at+1), order)
	return order
}

func (s *Sequencer) begin(conversation string) *conversationOrder {
	if len(s.orders) == mostConversations {
		s.orders[0].beginEra()
		s.overflow = append(s.overflow, s.orders[0].ready...)
		s.orders = slices.Delete(s.orders, 0, 1)
	}
	order := newConversationOrder(s.window)
	order.conversation = conversation
	s.orders = append(s.orders, order)
	return order
}

// conversationOrder orders the events of one conversation.
type conversationOrder struct {
	conversation string // id; empty until an event names it

	window       time.Duration
	seed         maphash.Seed
	fingerprints []fingerprint // a ring of the last events
	oldest       int           // of the ring
	arrived      uint64        // events so far
	era          int           // increases when the service restarts its numbers

	held       []arrival // ordered by number, then by arrival
	unnumbered []arrival // without a number, ordered by arrival
	ready      []ordered // of an earlier era; they are returned first
	next       int64     // the number expected next; 0: not known
	gap        int64     // numbers missing before the next event that is not folded
}

// arrival is an event that waits for its turn.
type arrival struct {
	event    Event
	at       time.Time
	order    uint64
	isFolded bool // a repeat of another event: only its number counts
}

// ordered is an event that is ready for Next.
type ordered struct {
	arrival
	gap int64
}

// fingerprint identifies an event that was seen.
type fingerprint struct {
	seq, turn, index int64
	era              int
	order            uint64
	at, emitted      time.Time
	duration         time.Duration
	kind             Kind
	isInterrupted    bool
	isFinal          bool
	isFolded         bool
	eventType        uint64 // hashes, as the rest: texts may be long
	inference        uint64
	role             uint64
	text             uint64
	raw              uint64 // of the message; 0: none
}

func newConversationOrder(window time.Duration) *conversationOrder {
	return &conversationOrder{window: window, seed: maphash.MakeSeed()}
}

// add is Sequencer.Add for one conversation.
func (s *conversationOrder) add(now time.Time, e Event) {
	p := s.fingerprint(now, e)
	if s.isRedelivered(p) {
		return
	}
	if before, has := s.sameNumber(p); has {
		if before.mayEqual(p) {
			return
		}
		s.beginEra() // another event with the same number: the service restarted its numbers
	}
	if s.next > 0 && p.seq > 0 && p.seq < s.next-maxLate {
		s.beginEra()
	}
	p.era = s.era
	a := arrival{event: e, at: now, order: p.order}
	if twin := s.findTwin(p); twin != nil {
		a.isFolded = !s.supersede(twin, p.seq)
		twin.isFolded = !a.isFolded
	}
	p.isFolded = a.isFolded
	s.remember(p)
	switch {
	case p.seq > 0:
		at, _ := slices.BinarySearchFunc(s.held, a, inOrder)
		s.held = slices.Insert(s.held, at, a)
	case !a.isFolded:
		s.unnumbered = append(s.unnumbered, a)
	}
}

// popDue is Sequencer.Next for one conversation.
func (s *conversationOrder) popDue(now time.Time) (e Event, gap int64, ok bool) {
	if len(s.ready) > 0 {
		first := s.ready[0]
		s.ready = slices.Delete(s.ready, 0, 1)
		return first.event, first.gap, true
	}
	first, ok := s.take(s.overdue(now))
	return first.event, first.gap, ok
}

// due is Sequencer.Due for one conversation.
func (s *conversationOrder) due() (at time.Time, ok bool) {
	switch {
	case len(s.ready) > 0:
		return s.ready[0].at, true
	case s.isUnnumberedFirst():
		return s.unnumbered[0].at, true
	case len(s.held) == 0:
		return time.Time{}, false
	case s.held[0].event.Seq <= s.next || s.full():
		return s.held[0].at, true
	}
	first := slices.MinFunc(s.held, func(a, b arrival) int { return a.at.Compare(b.at) })
	return first.at.Add(s.window), true
}

func inOrder(a, b arrival) int {
	return cmp.Or(cmp.Compare(a.event.Seq, b.event.Seq), cmp.Compare(a.order, b.order))
}

// overdue returns the highest number whose window has passed; 0 if there is none.
func (s *conversationOrder) overdue(now time.Time) int64 {
	for _, a := range slices.Backward(s.held) {
		if !now.Before(a.at.Add(s.window)) {
			return a.event.Seq
		}
	}
	return 0
}

// take removes and returns the first event that need not wait. Events with numbers up to
// overdue never have to wait.
func (s *conversationOrder) take(overdue int64) (ordered, bool) {
	for {
		if s.isUnnumberedFirst() {
			first := s.unnumbered[0]
			s.unnumbered = slices.Delete(s.unnumbered, 0, 1)
			return ordered{arrival: first}, true
		}
		if len(s.held) == 0 || s.held[0].event.Seq > max(s.next, overdue) && !s.full() {
			return ordered{}, false
		}
		first := s.held[0]
		s.held = slices.Delete(s.held, 0, 1)
		s.pass(first.event.Seq)
		if !first.isFolded {
			gap := s.gap
			s.gap = 0
			return ordered{first, gap}, true
		}
	}
}

// isUnnumberedFirst reports whether no event is held that arrived before the first event
// without a number.
func (s *conversationOrder) isUnnumberedFirst() bool {
	return len(s.unnumbered) > 0 && !slices.ContainsFunc(s.held, func(a arrival) bool {
		return !a.isFolded && a.order < s.unnumbered[0].order
	})
}

func (s *conversationOrder) full() bool { return len(s.held)+len(s.unnumbered) > maxHeld }

// pass counts the numbers missing before seq.
func (s *conversationOrder) pass(seq int64) {
	if missing := seq - s.next; s.next > 0 && missing > 0 && missing <= maxGap {
		s.gap += missing
	}
	s.next = max(s.next, seq+1)
}

// beginEra begins an era: waiting events are due, and earlier numbers no longer count.
func (s *conversationOrder) beginEra() {
	for first, ok := s.take(maxSeq); ok; first, ok = s.take(maxSeq) {
		s.ready = append(s.ready, first)
	}
	s.era++
	s.next, s.gap = 0, 0
}

// fingerprint returns the fingerprint of e.
func (s *conversationOrder) fingerprint(now time.Time, e Event) fingerprint {
	s.arrived++
	p := fingerprint{
		turn: int64(e.Turn), index: int64(e.ContentIndex), era: s.era, order: s.arrived,
		at: now, emitted: e.Time, duration: e.Duration, kind: e.Kind, isInterrupted: e.Interrupted, isFinal: e.Final,
		eventType: maphash.String(s.seed, e.Type), inference: maphash.String(s.seed, e.InferenceID),
		role: maphash.String(s.seed, e.Role), text: maphash.String(s.seed, e.Text),
	}
	if e.Kind == ReplicaPresent {
		p.index = int64(e.Attempt)
	}
	if 0 < e.Seq && e.Seq < maxSeq {
		p.seq = e.Seq
	}
	if len(e.Raw) > 0 {
		p.raw = maphash.Bytes(s.seed, e.Raw)
	}
	return p
}

func (s *conversationOrder) remember(p fingerprint) {
	if len(s.fingerprints) < maxFingerprints {
		s.fingerprints = append(s.fingerprints, p)
		return
	}
	s.fingerprints[s.oldest] = p
	s.oldest = (s.oldest + 1) % maxFingerprints
}

// isRedelivered reports whether the same message has arrived before, however long ago:
// webhooks are sent again until they are answered.
func (s *conversationOrder) isRedelivered(p fingerprint) bool {
	return p.raw != 0 && slices.ContainsFunc(s.fingerprints, func(q fingerprint) bool {
		stamped := p.seq > 0 && q.seq == p.seq || !p.emitted.IsZero() && q.emitted.Equal(p.emitted)
		return stamped && q.raw == p.raw
	})
}

// sameNumber finds the event of the same type and number.
func (s *conversationOrder) sameNumber(p fingerprint) (fingerprint, bool) {
	i := slices.IndexFunc(s.fingerprints, func(q fingerprint) bool {
		return p.seq > 0 && q.seq == p.seq && q.era == p.era && q.eventType == p.eventType
	})
	if i < 0 {
		return fingerprint{}, false
	}
	return s.fingerprints[i], true
}

// mayEqual reports whether p and q, which have the same type and number, may be one event:
// no field shows a difference.
func (p fingerprint) mayEqual(q fingerprint) bool {
	return p.inference == q.inference && p.role == q.role && isNear(p.emitted, q.emitted)
}

// findTwin finds the repeat of p under another name or number.
func (s *conversationOrder) findTwin(p fingerprint) *fingerprint {
	if !hasTwins(p.kind) {
		return nil
	}
	i := slices.IndexFunc(s.fingerprints, func(q fingerprint) bool { return !q.isFolded && q.sameContent(p) })
	if i < 0 {
		return nil
	}
	return &s.fingerprints[i]
}

// hasTwins reports whether the service sends events of this kind more than once. Two
// tool calls that look the same are two calls.
func hasTwins(kind Kind) bool {
	switch kind {
	case StartedSpeaking, StoppedSpeaking, KindUtterance, KindUtteranceStreaming, ReplicaJoined, ReplicaPresent:
		return true
	}
	return false
}

// sameContent reports whether p and q are about the same thing.
func (p fingerprint) sameContent(q fingerprint) bool {
	return p.kind == q.kind && p.inference == q.inference && p.role == q.role && p.text == q.text &&
		p.turn == q.turn && p.index == q.index && p.isFinal == q.isFinal && p.isInterrupted == q.isInterrupted &&
		(p.duration < 0 || q.duration < 0 || p.duration == q.duration) &&
		q.at.Sub(p.at).Abs() <= twinTime && isNear(p.emitted, q.emitted)
}

// isNear reports whether both times may belong to one event. Events of older services have
// no time.
func isNear(a, b time.Time) bool {
	return a.IsZero() || b.IsZero() || a.Sub(b).Abs() <= twinDrift
}

// supersede folds a waiting repeat into the event with the lower number seq, which was
// emitted first.
func (s *conversationOrder) supersede(twin *fingerprint, seq int64) bool {
	if seq == 0 || seq >= twin.seq {
		return false
	}
	i := slices.IndexFunc(s.held, func(a arrival) bool { return a.order == twin.order })
	if i >= 0 {
		s.held[i].isFolded = true
	}
	return i >= 0
}
