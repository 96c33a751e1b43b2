package explore

import (
	"errors"
	"hash/maphash"
	"testing"
)

// counter adds one, or doubles, up to 20. A state is wrong if it is this number; 0: none is.
type counter int

func (c counter) Steps(s *int, yield func(Step, int)) {
	for what, next := range map[string]int{"adds one": *s + 1, "doubles": *s * 2} {
		if next <= 20 {
			yield(Step{what, -1}, next)
		}
	}
}

func (c counter) Key(seed maphash.Seed, s *int) uint64 { return maphash.Comparable(seed, *s) }

func (c counter) Check(s *int) error {
	if *s == int(c) {
		return errors.New("wrong")
	}
	return nil
}

// All states are visited, and the trace to a wrong one is the shortest, in order.
func TestAll(t *testing.T) {
	if found := All(counter(0), 1); found.States != 20 || found.Err != nil || found.Trace != nil {
		t.Errorf("nothing is wrong: %v", found)
	}
	found := All(counter(13), 1)
	want := "\n  1. adds one\n  2. adds one\n  3. doubles\n  4. doubles\n  5. adds one"
	other := "\n  1. doubles\n  2. adds one\n  3. doubles\n  4. doubles\n  5. adds one"
	if found.Err == nil || len(found.Trace) != 5 {
		t.Fatalf("13 is wrong: %v", found)
	}
	text := (&Found{Trace: found.Trace}).String()
	if head := (&Found{}).String(); text != head+want && text != head+other {
		t.Errorf("the trace is%s", text)
	}
}
