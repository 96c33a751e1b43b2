package echo

import (
	"testing"
	"testing/synctest"
	"time"
)

func (r *room) leave() {
	r.say(`{"message_type":"conversation","event_type":"conversation.left","properties":{"role":"replica"}}`)
}

// If a replica is away for AwayTimeout, echocast looks for another room. If it returns in
// time, it does not. What was spoken to the replica counts as lost at once.
func TestAwayTimeout(t *testing.T) {
	for name, c := range map[string]struct {
		back    time.Duration
		redials int
	}{"back in time": {4 * time.Second, 0}, "away": {6 * time.Second, 1}} {
		t.Run(name, func(t *testing.T) {
			dial := &rooms{}
			options := &Options{Redial: dial.redial, AwayTimeout: 5 * time.Second}
			inRoom(t, options, func(t *testing.T, r *room, s *Session) {
				dial.next = []*room{newRoom()}
				for range 2 { // the second time counts from its own beginning
					left := time.Now()
					r.leave()
					time.Sleep(c.back)
					if c.redials == 0 {
						r.join()
						time.Sleep(3 * time.Second)
					}
					synctest.Wait()
					if c.redials > 0 && len(dial.at) > 0 && dial.at[0].Sub(left) < options.AwayTimeout {
						t.Errorf("dialled after %v", dial.at[0].Sub(left))
					}
					if len(dial.at) != c.redials {
						t.Fatalf("dialled %d times; want %d", len(dial.at), c.redials)
					}
					if c.redials > 0 {
						break
					}
				}
				if err := s.WaitReady(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// If a replica returns just as its time ends, and leaves again, the full time starts again.
func TestAwayTimeoutRestartsOnReturn(t *testing.T) {
	dial := &rooms{}
	inRoom(t, &Options{Redial: dial.redial, AwayTimeout: 5 * time.Second}, func(t *testing.T, _ *room, s *Session) {
		dial.next = []*room{newRoom()}
		s.mu.Lock()
		s.hasJoined = false
		s.startAbsence()
		first := s.away
		s.stopAbsence()
		s.startAbsence()
		s.mu.Unlock()
		s.endAbsence(first)
		time.Sleep(4 * time.Second)
		if len(dial.at) > 0 {
			t.Error("the first absence ended the second")
		}
	})
}
