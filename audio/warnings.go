package audio

import (
	"fmt"
	"slices"
)

// warnings is a list of the remarks on one input. Each occurs once, and their number is limited,
// because damaged input may cause any number of them.
type warnings []string

const maxWarnings = 8

func (w *warnings) add(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(*w) < maxWarnings && !slices.Contains(*w, text) {
		*w = append(*w, text)
	}
}
