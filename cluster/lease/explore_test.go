package lease

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// A model is a system that takes one step at a time. S holds all of its state. Two
// states that behave alike are equal.
type model[S any] interface {
	// steps hands every state that may follow to yield, with what happened.
	steps(s *S, yield func(by step, next S))
	// key is a hash of a state. States that behave alike have the same.
	key(seed maphash.Seed, s *S) uint64
	// check says what is wrong with a state.
	check(s *S) error
}

// step is what happened, and to which node; less than 0: to none.
type step struct {
	what string
	node int8
}

func (s step) String() string {
	if s.node < 0 {
		return s.what
	}
	return fmt.Sprintf("node %c: %s", 'A'+s.node, s.what)
}

// explored is what explore has found.
type explored struct {
	states int
	depth  int    // steps to the state that is the farthest from the start
	err    error  // what is wrong with the first state that is wrong
	trace  []step // the fewest steps that lead there
}

func (e *explored) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d states, %d steps deep: %v", e.states, e.depth, e.err)
	for i, s := range e.trace {
		fmt.Fprintf(&b, "\n%3d. %v", i+1, s)
	}
	return b.String()
}

// explore visits all states that can be reached from start, breadth first, and stops at
// the first that is wrong. It keeps 64 bits of a hash of each state, and how the state
// was reached: of ten million states two have the same hash once in 400,000 runs.
func explore[S any](m model[S], start S) (found explored) {
	type origin struct {
		from uint64
		by   step
	}
	seed := maphash.MakeSeed()
	first := m.key(seed, &start)
	seen := map[uint64]origin{first: {}}
	trace := func(at uint64) (steps []step) {
		for ; at != first; at = seen[at].from {
			steps = append(steps, seen[at].by)
		}
		slices.Reverse(steps)
		return steps
	}
	for level := []S{start}; len(level) > 0; found.depth++ {
		var following []S
		for i := range level {
			at := m.key(seed, &level[i])
			if found.err = m.check(&level[i]); found.err != nil {
				found.states, found.trace = len(seen), trace(at)
				return found
			}
			m.steps(&level[i], func(by step, s S) {
				to := m.key(seed, &s)
				if _, isKnown := seen[to]; !isKnown {
					seen[to] = origin{at, by}
					following = append(following, s)
				}
			})
		}
		level = following
	}
	found.states = len(seen)
	return found
}
