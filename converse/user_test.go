package converse

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"echocast/echo"
)

// The user's actions count in the order in which they happened, in whatever order they arrive.
func TestUserEventsAreOrdered(t *testing.T) {
	start := func(seq int64) echo.Event { return echo.Event{Kind: echo.StartedSpeaking, Seq: seq} }
	stop := func(seq int64) echo.Event { return echo.Event{Kind: echo.StoppedSpeaking, Seq: seq} }
	words := func(seq int64, text string) echo.Event {
		return echo.Event{Kind: echo.KindUtterance, Seq: seq, Text: text}
	}
	const late = 100 * time.Millisecond // less than wordsWindow
	for name, c := range map[string]struct {
		arrive []echo.Event
		gap    time.Duration
		want   []string
		old    int // words told as unanswered
	}{
		"in order": {[]echo.Event{start(1), stop(2), words(3, "a")}, late, []string{"start", "stop", "a"}, 0},
		"words before words": {[]echo.Event{start(1), stop(2), words(6, "b"), words(3, "a")}, late,
			[]string{"start", "stop", "a", "b"}, 0},
		"words much too late": {[]echo.Event{start(1), stop(2), words(6, "b"), words(3, "a")}, 4 * late,
			[]string{"start", "stop", "b"}, 1},
		"a start after its stop":  {[]echo.Event{stop(2), start(1), words(3, "a")}, late, []string{"stop", "a"}, 0},
		"a start after its words": {[]echo.Event{words(3, "a"), start(1)}, 4 * late, []string{"a"}, 0},
		"twins": {[]echo.Event{start(1), start(1), stop(2), words(3, "a"), start(1), words(3, "a")},
			late, []string{"start", "stop", "a"}, 0},
		"a start before words": {[]echo.Event{start(1), stop(2), words(4, "a"), start(5)}, late,
			[]string{"start", "stop", "start", "a", "start"}, 0},
		"a service restarts": {[]echo.Event{words(1000, "a"), words(1, "b")}, 4 * late, []string{"a", "b"}, 0},
		"no numbers": {[]echo.Event{start(0), stop(0), words(0, "a"), words(0, "b")}, late,
			[]string{"start", "stop", "a", "b"}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			session, old := &fakeSession{events: make(chan echo.Event)}, 0
			conversation := newConversation(session, Options{OnNote: func(n Note) { old++ }})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				for _, e := range c.arrive {
					e.Role = echo.RoleUser
					session.events <- e
					time.Sleep(c.gap)
				}
				session.events <- echo.Event{Kind: echo.Shutdown}
			}()
			var got []string
			conversation.userEvents(ctx, session.Events(ctx), func(e userEvent) bool {
				switch {
				case errors.Is(e.err, ErrRoomEnded):
					cancel()
				case e.kind == userSaid:
					got = append(got, e.text)
				default:
					got = append(got, map[event]string{userStarted: "start", userStopped: "stop"}[e.kind])
				}
				return true
			})
			if !slices.Equal(got, c.want) || old != c.old {
				t.Errorf("%s: %q and %d told, want %q and %d", name, got, old, c.want, c.old)
			}
		})
	}
}
