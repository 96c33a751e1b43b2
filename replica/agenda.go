package replica

import (
	"slices"
	"time"
)

// appointment is something to be done at a time.
type appointment struct {
	at time.Time
	do func(at time.Time)
}

// agenda holds appointments in order of time, and those of the same time in the
// order in which they were made.
type agenda []appointment

func (a *agenda) add(at time.Time, do func(at time.Time)) {
	i := len(*a)
	for i > 0 && (*a)[i-1].at.After(at) {
		i--
	}
	*a = slices.Insert(*a, i, appointment{at, do})
}

// isDue reports whether there is something to be done by now.
func (a agenda) isDue(now time.Time) bool { return len(a) > 0 && !a[0].at.After(now) }

// earliest is the time of the first appointment, or now if that comes first.
func (a agenda) earliest(now time.Time) time.Time {
	if a.isDue(now) {
		return a[0].at
	}
	return now
}

func (a *agenda) pop() appointment {
	first := (*a)[0]
	*a = slices.Delete(*a, 0, 1)
	return first
}

// untilDue is how long there is nothing to do; ok is false if there never is.
func (a agenda) untilDue(now time.Time) (wait time.Duration, ok bool) {
	if len(a) == 0 {
		return 0, false
	}
	return a[0].at.Sub(now), true
}
