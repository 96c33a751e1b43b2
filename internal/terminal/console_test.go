package terminal

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Lines of several goroutines are not mixed, and the status line stays below them.
func TestConsole(t *testing.T) {
	var screen bytes.Buffer
	c := NewConsole(&screen)
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for i := range 50 {
				c.show(fmt.Sprintf("at %d", i))
				fmt.Fprintf(c, "echocast: line %d\n", i)
			}
		})
	}
	writers.Wait()
	c.show("")
	fmt.Fprintf(c, "echocast: the last\n")
	lines := strings.Split(strings.TrimSuffix(screen.String(), "\n"), "\n")
	if len(lines) != 4*50+1 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines {
		left := line[strings.LastIndex(line, eraseLine)+len(eraseLine):]
		if !strings.HasPrefix(left, "echocast: ") {
			t.Errorf("a line reads %q", left)
		}
	}
}
