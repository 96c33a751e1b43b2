package terminal

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// Width returns how many columns a text takes on a terminal. Wide characters, such as
// Chinese ones and most emoji, take two. Accents that combine with the previous character
// take none.
func Width(text string) int {
	columns := 0
	for _, r := range text {
		columns += columnsOf(r)
	}
	return columns
}

func columnsOf(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Fit cuts a text to a number of columns. A text that was cut ends in "…".
func Fit(text string, columns int) string {
	if Width(text) <= columns {
		return text
	}
	if columns < 1 {
		return ""
	}
	left := columns - 1
	var fitting strings.Builder
	for _, r := range text {
		if left -= columnsOf(r); left < 0 {
			break
		}
		fitting.WriteRune(r)
	}
	return fitting.String() + "…"
}
