package echo

import (
	"slices"
	"time"
)

// EventFilter marks the events to act on, for programs that act on events as they arrive. The
// service sends most events of a replica twice, and connections delay, reorder and repeat
// events. An event is not news if
//
//   - it repeats an earlier event (its twin); an event of presence on a new connection is
//     news again, or
//   - a newer event about the same speaker has arrived. Newer means a higher seq or, if one
//     of the two has no seq, a later time of emission.
//
// So a start that arrives after its own stop does not mean that somebody speaks
// now. Unlike a Sequencer, an EventFilter never waits, and it serves only one
// conversation. It is not safe for concurrent use.
type EventFilter struct {
	memory conversationOrder // remembers fingerprints; it holds no event
	latest int64             // the highest number of this era
	last   map[speaker]lastEvent
	ids    []speaker // the keys of last that have an id, the oldest first
}

// mostSpeakers is how many utterances an EventFilter remembers.
const mostSpeakers = 256

// NewEventFilter returns an EventFilter that has seen nothing.
func NewEventFilter() *EventFilter {
	return &EventFilter{memory: *newConversationOrder(0), last: map[speaker]lastEvent{}}
}

// speaker identifies a series of events about one speaker; only the last event counts.
type speaker struct {
	role       string
	id         string // of the utterance; empty for users
	isPresence bool   // events of coming and leaving, not of speech
}

// lastEvent is the last event about a speaker.
type lastEvent struct {
	kind          Kind
	seq           int64
	time          time.Time
	isInterrupted bool
}

// IsNews reports whether e, the next event, which arrived at now, is news.
func (f *EventFilter) IsNews(now time.Time, e Event) bool {
	repeated, twin := f.recall(now, e)
	about, ordered := speakerOf(e)
	if !ordered {
		return !repeated && !twin
	}
	this := lastEvent{e.Kind, e.Seq, e.Time, e.Interrupted}
	last, known := f.last[about]
	if repeated || known && this.isHistory(last, about) {
		return false
	}
	if twin && known && last.kind == e.Kind && !about.isPresence {
		last.seq = max(last.seq, e.Seq)
		f.last[about] = last
		return false
	}
	f.note(about, this)
	return true
}

// recall reports whether an event of the same type and number has arrived before, or a twin
// with another number. If the service starts to count again, earlier events do not count.
func (f *EventFilter) recall(now time.Time, e Event) (repeated, twin bool) {
	m := &f.memory
	p := m.fingerprint(now, e)
	if m.isRedelivered(p) {
		return true, false
	}
	before, has := m.sameNumber(p)
	switch {
	case has && before.mayEqual(p):
		return true, false
	case has, p.seq > 0 && p.seq < f.latest-maxLate:
		m.era++
		f.latest = 0
		clear(f.last)
		f.ids = nil
	}
	p.era = m.era
	f.latest = max(f.latest, p.seq)
	twin = m.findTwin(p) != nil
	m.remember(p)
	return false, twin
}

// isHistory reports whether o is older than last, the newest event about the same
// speaker.
func (o lastEvent) isHistory(last lastEvent, about speaker) bool {
	switch {
	case about.id != "" && last.kind == StoppedSpeaking && last.isInterrupted:
		return true // an utterance that was interrupted has ended for good
	case o.seq > 0 && last.seq > 0:
		return o.seq < last.seq || o.seq == last.seq && o.kind == last.kind
	case o.time.IsZero():
		return false
	}
	return o.time.Before(last.time) || o.time.Equal(last.time) && o.kind == last.kind
}

func (f *EventFilter) note(about speaker, this lastEvent) {
	if _, known := f.last[about]; !known && about.id != "" {
		if len(f.ids) == mostSpeakers {
			delete(f.last, f.ids[0])
			f.ids = slices.Delete(f.ids, 0, 1)
		}
		f.ids = append(f.ids, about)
	}
	f.last[about] = this
}

// speakerOf returns the speaker of e, if only the last event about a speaker counts.
func speakerOf(e Event) (about speaker, ordered bool) {
	switch e.Kind {
	case StartedSpeaking, StoppedSpeaking:
		about.role = e.Role
		if e.Role != RoleUser {
			about.id = e.InferenceID
		}
		return about, true
	case ReplicaJoined, ReplicaPresent, KindJoined, KindLeft, KindParticipantJoined, KindParticipantLeft:
		return speaker{role: e.Role, isPresence: true}, e.Role == RolePal
	}
	return speaker{}, false
}
