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

// console writes lines for people, above a status line if there is one. Several
// goroutines may write at the same time.
type console struct {
	mu   sync.Mutex
	w    io.Writer
	line string // the status line
}

// eraseLine erases the status line of a terminal.
const eraseLine = "\r\x1b[K"

// Write writes whole lines.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.line == "" {
		return c.w.Write(p)
	}
	if _, err := fmt.Fprintf(c.w, "%s%s%s", eraseLine, p, c.line); err != nil {
		return 0, err
	}
	return len(p), nil
}

// show replaces the status line; an empty line removes it.
func (c *console) show(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprint(c.w, eraseLine, line)
	c.line = line
}

// statusLine shows the progress of an utterance on a terminal, five times a second.
type statusLine struct {
	w       *console
	name    string
	total   string // its length, where it is known
	session *echo.Session
	done    chan struct{}
	ended   sync.WaitGroup
}

// startStatus starts the status line of an utterance. It returns nil if stderr is not
// a terminal.
func startStatus(w *console, in *input, session *echo.Session) *statusLine {
	if !isTerminal(w.w) || os.Getenv("TERM") == "dumb" {
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
			s.w.show("")
			return
		}
	}
}

func (s *statusLine) show() {
	p := s.session.Progress()
	s.w.show(fmt.Sprintf("%s  %s%s  lead %.1f s  %s", s.name, clock(p.Sent), s.total, p.Lead.Seconds(), p.State))
}

// stop removes the line and waits for its goroutine. On a nil line it does nothing.
func (s *statusLine) stop() {
	if s == nil {
		return
	}
	close(s.done)
	s.ended.Wait()
}

// clock formats a time as minutes, seconds and tenths.
func clock(d time.Duration) string {
	tenths := d.Milliseconds() / 100
	return fmt.Sprintf("%d:%02d.%d", tenths/600, tenths/10%60, tenths%10)
}
