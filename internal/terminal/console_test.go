package terminal

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// Lines of several goroutines are not mixed, and the status line stays below them.
func TestConsole(t *testing.T) {
	var screen bytes.Buffer
	c := NewConsole(&screen)
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for i := range 50 {
				c.show(fmt.Sprintf("at %d", i))
				fmt.Fprintf(c, "echocast: line %d\n", i)
			}
		})
	}
	writers.Wait()
	c.show("")
	fmt.Fprintf(c, "echocast: the last\n")
	lines := strings.Split(strings.TrimSuffix(screen.String(), "\n"), "\n")
	if len(lines) != 4*50+1 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines {
		left := line[strings.LastIndex(line, eraseLine)+len(eraseLine):]
		if !strings.HasPrefix(left, "echocast: ") {
			t.Errorf("a line reads %q", left)
		}
	}
}

// slowScreen is a terminal that takes its time: the first write returns when it may.
type slowScreen struct {
	bytes.Buffer
	first              sync.Once
	writing, mayReturn chan struct{} // closed when it writes, and when it may return
}

func (s *slowScreen) Write(p []byte) (int, error) {
	n, err := s.Buffer.Write(p)
	s.first.Do(func() {
		close(s.writing)
		<-s.mayReturn
	})
	return n, err
}

// startShowing starts to show a status line, and returns when it is being written.
func startShowing() (c *Console, screen *slowScreen, showing *sync.WaitGroup) {
	screen = &slowScreen{writing: make(chan struct{}), mayReturn: make(chan struct{})}
	c, showing = NewConsole(screen), new(sync.WaitGroup)
	showing.Go(func() { c.show("speaking") })
	<-screen.writing
	return c, screen, showing
}

// Before the process ends at once, the status line is erased, also if it is just being shown. It
// does not come back.
func TestConsoleErases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, screen, showing := startShowing()
		showing.Go(c.erase)
		synctest.Wait()
		close(screen.mayReturn)
		showing.Wait()
		c.show("interrupting")
		if text := screen.String(); text != eraseLine+"speaking"+eraseLine {
			t.Errorf("the terminal shows %q", text)
		}
	})
}

// A terminal that is stopped does not keep the process from ending.
func TestConsoleOnAStoppedTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, screen, showing := startShowing()
		c.erase()
		close(screen.mayReturn)
		showing.Wait()
	})
}
