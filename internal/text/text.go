// Package text formats short texts for people: lines that are safe for a terminal,
// counts, and shortened errors.
package text

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"
)

// FirstLine returns the first line of a text.
func FirstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// OneLine returns a text as one printable line. Each sequence of white space becomes one
// space.
func OneLine(text string) string { return Printable(strings.Join(strings.Fields(text), " ")) }

// Printable returns a text that is safe for a terminal. It escapes characters that could
// mislead the reader of a file name or a message: control characters, bytes that are not
// UTF-8, invisible characters, and characters that change the direction of text.
func Printable(text string) string {
	if utf8.ValidString(text) && strings.IndexFunc(text, isUnsafe) < 0 {
		return text
	}
	var b strings.Builder
	for i, c := range text {
		switch {
		case c == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			fmt.Fprintf(&b, "\\x%02x", text[i])
		case !isUnsafe(c):
			b.WriteRune(c)
		case c <= 0xff:
			fmt.Fprintf(&b, "\\x%02x", c)
		default:
			fmt.Fprintf(&b, "\\u%04x", c)
		}
	}
	return b.String()
}

// isUnsafe reports whether a terminal could interpret a character or hide it.
func isUnsafe(c rune) bool {
	return unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp)
}

// Count returns a number with its noun, such as "1 message" or "2 messages".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// WithoutPath returns a file error without the file's name, which the caller adds.
func WithoutPath(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
