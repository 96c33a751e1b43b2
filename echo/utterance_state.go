package echo

import (
	"context"
	"errors"
)

// utteranceState is the state of one utterance. It is a plain value that can be
// compared, printed and stored. Only next changes it.
type utteranceState struct {
	Sent  sentState  // how much was sent
	Voice voiceState // what the replica reported
	End   endReason  // why it ends
}

// sentState is how much of an utterance was sent, or is being sent.
type sentState string

const (
	nothingSent sentState = ""
	someSent    sentState = "some"
	allSent     sentState = "all"
)

// voiceState is what the replica does, according to its events.
type voiceState string

const (
	notHeard voiceState = ""         // it has not begun to speak
	speaking voiceState = "speaking" //
	underran voiceState = "ran dry"  // it stopped before all was sent, and may begin again
	saidAll  voiceState = "said all" // it stopped after all was sent
	cutShort voiceState = "cut"      // it stopped because somebody interrupted it
)

// isFinal reports whether no further event about the utterance will come.
func (v voiceState) isFinal() bool { return v == saidAll || v == cutShort }

// endReason is why an utterance ends. The first reason counts, except that an interrupt
// by this session prevails over one by somebody else.
type endReason string

const (
	stillOpen  endReason = ""           // it has not ended
	complete   endReason = "complete"   // all was sent, and there is nothing to wait for
	unverified endReason = "unverified" // all was sent, and the replica did not confirm it
	stopped    endReason = "stopped"    // Interrupt, another utterance, or the caller's context
	paused     endReason = "paused"     // Pause
	bargedIn   endReason = "barged in"  // the user's speech
	cutByOther endReason = "cut"        // somebody else interrupted the replica
	broken     endReason = "broken"     // the source or a message failed
	lost       endReason = "lost"       // the connection
)

// isOurs reports whether the session itself ends the utterance early.
func (e endReason) isOurs() bool { return e == stopped || e == paused || e == bargedIn }

// endReasonOf returns the reason that the final error of an utterance means.
// interrupted says that err is the cause of its context.
func endReasonOf(err error, interrupted bool) endReason {
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
	case interrupted, isInterrupt(err), errors.Is(err, context.Canceled):
		return stopped
	}
	return broken
}

// isInterrupt reports whether err is an interrupt by this session.
func isInterrupt(err error) bool {
	for _, cause := range []error{ErrStopped, ErrReplaced, ErrBargeIn, ErrPaused} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// stateEvent is something that happens to an utterance: a reason to end, or one of
// these.
type stateEvent string

const (
	messageLeaves stateEvent = "message" // a message that is not the last is being sent
	lastLeaves    stateEvent = "last"    // the last message is being sent
	replicaStarts stateEvent = "start"   // the replica speaks
	replicaStops  stateEvent = "stop"    // it has stopped by itself
	replicaIsCut  stateEvent = "cut off" // it has stopped because it was interrupted
	startNotOurs  stateEvent = "disown"  // the start belonged to another utterance
)

// action is a set of actions to take after an event.
type action uint8

const (
	haltSource  action = 1 << iota // end the read of the source, and send no more
	tellReplica                    // tell the replica to stop
	noteFinal                      // no further event will come: wake those who wait for it
)

// next returns the state that follows an event, and the actions to take. An event that is
// impossible in a state, or repeated, changes nothing.
func (l utteranceState) next(e stateEvent) (utteranceState, action) {
	switch e {
	case messageLeaves, lastLeaves:
		return l.leave(e)
	case replicaStarts, replicaStops, replicaIsCut, startNotOurs:
		if l.Sent == nothingSent || l.Voice.isFinal() {
			return l, 0
		}
		return l.hear(e)
	}
	return l.finish(endReason(e))
}

func (l utteranceState) leave(e stateEvent) (utteranceState, action) {
	switch {
	case l.Sent == allSent:
	case e == lastLeaves:
		l.Sent = allSent
	default:
		l.Sent = someSent
	}
	return l, 0
}

// hear applies an event of the replica about an utterance that was sent in part or
// whole.
func (l utteranceState) hear(e stateEvent) (utteranceState, action) {
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
	case l.Sent == allSent && l.Voice != underran:
		l.Voice = saidAll
		return l, noteFinal
	default: // the replica has run out of audio; a repeated stop changes nothing
		l.Voice = underran
	}
	return l, 0
}

// finish applies a reason to end.
func (l utteranceState) finish(why endReason) (utteranceState, action) {
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

// outcome returns the outcome in the receipt of an utterance that has ended.
func (l utteranceState) outcome() Outcome {
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

// state returns the State that Progress reports.
func (l utteranceState) state() State {
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

// continuation is what the session does after an utterance has ended.
type continuation string

const (
	noContinuation continuation = ""        // the call of Speak returns
	fromStart      continuation = "restart" // it is said again after the reconnect
	fromHeard      continuation = "resume"  // it continues where it was last heard, after the reconnect
	afterQuiet     continuation = "quiet"   // it continues there once the user is silent and no Pause lasts
)

// continuation returns what the session does after an utterance that ended for this reason.
func (o *Options) continuation(end endReason) continuation {
	switch {
	case end == lost && o.Redial != nil && o.OnLoss == ReconnectRestart:
		return fromStart
	case end == lost && o.Redial != nil && o.OnLoss == ReconnectResume:
		return fromHeard
	case end == paused, o.Resume && (end == bargedIn || end == cutByOther):
		return afterQuiet
	}
	return noContinuation
}
