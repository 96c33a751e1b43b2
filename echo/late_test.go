package echo

import (
	"io"
	"testing"
	"time"
)

// pausingSource is a source that pauses once.
type pausingSource struct {
	silent
	pause time.Duration
}

func (h *pausingSource) ReadSamples(p []float32) (int, error) {
	if h.n < 2*DefaultRate {
		time.Sleep(h.pause)
		h.pause = 0
	}
	return h.silent.ReadSamples(p)
}

// A chunk counts as late only if neither its source nor the room has delayed it.
func TestLatenessExcludesSourceAndRoom(t *testing.T) {
	for _, test := range []struct {
		name                  string
		source, room, machine time.Duration // how long each pauses, once
		isLate                bool
	}{
		{"nothing", 0, 0, 0, false},
		{"a slow source", 1500 * time.Millisecond, 0, 0, false},
		{"a slow room", 0, 1500 * time.Millisecond, 0, false},
		{"a slow machine", 0, 0, 1500 * time.Millisecond, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var most time.Duration
			options := &Options{SkipHeard: true, Observe: func(m Moment) {
				if m.Kind != MomentChunk {
					return
				}
				most = max(most, m.Late)
				if m.Position > 2*DefaultRate {
					time.Sleep(test.machine)
					test.machine = 0
				}
			}}
			inRoom(t, options, func(t *testing.T, r *room, s *Session) {
				n := 0
				r.hook = func(sentMessage) {
					if n++; n == 40 {
						time.Sleep(test.room)
					}
				}
				source := &pausingSource{silent{4 * DefaultRate, io.EOF}, test.source}
				if _, err := s.Speak(t.Context(), Speech{Samples: source}); err != nil {
					t.Fatal(err)
				}
			})
			if (most > 100*time.Millisecond) != test.isLate {
				t.Errorf("a chunk was %v late", most)
			}
		})
	}
}
