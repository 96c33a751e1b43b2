// Package text writes short texts for people: lines that are safe for a terminal,
// counts, and errors without what was said before.
package text

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode"
)

// FirstLine returns the first line of a text.
func FirstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// OneLine returns a text in one printable line, its white space as single spaces.
func OneLine(text string) string { return Printable(strings.Join(strings.Fields(text), " ")) }

// Printable returns a text that is safe for a terminal: control characters, which
// a file name or a message from a room may hold, are written as escapes.
func Printable(text string) string {
	if strings.IndexFunc(text, unicode.IsControl) < 0 {
		return text
	}
	var b strings.Builder
	for _, c := range text {
		if unicode.IsControl(c) {
			fmt.Fprintf(&b, "\\x%02x", c)
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// Count returns a number with its noun, such as "1 message" or "2 messages".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// WithoutPath returns an error of a file without its name, which the caller adds.
func WithoutPath(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
