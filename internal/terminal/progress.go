package terminal

import (
	"fmt"
	"io"
	"os"
)

// clearLine empties the line of a terminal.
const clearLine = "\r\x1b[K"

// Progress is a line that shows progress on a terminal. It writes nothing elsewhere.
type Progress struct{ to io.Writer }

// NewProgress returns a Progress that writes to a stream if it is a terminal and
// isQuiet is not set.
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
