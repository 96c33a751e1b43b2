package audio

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"time"

	"echocast/internal/text"
)

// inputEnd determines how much of an input is left after the end of its sound.
type inputEnd struct {
	r      *bufio.Reader
	source *recorder // of r
	size   int64     // of the file, or -1 if it is not a file
}

// end returns the inputEnd of the input that r reads.
func (o *Options) end(r *bufio.Reader) *inputEnd {
	e := &inputEnd{r: r, source: o.source, size: -1}
	if o.file != nil && o.source != nil {
		if info, err := o.file.Stat(); err == nil {
			e.size = info.Size()
		}
	}
	return e
}

// isFile reports whether the input is a regular file, so that fileLeft is known.
func (e *inputEnd) isFile() bool { return e != nil && e.size >= 0 }

// fileLeft returns how many bytes of the file have not been read yet.
func (e *inputEnd) fileLeft() int64 {
	return max(0, e.size-e.source.read.Load()+int64(e.r.Buffered()))
}

// remainder is how much of an input is left, in bytes. If isAtLeast is set, it is a lower bound.
type remainder struct {
	bytes     int64
	isAtLeast bool
}

// restTimeout limits how long the rest of a pipe is read, because its writer may never close
// it.
const restTimeout = 200 * time.Millisecond

// rest counts the bytes that are left. It reads the rest of a pipe; nothing else can
// read the input then.
func (e *inputEnd) rest() remainder {
	switch {
	case e.isFile():
		return remainder{e.fileLeft(), false}
	case e == nil || e.source == nil:
		return remainder{0, true}
	}
	e.limitWait()
	n, err := io.Copy(io.Discard, io.LimitReader(e.r, maxHeaderBytes))
	return remainder{n, err != nil || n == maxHeaderBytes || e.source.hasGivenUp}
}

// limitWait ends the input at a read that would wait longer than restTimeout.
func (e *inputEnd) limitWait() {
	if e != nil && e.source != nil && e.source.until.IsZero() {
		e.source.until = time.Now().Add(restTimeout)
	}
}

func (r remainder) String() string {
	if r.isAtLeast {
		return "at least " + text.Count(int(r.bytes), "byte")
	}
	return text.Count(int(r.bytes), "byte")
}

// asSamples describes the remainder, with how long it would play in frames of frame bytes.
func (r remainder) asSamples(format Format, frame int) string {
	return fmt.Sprintf("%s, %.3f s if they were samples", r, format.Duration(r.bytes/int64(frame)).Seconds())
}

// isReady reports whether r can be read before until without blocking. It is false for a
// reader that is neither a file nor has a Len method.
func isReady(r io.Reader, until time.Time) bool {
	switch r := r.(type) {
	case *os.File:
		return isFileReady(r, until)
	case interface{ Len() int }:
		return true
	}
	return false
}
