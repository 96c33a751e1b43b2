package echo

import (
	"context"
	"errors"
)

// life is how far one utterance has come. It is a plain value that can be
// compared, printed and stored. Only next changes it.
type life struct {
	Sent  sending // what has left
	Voice voice   // what the replica said of it
	End   ending  // why it ends
}

// sending is how much of an utterance has left, or is on its way.
type sending string

const (
	nothingSent sending = ""
	someSent    sending = "some"
	allSent     sending = "all"
)

// voice is what the replica does, by its events.
type voice string

const (
	notHeard voice = ""         // it has not begun to speak
	speaking voice = "speaking" //
	ranDry   voice = "ran dry"  // it stopped before all was sent, and may begin again
	saidAll  voice = "said all" // it stopped after all was sent
	cutShort voice = "cut"      // it stopped since somebody interrupted it
)

// isFinal reports whether the replica has said its last word on the utterance.
func (v voice) isFinal() bool { return v == saidAll || v == cutShort }

// ending is why an utterance ends. The first reason counts, except that an
// interrupt of ours prevails over one by somebody else.
type ending string

const (
	stillOpen  ending = ""           // it has not ended
	complete   ending = "complete"   // all was sent, and nothing more is waited for
	unverified ending = "unverified" // all was sent, and the replica did not confirm it
	stopped    ending = "stopped"    // Interrupt, another utterance, or the caller's context
	paused     ending = "paused"     // Pause
	bargedIn   ending = "barged in"  // the user's speech
	cutByOther ending = "cut"        // somebody else interrupted the replica
	broken     ending = "broken"     // the source or a message failed
	lost       ending = "lost"       // the connection
)

// isOurs reports whether the session itself ends the utterance early.
func (e ending) isOurs() bool { return e == stopped || e == paused || e == bargedIn }

// endingOf is the ending that err, the end of an utterance, means. interrupted
// says that err is the cause of its context.
func endingOf(err error, interrupted bool) ending {
	switch {
	case err == nil:
		return complete
	case errors.Is(err, ErrUnverified):
		return unverified
	case errors.Is(err, ErrLost):
		return lost
	case errors.Is(err, ErrInterrupted):
		return cutByOther
	case errors.Is(err, ErrPaused):
		return paused
	case errors.Is(err, ErrBargeIn):
		return bargedIn
	case interrupted, interrupts(err), errors.Is(err, context.Canceled):
		return stopped
	}
	return broken
}

// interrupts reports whether err is an interrupt of ours.
func interrupts(err error) bool {
	for _, cause := range []error{ErrStopped, ErrReplaced, ErrBargeIn, ErrPaused} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// lifeEvent is something that happens to an utterance: an ending, or one of
// these.
type lifeEvent string

const (
	messageLeaves lifeEvent = "message" // a message that is not the last is on its way
	lastLeaves    lifeEvent = "last"    // the last is on its way
	replicaStarts lifeEvent = "start"   // the replica speaks
	replicaStops  lifeEvent = "stop"    // it has stopped by itself
	replicaIsCut  lifeEvent = "cut off" // it has stopped since it was interrupted
	startNotOurs  lifeEvent = "disown"  // the start was that of another utterance
)

// action is what has to be done after an event.
type action uint8

const (
	haltSource  action = 1 << iota // end the read of the source, and send no more
	tellReplica                    // tell the replica to stop
	noteFinal                      // the replica has said its last word: wake who waits for it
)

// next returns the state that follows an event, and what has to be done. It has an
// answer for every state and event; an event that is impossible in a state, or
// repeated, changes nothing.
func (l life) next(e lifeEvent) (life, action) {
	switch e {
	case messageLeaves, lastLeaves:
		return l.leave(e)
	case replicaStarts, replicaStops, replicaIsCut, startNotOurs:
		if l.Sent == nothingSent || l.Voice.isFinal() {
			return l, 0
		}
		return l.hear(e)
	}
	return l.finish(ending(e))
}

func (l life) leave(e lifeEvent) (life, action) {
	switch {
	case l.Sent == allSent:
	case e == lastLeaves:
		l.Sent = allSent
	default:
		l.Sent = someSent
	}
	return l, 0
}

// hear takes an event of the replica, of an utterance of which something was
// sent.
func (l life) hear(e lifeEvent) (life, action) {
	switch {
	case e == startNotOurs:
		l.Voice = notHeard
	case e == replicaStarts:
		l.Voice = speaking
	case e == replicaIsCut:
		l.Voice = cutShort
		if l.End != stillOpen {
			return l, noteFinal
		}
		l.End = cutByOther
		return l, noteFinal | haltSource
	case l.Sent == allSent && l.Voice != ranDry:
		l.Voice = saidAll
		return l, noteFinal
	default: // the replica has run out of audio; a second stop says the same again
		l.Voice = ranDry
	}
	return l, 0
}

// finish takes a reason to end.
func (l life) finish(why ending) (life, action) {
	switch {
	case l.End == cutByOther && why.isOurs():
		l.End = why
		return l, 0
	case l.End != stillOpen || why == stillOpen:
		return l, 0
	}
	l.End = why
	switch {
	case why == complete || why == unverified:
		return l, 0
	case l.Sent == nothingSent || l.Voice.isFinal():
		return l, haltSource
	}
	return l, haltSource | tellReplica
}

// outcome is what the receipt says of an utterance that has ended.
func (l life) outcome() Outcome {
	switch l.End {
	case complete:
		if l.Voice.isFinal() {
			return Finished
		}
		return Sent
	case unverified:
		return Unverified
	case cutByOther:
		return Interrupted
	case stopped, paused, bargedIn, broken:
		if l.Sent != nothingSent {
			return Interrupted
		}
	}
	return Failed
}

// state is what Progress says of it.
func (l life) state() State {
	switch {
	case l.Sent == nothingSent:
		return Queued
	case l.Voice != notHeard:
		return Speaking
	case l.Sent == allSent:
		return Draining
	}
	return Sending
}

// sequel is what follows an utterance that has ended.
type sequel string

const (
	noSequel   sequel = ""        // the call of Speak returns
	fromStart  sequel = "restart" // it is said again once the connection is there
	fromHeard  sequel = "resume"  // it goes on where it was heard, once the connection is there
	afterQuiet sequel = "quiet"   // it goes on where it was heard, once nobody wants silence
)

// sequel decides what follows, by the options of the session.
func (o *Options) sequel(end ending) sequel {
	switch {
	case end == lost && o.Redial != nil && o.OnLoss == ReconnectRestart:
		return fromStart
	case end == lost && o.Redial != nil && o.OnLoss == ReconnectResume:
		return fromHeard
	case end == paused, o.Resume && (end == bargedIn || end == cutByOther):
		return afterQuiet
	}
	return noSequel
}
