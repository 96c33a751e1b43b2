package cli

import (
	"context"

	"echocast/echo"
	"echocast/internal/terminal"
)

// control interrupts the session on SIGUSR2 and on space on a terminal, or with
// --resume pauses and continues it. stop ends that, and waits.
func (s *sendCmd) control(session *echo.Session, out *reporter) (stop func()) {
	hasKeys, stop := terminal.WatchPresses(func(ctx context.Context) { s.pressed(ctx, session, out) })
	if hasKeys {
		out.keys = s.keys
	}
	return stop
}

// keys describes what the space bar does in a state.
func (s *sendCmd) keys(state echo.State) string {
	switch {
	case !s.resume:
		return "space: interrupt"
	case state == echo.Paused:
		return "space: continue"
	}
	return "space: pause"
}

func (s *sendCmd) pressed(ctx context.Context, session *echo.Session, out *reporter) {
	switch {
	case !s.resume:
		_ = session.Interrupt(ctx, nil) // ctx ends when the session is closed
	case session.Paused():
		out.say("continuing")
		session.Resume()
	default:
		out.say("paused")
		_ = session.Pause(ctx)
	}
}
