package replica

import (
	"slices"
	"time"
)

// schedule holds values until they are due, the earliest first. Values that are due at the
// same time stay in the order in which they were added.
type schedule[T any] []scheduled[T]

type scheduled[T any] struct {
	at    time.Time
	value T
}

func (s *schedule[T]) add(at time.Time, value T) {
	i := len(*s)
	for i > 0 && (*s)[i-1].at.After(at) {
		i--
	}
	*s = slices.Insert(*s, i, scheduled[T]{at, value})
}

// isDue reports whether the first value is due by now.
func (s schedule[T]) isDue(now time.Time) bool { return len(s) > 0 && !s[0].at.After(now) }

// earliest returns when the first value is due, or now if that comes first.
func (s schedule[T]) earliest(now time.Time) time.Time {
	if s.isDue(now) {
		return s[0].at
	}
	return now
}

func (s *schedule[T]) pop() scheduled[T] {
	first := (*s)[0]
	*s = slices.Delete(*s, 0, 1)
	return first
}

// untilDue returns the time until the first value is due. ok is false if the schedule is
// empty.
func (s schedule[T]) untilDue(now time.Time) (wait time.Duration, ok bool) {
	if len(s) == 0 {
		return 0, false
	}
	return s[0].at.Sub(now), true
}
