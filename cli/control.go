package cli

import (
	"context"
	"sync"

	"echocast/echo"
	"echocast/internal/terminal"
)

// control lets SIGUSR2, and space on a terminal, interrupt the session, or pause
// it and go on. stop ends that and waits for it.
func (s *sendCmd) control(session *echo.Session, out *reporter) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	presses, restore := terminal.WatchPresses()
	ended.Go(func() {
		for {
			select {
			case <-presses:
				s.pressed(ctx, session, out)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		restore()
		cancel()
		ended.Wait()
	}
}

func (s *sendCmd) pressed(ctx context.Context, session *echo.Session, out *reporter) {
	switch {
	case !s.resume:
		_ = session.Interrupt(ctx, nil) // ctx ends with the session's use
	case session.Paused():
		out.say("going on")
		session.Resume()
	default:
		out.say("paused")
		_ = session.Pause(ctx)
	}
}
