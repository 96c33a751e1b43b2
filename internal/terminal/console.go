package terminal

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"echocast/internal/shutdown"
)

// Is reports whether a stream is a terminal. It looks through writers that have a method
// Unwrap.
func Is(stream any) bool {
	file := fileOf(stream)
	return file != nil && term.IsTerminal(int(file.Fd()))
}

func fileOf(stream any) *os.File {
	for {
		switch s := stream.(type) {
		case *os.File:
			return s
		case interface{ Unwrap() io.Writer }:
			stream = s.Unwrap()
		default:
			return nil
		}
	}
}

// Console writes lines for people. A status line, if there is one, stays below them.
// Several goroutines may write at the same time.
type Console struct {
	w    io.Writer
	turn chan struct{} // one slot, held while something is written or changed

	line    string // the status line
	isFinal bool   // no status line is shown any more
}

// NewConsole returns a Console that writes to w.
func NewConsole(w io.Writer) *Console { return &Console{w: w, turn: make(chan struct{}, 1)} }

func (c *Console) lock()   { c.turn <- struct{}{} }
func (c *Console) unlock() { <-c.turn }

// eraseLine is the sequence that erases the status line.
const eraseLine = "\r\x1b[K"

// IsTerminal reports whether the console writes to a terminal.
func (c *Console) IsTerminal() bool { return Is(c.w) }

// Paint returns the text in a color if the console shows colors.
func (c *Console) Paint(color Color, text string) string { return Paint(c.w, color, text) }

// Write writes whole lines.
func (c *Console) Write(p []byte) (int, error) {
	c.lock()
	defer c.unlock()
	if c.line == "" {
		return c.w.Write(p)
	}
	if _, err := fmt.Fprintf(c.w, "%s%s%s", eraseLine, p, c.line); err != nil {
		return 0, err
	}
	return len(p), nil
}

// show replaces the status line. An empty line removes it.
func (c *Console) show(line string) {
	c.lock()
	defer c.unlock()
	if !c.isFinal {
		fmt.Fprint(c.w, eraseLine, line)
		c.line = line
	}
}

// eraseLimit is how long erase waits for a writer. A terminal that is stopped (Ctrl-S) keeps it.
const eraseLimit = time.Second

// erase removes the status line for good before the process ends at once, so that the shell
// prompt begins on an empty line.
func (c *Console) erase() {
	limit := time.NewTimer(eraseLimit)
	defer limit.Stop()
	select {
	case c.turn <- struct{}{}:
	case <-limit.C:
		return
	}
	defer c.unlock()
	if c.line != "" {
		fmt.Fprint(c.w, eraseLine)
	}
	c.line, c.isFinal = "", true
}

// statusInterval is how often a status line is updated.
const statusInterval = 200 * time.Millisecond

// StartStatus shows a text as a status line until stop is called. stop waits until the line
// is removed. text returns the text for the terminal's width in columns. StartStatus
// truncates the text, because a wrapped line cannot be erased. If the console is not a
// terminal, StartStatus does nothing.
func (c *Console) StartStatus(text func(columns int) string) (stop func()) {
	if !isSmart(c.w) {
		return func() {}
	}
	done := make(chan struct{})
	keep := shutdown.AtExit(c.erase)
	var showing sync.WaitGroup
	showing.Go(func() {
		tick := time.NewTicker(statusInterval)
		defer tick.Stop()
		for {
			columns := max(lineColumns(c.w)-1, 1) // some terminals wrap in the last column
			c.show(Fit(text(columns), columns))
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
		keep()
	}
}
