package gateway

import "testing"

// Every state has a next state for every signal.
func TestStateTransitions(t *testing.T) {
	signals := []Signal{Joined, Drain, End, Lose, Leave}
	for state, want := range map[State][]State{
		Starting: {Open, Ending, Ending, Ending, Ended},
		Open:     {Open, Draining, Ending, Ending, Ended},
		Draining: {Draining, Draining, Ending, Ending, Ended},
		Ending:   {Ending, Ending, Ending, Ending, Ended},
		Ended:    {Ended, Ended, Ended, Ended, Ended},
	} {
		for i, signal := range signals {
			if got := next(state, signal); got != want[i] {
				t.Errorf("after %s, a conversation that is %s is %s; it should be %s", signal, state, got, want[i])
			}
		}
	}
}
