// Package explore visits all states of a model, for tests. A model is a system that takes one
// step at a time, where any of the possible steps may be the next:
//
//	found := explore.All(m, start)
//	if found.Err != nil {
//		t.Error(found) // with the fewest steps that lead there
//	}
package explore

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// Model is a system that takes one step at a time. S holds all of its state.
type Model[S any] interface {
	// Steps hands every state that may follow to yield, with what happened.
	Steps(s *S, yield func(by Step, next S))
	// Key is a hash of a state. States that behave alike have the same.
	Key(seed maphash.Seed, s *S) uint64
	// Check says what is wrong with a state.
	Check(s *S) error
}

// Step is what happened, and to which node; less than 0: to none.
type Step struct {
	What string
	Node int8
}

func (s Step) String() string {
	if s.Node < 0 {
		return s.What
	}
	return fmt.Sprintf("node %c: %s", 'A'+s.Node, s.What)
}

// Found is what All has found.
type Found struct {
	States int
	Depth  int    // steps to the state that is the farthest from the start
	Err    error  // what is wrong with the first state that is wrong
	Trace  []Step // the fewest steps that lead there
}

func (f *Found) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d states, %d steps deep: %v", f.States, f.Depth, f.Err)
	for i, s := range f.Trace {
		fmt.Fprintf(&b, "\n%3d. %v", i+1, s)
	}
	return b.String()
}

// All visits all states that can be reached from start, breadth first, and stops at the first
// that is wrong. It keeps 64 bits of a hash of each state, and how the state was reached: of
// ten million states two have the same hash once in 400,000 runs.
func All[S any](m Model[S], start S) *Found {
	type origin struct {
		from uint64
		by   Step
	}
	found := &Found{}
	seed := maphash.MakeSeed()
	first := m.Key(seed, &start)
	seen := map[uint64]origin{first: {}}
	trace := func(at uint64) (steps []Step) {
		for ; at != first; at = seen[at].from {
			steps = append(steps, seen[at].by)
		}
		slices.Reverse(steps)
		return steps
	}
	for level := []S{start}; len(level) > 0; found.Depth++ {
		var following []S
		for i := range level {
			at := m.Key(seed, &level[i])
			if found.Err = m.Check(&level[i]); found.Err != nil {
				found.States, found.Trace = len(seen), trace(at)
				return found
			}
			m.Steps(&level[i], func(by Step, s S) {
				to := m.Key(seed, &s)
				if _, isKnown := seen[to]; !isKnown {
					seen[to] = origin{at, by}
					following = append(following, s)
				}
			})
		}
		level = following
	}
	found.States = len(seen)
	return found
}
