package gateway

// State is the state of a conversation.
type State string

// The states of a conversation. What its replica does meanwhile is the state of the session:
// idle, sending, speaking and so on.
const (
	Starting State = "starting" // it is created, and its room is joined
	Open     State = "open"     // it takes utterances
	Draining State = "draining" // it finishes those that it has, and takes no more
	Ending   State = "ending"   // it interrupts what is left, and leaves the room
	Ended    State = "ended"
)

// Signal is what changes the state of a conversation.
type Signal string

// The signals.
const (
	Joined Signal = "joined" // the room was joined
	Drain  Signal = "drain"  // the gateway is to end
	End    Signal = "end"    // it was ended, or everything was said after Drain
	Lose   Signal = "lose"   // the room could not be joined, was lost, or has ended
	Leave  Signal = "leave"  // the room was left, and what was created is ended
)

// next returns the state after a signal. It is defined for every state and signal. Ended is
// final.
func next(s State, signal Signal) State {
	switch {
	case s == Ended, signal == Leave:
		return Ended
	case s == Ending, signal == End, signal == Lose:
		return Ending
	case s == Starting && signal == Drain:
		return Ending
	case s == Draining, signal == Drain:
		return Draining
	}
	return Open
}
