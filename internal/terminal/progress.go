package terminal

import (
	"fmt"
	"io"
	"os"
)

// clearLine is the sequence that clears the current line of a terminal.
const clearLine = "\r\x1b[K"

// Progress is a line that shows progress on a terminal. For other streams it writes
// nothing.
type Progress struct{ to io.Writer }

// NewProgress returns a Progress for a stream. It shows progress only if the stream is a
// terminal and isQuiet is false.
func NewProgress(stream io.Writer, isQuiet bool) *Progress {
	if isQuiet || !Is(stream) || os.Getenv("TERM") == "dumb" {
		stream = io.Discard
	}
	return &Progress{stream}
}

// Show replaces the line.
func (p *Progress) Show(format string, args ...any) {
	fmt.Fprintf(p.to, clearLine+format, args...)
}

// Clear clears the line.
func (p *Progress) Clear() { p.Show("") }
