package terminal

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Is reports whether a stream is a terminal.
func Is(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Console writes lines for people, above a status line if there is one. Several
// goroutines may write at the same time.
type Console struct {
	mu   sync.Mutex
	w    io.Writer
	line string // the status line
}

// NewConsole writes to w.
func NewConsole(w io.Writer) *Console { return &Console{w: w} }

// eraseLine erases the status line of a terminal.
const eraseLine = "\r\x1b[K"

// IsTerminal reports whether people see the console on a terminal.
func (c *Console) IsTerminal() bool { return Is(c.w) }

// Write writes whole lines.
func (c *Console) Write(p []byte) (int, error) {
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
func (c *Console) show(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprint(c.w, eraseLine, line)
	c.line = line
}

// statusInterval is how often a status line is updated.
const statusInterval = 200 * time.Millisecond

// StartStatus shows what text returns in one line, until stop is called, which waits.
// If the console is not a terminal it does nothing.
func (c *Console) StartStatus(text func() string) (stop func()) {
	if !c.IsTerminal() || os.Getenv("TERM") == "dumb" {
		return func() {}
	}
	done := make(chan struct{})
	var showing sync.WaitGroup
	showing.Go(func() {
		tick := time.NewTicker(statusInterval)
		defer tick.Stop()
		for {
			c.show(text())
			select {
			case <-tick.C:
			case <-done:
				c.show("")
				return
			}
		}
	})
	return func() {
		close(done)
		showing.Wait()
	}
}
