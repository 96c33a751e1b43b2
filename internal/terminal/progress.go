package terminal

import (
	"fmt"
	"io"
	"os"
)

// clearLine empties the line of a terminal.
const clearLine = "\r\x1b[K"

// Progress is a line that says what is being done. Where nobody would see it, it is not
// written.
type Progress struct{ to io.Writer }

// NewProgress writes to a stream, if that is a terminal, and not if isQuiet.
func NewProgress(stream io.Writer, isQuiet bool) *Progress {
	if isQuiet || !Is(stream) || os.Getenv("TERM") == "dumb" {
		stream = io.Discard
	}
	return &Progress{stream}
}

// Show writes the line anew.
func (p *Progress) Show(format string, args ...any) {
	fmt.Fprintf(p.to, clearLine+format, args...)
}

// Clear empties the line.
func (p *Progress) Clear() { p.Show("") }
