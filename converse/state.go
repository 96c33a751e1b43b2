package converse

import "time"

// state is the state of the current answer.
type state int

const (
	idle          state = iota // nothing is being answered
	preparing                  // the commands run; nothing was spoken yet
	heldPreparing              // as preparing, but the user makes a sound: speaking has to wait
	heldReady                  // the answer is ready to be spoken, and waits for the user
	speaking                   // the answer is being spoken
	heldSpeaking               // speaking is paused, because the user makes a sound
	stateCount
)

// event is an event that may change the state.
type event int

const (
	userStarted event = iota // the user began to speak, or coughed
	userStopped              // the user is silent again
	userSaid                 // the user's words were recognised
	holdExpired              // no words followed the sound
	audioReady               // the first audio of the answer has arrived
	answerEnded              // the answer was spoken to its end, or failed
	eventCount
)

// action is an action of the conversation after an event.
type action int

const (
	begin           action = iota // answer what the user said
	enqueue                       // keep what the user said for later
	abandonForSound               // abandon the answer: the user began to speak
	abandonForWords               // abandon the answer: the user said something else
	permit                        // let the answer be spoken
	pause                         // silence the replica, and keep the position
	resume                        // continue from where the answer was last heard
	awaitStop                     // wait for the user to fall silent, at most maxHold
	awaitWords                    // wait for words after the sound, at most Options.FalseInterrupt
	stopWaiting                   // stop all waits
)

// maxHold is how long an answer is held back while the user speaks: the event
// that ends the user's speech may be lost.
const maxHold = 30 * time.Second

// bargeInPolicy says how to react to the user's sounds.
type bargeInPolicy struct {
	ignoresUser bool // --no-barge-in: an answer is never cut short
	givesUp     bool // a sound of the user ends the answer, instead of pausing it
}

// decide returns the next state after an event, and the actions to take, in order. An event
// that cannot happen in a state, or comes too late, changes nothing.
func (p bargeInPolicy) decide(s state, e event) (state, []action) {
	switch e {
	case userStarted:
		return p.started(s)
	case userStopped:
		if isHeld(s) {
			return s, []action{awaitWords}
		}
	case userSaid:
		return p.said(s)
	case holdExpired:
		return released(s)
	case audioReady:
		return ready(s)
	case answerEnded:
		return ended(s)
	}
	return s, nil
}

func isHeld(s state) bool { return s == heldPreparing || s == heldReady || s == heldSpeaking }

// started holds the answer back until it is known whether words follow.
func (p bargeInPolicy) started(s state) (state, []action) {
	switch {
	case s == idle || p.ignoresUser:
		return s, nil
	case p.givesUp:
		return idle, []action{abandonForSound}
	}
	switch s {
	case preparing:
		return heldPreparing, []action{awaitStop}
	case speaking:
		return heldSpeaking, []action{pause, awaitStop}
	}
	return s, []action{awaitStop} // the user continues
}

// said answers the newest words, unless an answer must not be interrupted.
func (p bargeInPolicy) said(s state) (state, []action) {
	switch {
	case s == idle:
		return preparing, []action{begin}
	case p.ignoresUser:
		return s, []action{enqueue}
	}
	return preparing, []action{stopWaiting, abandonForWords, begin}
}

// released lets a held answer continue: the sound was not words.
func released(s state) (state, []action) {
	switch s {
	case heldPreparing:
		return preparing, nil
	case heldReady:
		return speaking, []action{permit}
	case heldSpeaking:
		return speaking, []action{resume}
	}
	return s, nil
}

func ready(s state) (state, []action) {
	switch s {
	case preparing:
		return speaking, []action{permit}
	case heldPreparing:
		return heldReady, nil
	}
	return s, nil
}

func ended(s state) (state, []action) {
	switch s {
	case idle:
		return s, nil
	case heldSpeaking:
		return idle, []action{stopWaiting, resume}
	}
	return idle, []action{stopWaiting}
}
