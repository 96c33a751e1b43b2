package echo

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
)

// Once another process may speak, no chunk and no interrupt follows: the interrupt would stop
// the other.
func TestSpeakWithoutPermission(t *testing.T) {
	var may atomic.Bool
	inRoom(t, &Options{MaySend: may.Load}, func(t *testing.T, r *room, s *Session) {
		r.hook = func(sentMessage) { may.Store(len(r.messages()) < 3) }
		may.Store(true)
		receipt, err := s.Speak(t.Context(), Speech{Samples: &silent{3 * testRate, io.EOF}})
		if !errors.Is(err, ErrLost) || receipt.Outcome != Failed {
			t.Errorf("%v, %+v", err, receipt)
		}
		if n := len(r.messages()); n != 3 {
			t.Errorf("%d messages were sent, want 3", n)
		}
	})
}

// Every other message also asks for permission. A message without permission does not hold the
// lock.
func TestMessagesWithoutPermission(t *testing.T) {
	for name, send := range map[string]func(context.Context, *Session) error{
		"Send":    func(ctx context.Context, s *Session) error { return s.Send(ctx, Interrupt{}) },
		"Silence": func(ctx context.Context, s *Session) error { return s.Silence(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			var may atomic.Bool
			inRoom(t, &Options{MaySend: may.Load}, func(t *testing.T, r *room, s *Session) {
				for want := range 2 {
					err := send(t.Context(), s)
					if n := len(r.messages()); n != want || errors.Is(err, ErrLost) == may.Load() {
						t.Errorf("%d messages, want %d: %v", n, want, err)
					}
					may.Store(true)
				}
			})
		})
	}
}
