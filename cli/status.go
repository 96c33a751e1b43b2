package cli

import (
	"fmt"
	"path/filepath"
	"time"

	"echocast/echo"
	"echocast/speak"
)

// statusText returns the status line of an utterance: its name, how much was sent,
// and what the session is doing.
func statusText(in *speak.Input, session *echo.Session) func() string {
	name, total := printable(filepath.Base(in.Title())), ""
	if info := in.Audio.Info(); info.Declared >= 0 {
		total = " / " + clock(info.Format.Duration(info.Declared))
	}
	return func() string {
		p := session.Progress()
		return fmt.Sprintf("%s  %s%s  lead %.1f s  %s", name, clock(p.Sent), total, p.Lead.Seconds(), p.State)
	}
}

// clock formats a time as minutes, seconds and tenths.
func clock(d time.Duration) string {
	tenths := d.Milliseconds() / 100
	return fmt.Sprintf("%d:%02d.%d", tenths/600, tenths/10%60, tenths%10)
}
