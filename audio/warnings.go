package audio

import (
	"fmt"
	"slices"
)

// warnings are the remarks on one input, each once and not too many of them:
// damage can be endless.
type warnings []string

const maxWarnings = 8

func (w *warnings) add(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(*w) < maxWarnings && !slices.Contains(*w, text) {
		*w = append(*w, text)
	}
}
