// Package lease decides which node of a cluster may speak in a conversation.
//
// A record in a store that many nodes share says who holds the conversation. Each
// write of the record names the revision that it replaces, so of two writes one is
// refused. The holder writes the record again, which renews it, and may speak for TTL
// less a margin from when it asked for the last write. Another node may take the record
// once it has seen the same revision for TTL. It saw the revision after the holder had
// asked for it, so the holder has stopped before:
//
//	holder   ask──►write            may speak until ask+TTL-margin┃
//	store          └─► revision 7
//	other                └─► sees revision 7 ......... may write at seen+TTL ┃
//
// No clock is compared with that of another machine, and the store's clock plays no
// part: a clock that jumps does no harm, one that runs a tenth too slow does.
//
// Next is all of it. It is pure: it reads no clock and writes nothing, so a program can
// try all orders of events.
package lease

import "time"

// Phase is what a node does about a conversation.
type Phase int

// The phases.
const (
	Watching Phase = iota // somebody else holds the record, or nobody
	Claiming              // a write that takes the record is under way
	Held                  // this node holds it
)

// Holder is who holds a record that was seen.
type Holder int

// The holders.
const (
	Nobody Holder = iota // the record was released, or there is none
	Other                // another node, or this one by an earlier claim
	Us                   // this node, by its present claim
)

// Options bound a lease. All nodes have the same.
type Options struct {
	TTL    time.Duration // how long a record holds from its last write
	Margin time.Duration // how much earlier the holder stops
}

// Renewal is how long after a write the holder asks for the next.
func (o Options) Renewal() time.Duration { return o.TTL / 3 }

// Time is on the node's own clock, which counts while the machine is suspended and
// never goes back.
type Time = time.Duration

// State is where a node stands with one conversation. The zero State has seen no
// record.
type State struct {
	Phase     Phase
	Holder    Holder
	Revision  uint64 // of the record as it was seen or written last; 0: there is none
	Seen      Time   // when that revision was seen first
	Asked     Time   // when the last write was asked for
	Until     Time   // until when this node may speak, in phase Held
	IsWriting bool   // a write is under way
}

// Kind is what happened.
type Kind int

// The kinds of events.
const (
	Saw        Kind = iota // the record was seen, with Revision and Holder
	Want                   // this node is to take the conversation, if it may
	Written                // the write was done, and made Revision
	Refused                // the write was refused: somebody else has written
	Unanswered             // the write was not answered: it may be done or not
	Tick                   // time has passed
	Give                   // this node is to release the conversation
)

// Event is what happened, and when.
type Event struct {
	Kind     Kind
	At       Time
	Revision uint64
	Holder   Holder
}

// Action is what the caller has to do. Stop comes before everything else.
type Action int

// The actions.
const (
	None    Action = iota
	Write          // write the record as this node's, replacing State.Revision
	Start          // this node holds the conversation from now on
	Stop           // it does not any more: nothing may be sent
	Release        // as Stop, then write that nobody holds it, replacing State.Revision
)

// MaySpeak reports whether this node may send at a time. It is asked for each message,
// so that no goroutine has to run for a node to fall silent.
func (s State) MaySpeak(now Time) bool { return s.Phase == Held && now < s.Until }

// Next is what follows after an event. Every state knows what to do at every event.
func (s State) Next(e Event, o Options) (State, Action) {
	if s.Phase == Held && e.At >= s.Until {
		s, _ = s.lose(e.At) // whatever else has happened
		after, _ := s.Next(e, o)
		return after, Stop
	}
	switch e.Kind {
	case Saw:
		return s.saw(e)
	case Want:
		return s.want(e, o)
	case Written:
		return s.written(e, o)
	case Refused:
		return s.refused(e)
	case Unanswered:
		return s.unanswered(e)
	case Tick:
		return s.tick(e, o)
	case Give:
		return s.give(e)
	}
	return s, None
}

// saw notes a record that is newer than what is known.
func (s State) saw(e Event) (State, Action) {
	if e.Revision <= s.Revision {
		return s, None
	}
	s.Revision, s.Holder, s.Seen = e.Revision, e.Holder, e.At
	if s.Phase == Held && e.Holder != Us {
		return s.lose(e.At)
	}
	return s, None
}

// want takes a record that nobody holds, or that was not renewed for TTL.
func (s State) want(e Event, o Options) (State, Action) {
	isFree := s.Holder == Nobody || e.At-s.Seen >= o.TTL
	if s.Phase != Watching || s.IsWriting || !isFree {
		return s, None
	}
	s.Phase, s.Asked, s.IsWriting = Claiming, e.At, true
	return s, Write
}

func (s State) written(e Event, o Options) (State, Action) {
	if !s.IsWriting {
		return s, None
	}
	s.IsWriting = false
	before, until := s.Phase, s.Asked+o.TTL-o.Margin
	if s.Revision <= e.Revision {
		s.Revision, s.Holder = e.Revision, Us
		s.Seen = e.At
	} else { // another has taken it since
		s.Phase = Watching
		return s, stopIf(before == Held)
	}
	switch {
	case before == Watching: // it was lost meanwhile
		s.Holder = Other
		return s, None
	case e.At >= until:
		s.Phase, s.Holder = Watching, Other
		return s, stopIf(before == Held)
	}
	s.Phase, s.Until = Held, until
	if before == Claiming {
		return s, Start
	}
	return s, None
}

func stopIf(held bool) Action {
	if held {
		return Stop
	}
	return None
}

func (s State) refused(e Event) (State, Action) {
	if !s.IsWriting {
		return s, None
	}
	s.IsWriting = false
	if s.Phase == Held {
		return s.lose(e.At)
	}
	s.Phase, s.Seen, s.Holder = Watching, e.At, Other
	return s, None
}

func (s State) unanswered(e Event) (State, Action) {
	if !s.IsWriting {
		return s, None
	}
	s.IsWriting = false
	if s.Phase == Claiming {
		s.Phase, s.Seen, s.Holder = Watching, e.At, Other
	}
	return s, None
}

// tick renews the record in time.
func (s State) tick(e Event, o Options) (State, Action) {
	if s.Phase != Held || s.IsWriting || e.At-s.Asked < o.Renewal() {
		return s, None
	}
	s.Asked, s.IsWriting = e.At, true
	return s, Write
}

func (s State) give(e Event) (State, Action) {
	if s.Phase != Held {
		return s, None
	}
	s, _ = s.lose(e.At)
	return s, Release
}

// lose ends the holding. What is known of the record stays.
func (s State) lose(at Time) (State, Action) {
	if s.Holder == Us {
		s.Holder = Other // it may be this node's own; it lapses as any other
		s.Seen = at
	}
	s.Phase, s.Until = Watching, 0
	return s, Stop
}
