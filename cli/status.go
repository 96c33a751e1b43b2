package cli

import (
	"context"
	"path/filepath"
	"time"

	"echocast/echo"
	"echocast/internal/shutdown"
	"echocast/internal/terminal"
	"echocast/internal/text"
	"echocast/speak"
)

// playback returns the status line of an input that is spoken: how much of it was
// heard and sent, and what the session is doing or waiting for.
func (r *reporter) playback(ctx context.Context, in *speak.Input, session *echo.Session) func(columns int) string {
	line := terminal.Playback{Name: text.Printable(filepath.Base(in.Title()))}
	if info := in.Audio.Info(); info.Declared >= 0 {
		line.Total = info.Format.Duration(info.Declared)
	}
	return func(columns int) string {
		p := session.Progress()
		if p.State != echo.Paused && p.State != echo.Idle { // between two utterances it stays unchanged
			line.Heard, line.Sent = p.Begin+p.Played, p.Begin+p.Sent
		}
		line.State, line.Keys = stateText(p), r.keys(p.State)
		if _, isSignal := context.Cause(ctx).(shutdown.SignalError); isSignal {
			line.State, line.Keys = "interrupting, at most 2 s", "Ctrl-C: exit at once"
		}
		return line.Text(columns)
	}
}

// starvedLead is the lead below which the line says that the replica waits for the input.
const starvedLead = 200 * time.Millisecond

// stateText returns what a session does or waits for.
func stateText(p echo.Progress) string {
	switch {
	case p.AwaitsInput && p.Lead < starvedLead:
		return "waiting for input"
	case p.State == echo.Draining, p.State == echo.Sending && p.Sent > echo.DefaultLead:
		return "waiting for the replica"
	case p.State == echo.Queued:
		return "waiting to speak"
	}
	return string(p.State)
}
