package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"echocast/echo"
)

// statusLine shows on a terminal where an utterance stands, in one line that
// changes five times a second.
type statusLine struct {
	w       io.Writer
	name    string
	total   string // its length, where it is known
	session *echo.Session
	done    chan struct{}
	ended   sync.WaitGroup
}

// startStatus starts the line of an utterance, or returns nil where no terminal
// is there to show it. stop ends it.
func startStatus(w io.Writer, in *input, session *echo.Session) *statusLine {
	if !isTerminal(w) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	s := &statusLine{w: w, name: printable(filepath.Base(in.title())), session: session, done: make(chan struct{})}
	if info := in.audio.Info(); info.Declared >= 0 {
		s.total = " / " + clock(info.Format.Duration(info.Declared))
	}
	s.ended.Go(s.run)
	return s
}

func (s *statusLine) run() {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		s.show()
		select {
		case <-tick.C:
		case <-s.done:
			fmt.Fprint(s.w, "\r\x1b[K")
			return
		}
	}
}

func (s *statusLine) show() {
	p := s.session.Progress()
	fmt.Fprintf(s.w, "\r\x1b[K%s  %s%s  lead %.1f s  %s", s.name, clock(p.Sent), s.total, p.Lead.Seconds(), p.State)
}

// stop takes the line away and waits until it is gone. A nil line has nothing
// to take away.
func (s *statusLine) stop() {
	if s == nil {
		return
	}
	close(s.done)
	s.ended.Wait()
}

// clock writes a time as minutes, seconds and tenths.
func clock(d time.Duration) string {
	tenths := d.Milliseconds() / 100
	return fmt.Sprintf("%d:%02d.%d", tenths/600, tenths/10%60, tenths%10)
}
