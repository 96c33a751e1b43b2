package rest

import (
	"testing"
	"time"
)

// Every status has one meaning, and only what was certainly not delivered may be repeated.
func TestAnswerTo(t *testing.T) {
	for status := 100; status < 700; status++ {
		want := uncertain
		switch {
		case status >= 200 && status <= 299:
			want = delivered
		case status == 429:
			want = limited
		case status >= 300 && status <= 499:
			want = refused
		case status == 502:
			want = undelivered
		}
		if got := answerTo(status); got != want {
			t.Errorf("%d: %v, want %v", status, got, want)
		}
	}
}

// Every answer has a next step in every state of a message. In no order of answers is a
// message repeated that may have been delivered, and none continues forever.
func TestEveryOrderOfAnswers(t *testing.T) {
	answers := []answer{delivered, undelivered, limited, refused, uncertain}
	var walk func(from attempts, depth int)
	walk = func(from attempts, depth int) {
		if depth > maxUndelivered+maxLimited {
			t.Fatal("no end")
		}
		for _, a := range answers {
			state := from
			next, pause := state.next(a, 3*time.Second)
			switch {
			case (a == delivered) != (next == succeed):
				t.Errorf("%v in %+v: %v", a, from, next)
			case next == repeat && a != undelivered && a != limited:
				t.Errorf("%v in %+v is repeated", a, from)
			case next == repeat && a == limited && pause < 3*time.Second:
				t.Errorf("%v in %+v: again after %v", a, from, pause)
			case next == repeat:
				walk(state, depth+1)
			}
		}
	}
	walk(attempts{}, 0)
}
