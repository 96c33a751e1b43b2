package cli_test

import (
	"bufio"
	"io"
	"slices"
	"strings"
	"testing"

	"echocast/cli"
	"echocast/internal/testwait"
)

// At every pace, a message is written when the input has nothing more to read, and large
// pieces are written while it has.
func TestEncodeLatency(t *testing.T) {
	file, _ := wav(24000, 1, 72000)
	for name, c := range map[string]struct {
		input []byte
		args  []string
	}{
		"samples":   {make([]byte, 144000), []string{"-f", "s16le", "--rate", "24000", "--channels", "1"}},
		"WAV":       {file, nil},
		"resampled": {make([]byte, 144000), []string{"-f", "s16le", "--rate", "48000", "--channels", "1"}},
		"lead":      {make([]byte, 144000), []string{"-f", "s16le", "--rate", "24000", "--channels", "1", "--pace", "lead"}},
	} {
		t.Run(name, func(t *testing.T) {
			input, feed := io.Pipe()
			output, written := io.Pipe()
			counted := &countedWrites{w: written}
			code := make(chan int, 1)
			go func() {
				args := slices.Concat([]string{"echocast", "encode", "-q"}, c.args, []string{"-"})
				code <- cli.Run(testwait.Context(t), args, cli.Streams{In: input, Out: counted, Err: io.Discard})
				written.Close()
			}()
			go func() { _, _ = feed.Write(c.input) }() // and nothing more for now
			first, err := bufio.NewReader(output).ReadString('\n')
			if err != nil || !strings.Contains(first, "conversation.echo") {
				t.Errorf("%.60q, %v", first, err)
			}
			feed.Close()
			_, _ = io.Copy(io.Discard, output)
			if got := <-code; got != 0 {
				t.Errorf("code %d", got)
			}
			if c.args != nil && !slices.Contains(c.args, "lead") && counted.n > 12 {
				t.Errorf("%d writes of 60 messages", counted.n)
			}
		})
	}
}

type countedWrites struct {
	w io.Writer
	n int
}

func (c *countedWrites) Write(p []byte) (int, error) {
	c.n++
	return c.w.Write(p)
}
