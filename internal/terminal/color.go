package terminal

import (
	"os"
	"runtime"
)

// Color is the color of a text.
type Color string

// The colors of outcomes.
const (
	Red    Color = "\x1b[31m"
	Green  Color = "\x1b[32m"
	Yellow Color = "\x1b[33m"
)

// Paint returns the text in a color if stream is a terminal that shows colors, and
// NO_COLOR is not set (https://no-color.org).
func Paint(stream any, color Color, text string) string {
	if color == "" || !isSmart(stream) || os.Getenv("NO_COLOR") != "" {
		return text
	}
	return string(color) + text + "\x1b[0m"
}

// isSmart reports whether a stream is a terminal that interprets escape sequences. The old
// console of Windows prints them instead.
func isSmart(stream any) bool {
	isOld := runtime.GOOS == "windows" && os.Getenv("WT_SESSION") == "" && os.Getenv("TERM") == ""
	return Is(stream) && os.Getenv("TERM") != "dumb" && !isOld
}

// LineStart returns the sequence that clears the current line of a terminal. The line may
// show ^C or a status line. For other streams it returns "".
func LineStart(stream any) string {
	if !isSmart(stream) {
		return ""
	}
	return eraseLine
}
