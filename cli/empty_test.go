package cli_test

import (
	"strings"
	"testing"
)

// An input without samples is refused in one line.
func TestEmptyInputIsOneLine(t *testing.T) {
	file, _ := wav(24000, 1, 0)
	input := write(t, "empty.wav", file)
	for _, command := range []string{"encode", "send"} {
		r := run(t, nil, command, input)
		if r.code != 3 || strings.Count(r.stderr, "\n") != 1 ||
			!strings.Contains(r.stderr, "empty.wav: no audio in the input") || r.stdout != "" {
			t.Errorf("%s: code %d: %s", command, r.code, r.stderr)
		}
	}
}
