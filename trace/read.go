package trace

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"
)

// The errors of Read, for errors.Is.
var (
	// ErrCut means that the last line is incomplete because the recording process was
	// killed. All lines before it were read.
	ErrCut = errors.New("the last line is cut off")
	// ErrNoTrace means that the input is not a trace.
	ErrNoTrace = errors.New("this is not an echocast trace")
)

// longestLine is the maximum size of a line in bytes. Messages in rooms have at most 1 MiB.
const longestLine = 4 << 20

// longest is the largest number of seconds in an entry, and a thousandth of the largest
// count. Within it float64 represents the numbers exactly.
const longest = 1e9

// Read reads a trace line by line. The first entry is of KindStart. At a damaged line it
// stops with an error that names the line.
func Read(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		lines := bufio.NewReaderSize(r, 64<<10)
		for n := 1; ; n++ {
			line, err := readLine(lines)
			if errors.Is(err, io.EOF) && len(line) == 0 {
				if n == 1 {
					yield(Entry{}, fmt.Errorf("%w: it is empty", ErrNoTrace))
				}
				return
			}
			whole := err == nil
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Entry{}, fmt.Errorf("line %d: %w", n, err))
				return
			}
			e, err := parse(line, n == 1)
			if err != nil {
				if !whole && n > 1 {
					err = ErrCut
				}
				yield(Entry{}, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if !yield(e, nil) || !whole {
				return
			}
		}
	}
}

// readLine reads to the end of a line or of the input.
func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > longestLine {
			return nil, fmt.Errorf("longer than %d bytes", longestLine)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// parse parses a line. The first line must be of KindStart.
func parse(line []byte, first bool) (e Entry, err error) {
	if err = json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
		if first {
			return e, ErrNoTrace
		}
		return e, fmt.Errorf("not a line of a trace: %w", err)
	}
	if first && (e.Kind != KindStart || !strings.HasPrefix(e.Format, "echocast-trace/")) {
		return e, ErrNoTrace
	}
	if e.Kind == KindStart && e.Format != Format {
		return e, fmt.Errorf("the format is %.40q, and this program reads %q", e.Format, Format)
	}
	return e, e.check()
}

// check returns an error for impossible numbers.
func (e *Entry) check() error {
	for _, seconds := range []*float64{&e.T, e.Due, e.Accepted} {
		if seconds != nil && math.Abs(*seconds) > longest {
			return fmt.Errorf("a time of %g s", *seconds)
		}
	}
	for _, n := range []int64{e.Position, int64(e.Samples), int64(e.Bytes), int64(e.Rate)} {
		if n < 0 || n > 1000*longest {
			return fmt.Errorf("a count of %d", n)
		}
	}
	if len(e.Peaks)%2 != 0 || len(e.Peaks) > 1000 {
		return fmt.Errorf("%d peaks", len(e.Peaks))
	}
	return nil
}
