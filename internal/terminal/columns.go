package terminal

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// Columns returns the width in columns: that of COLUMNS or of the terminal, or 80.
func Columns(out io.Writer) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n >= 20 {
		return n
	}
	if file := fileOf(out); file != nil {
		if n, _, err := term.GetSize(int(file.Fd())); err == nil && n >= 20 {
			return n
		}
	}
	return 80
}

// lineColumns returns the current width of the terminal in columns. COLUMNS may be
// outdated.
func lineColumns(out io.Writer) int {
	if file := fileOf(out); file != nil {
		if n, _, err := term.GetSize(int(file.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return Columns(out)
}
