package openai

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// If a program leaves before the end of an answer, the utterance is interrupted. If it leaves
// after the end, the answer is complete.
func TestTeeEnds(t *testing.T) {
	for _, c := range []struct {
		reads int64
		want  error
	}{{3, errCut}, {100, nil}} {
		body := newTee(io.NopCloser(strings.NewReader("abcdef")), 100)
		read, err := io.ReadAll(io.LimitReader(body, c.reads))
		if err == nil {
			err = body.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body.reader()); string(got) != string(read) || !errors.Is(err, c.want) {
			t.Errorf("of %q the second reader got %q: %v", read, got, err)
		}
	}
}
