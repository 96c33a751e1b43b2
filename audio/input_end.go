package audio

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"time"

	"echocast/internal/text"
)

// inputEnd finds out how much of an input is left after the end of its sound.
type inputEnd struct {
	r      *bufio.Reader
	source *recorder // of r
	size   int64     // of the file, or -1: it is none
}

// end is what tells of the end of the input.
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

// fileLeft returns how many bytes of the file are not read yet.
func (e *inputEnd) fileLeft() int64 {
	return max(0, e.size-e.source.read.Load()+int64(e.r.Buffered()))
}

// remainder is what is left of an input, in bytes; more is left if isAtLeast is set.
type remainder struct {
	bytes     int64
	isAtLeast bool
}

// restTimeout is how long the rest of a pipe is read, because a pipe may be held open
// for ever.
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

// limitWait makes reads that would wait longer than restTimeout end the input.
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

// asSamples adds how long the rest would play as frames of so many bytes.
func (r remainder) asSamples(format Format, frame int) string {
	return fmt.Sprintf("%s, %.3f s if they were samples", r, format.Duration(r.bytes/int64(frame)).Seconds())
}

// isReady reports whether r can be read before until. For a reader that is not a file
// this is not known, unless it has a length.
func isReady(r io.Reader, until time.Time) bool {
	switch r := r.(type) {
	case *os.File:
		return isFileReady(r, until)
	case interface{ Len() int }:
		return true
	}
	return false
}
