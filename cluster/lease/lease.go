// Package lease decides which node of a cluster may speak in a conversation.
//
// A record in a store that many nodes share says who holds the conversation. Each write of the
// record names the revision that it replaces, so of two writes one is refused. The holder
// renews its lease by writing the record again. It may speak for TTL less a margin, counted
// from when it asked for the last write. Another node may take the record once it has seen the
// same revision for TTL. It saw the revision after the holder had asked for it, so the holder
// has stopped before:
//
//	holder   ask──►write            may speak until ask+TTL-margin┃
//	store          └─► revision 7
//	other                └─► sees revision 7 ......... may write at seen+TTL ┃
//
// No clock is compared with the clock of another machine, and the store's clock is not used: a
// clock that jumps does no harm, one that runs a tenth too slow does.
//
// Next holds all rules. It is pure: it reads no clock and writes nothing, so a program can try
// all orders of events.
package lease

import "time"

// Phase is the state of a node regarding one conversation.
type Phase int

// The phases.
const (
	Watching Phase = iota // another node holds the record, or nobody does
	Claiming              // a write that takes the record is under way
	Held                  // this node holds it
)

// Holder says who holds a record.
type Holder int

// The holders.
const (
	Nobody Holder = iota // the record was released, or there is none
	Other                // another node, or this one by an earlier claim
	Us                   // this node, by its present claim
)

// Options configure a lease. All nodes have the same.
type Options struct {
	TTL    time.Duration // how long a record is valid after its last write
	Margin time.Duration // how much earlier the holder stops
}

// Renewal is how long after a write the holder writes again.
func (o Options) Renewal() time.Duration { return o.TTL / 3 }

// Time is a time on the node's own clock. The clock counts while the machine is suspended, and
// never goes back.
type Time = time.Duration

// State is what a node knows of one conversation's lease. The zero State has seen no record.
type State struct {
	Phase     Phase
	Holder    Holder
	Revision  uint64 // of the last record seen or written; 0: there is none
	Seen      Time   // when that revision was first seen
	Asked     Time   // when the last write was requested
	Until     Time   // until when this node may speak, in phase Held
	IsWriting bool   // a write is pending
}

// Kind is a kind of event.
type Kind int

// The kinds of events.
const (
	Saw        Kind = iota // a record was seen, with Revision and Holder
	Want                   // this node should take the conversation, if it may
	Written                // the write succeeded, and made Revision
	Refused                // the write was refused: another node has written
	Unanswered             // there was no answer: the write may have succeeded or not
	Tick                   // time has passed
	Give                   // this node should release the conversation
)

// Event is what happened, and when.
type Event struct {
	Kind     Kind
	At       Time
	Revision uint64
	Holder   Holder
}

// Action is what the caller must do. Stop comes before everything else.
type Action int

// The actions.
const (
	None    Action = iota
	Write          // write the record as this node's, replacing State.Revision
	Start          // this node holds the conversation from now on
	Stop           // this node no longer holds it: send nothing
	Release        // as Stop, then write that nobody holds it, replacing State.Revision
)

// MaySpeak reports whether this node may send at a time. It is asked for each message, so no
// timer has to run to stop the node.
func (s State) MaySpeak(now Time) bool { return s.Phase == Held && now < s.Until }

// Next returns the state and the action after an event. It is defined for every state and
// event.
func (s State) Next(e Event, o Options) (State, Action) {
	if s.Phase == Held && e.At >= s.Until {
		s, _ = s.lose(e.At) // before anything else
		after, _ := s.Next(e, o)
		return after, Stop
	}
	switch e.Kind {
	case Saw:
		return s.recordRevision(e)
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
		return s.giveBack(e)
	}
	return s, None
}

// recordRevision records a newer revision of the record.
func (s State) recordRevision(e Event) (State, Action) {
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
	} else { // another node has taken it in the meantime
		s.Phase = Watching
		return s, stopIf(before == Held)
	}
	switch {
	case before == Watching: // it was lost in the meantime
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

// giveBack releases the record, if this node holds it.
func (s State) giveBack(e Event) (State, Action) {
	if s.Phase != Held {
		return s, None
	}
	s, _ = s.lose(e.At)
	return s, Release
}

// lose ends the holding. What is known of the record stays.
func (s State) lose(at Time) (State, Action) {
	if s.Holder == Us {
		s.Holder = Other // it may be this node's own; it expires like any other
		s.Seen = at
	}
	s.Phase, s.Until = Watching, 0
	return s, Stop
}
