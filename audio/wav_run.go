package audio

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// wavRun reads the bytes of one data chunk and none beyond it.
//
// A chunk of unknown size ends with the input, or where another WAV file begins at a frame's
// boundary. If eight of twelve bytes agree with the start of a WAV file, that is not a
// coincidence.
type wavRun struct {
	r        *bufio.Reader
	size     int64 // in bytes; negative if the header does not state it
	unit     int64 // another file begins only at a multiple of so many bytes
	read     int64
	hasEnded bool // the input ended
}

// short reports whether the input ended before the size that the header states.
func (d *wavRun) short() bool { return d.hasEnded && d.read < d.size }

// isPadded reports whether the last byte may be a pad byte, which sox also writes to a pipe.
func (d *wavRun) isPadded() bool { return d.size < 0 && d.read%2 == 0 }

func (d *wavRun) Read(p []byte) (int, error) {
	if d.read == d.size {
		return 0, io.EOF
	}
	if _, err := d.r.Peek(1); err != nil {
		d.hasEnded = errors.Is(err, io.EOF)
		return 0, err
	}
	n := min(len(p), d.r.Buffered())
	if d.size >= 0 {
		n = int(min(int64(n), d.size-d.read))
	} else if n = min(n, d.bytesToNextFile(n)); n == 0 {
		return 0, io.EOF
	}
	n, err := d.r.Read(p[:n])
	d.read += int64(n)
	return n, err
}

// bytesToNextFile examines n bytes that have arrived, and returns how many of them precede another
// file. It waits for more bytes only if the first ones may be the start of a file.
func (d *wavRun) bytesToNextFile(n int) int {
	b, _ := d.r.Peek(n) // cannot fail: these bytes are buffered
	at := d.findFile(b)
	if at > 0 {
		return at
	}
	if b, _ = d.r.Peek(formLength); isWAV(b) {
		return 0
	}
	return 1
}

// findFile returns the first offset in b at which another file begins, or may begin if b ends
// too early to tell.
func (d *wavRun) findFile(b []byte) int {
	for from := 0; ; from++ {
		form := bytes.Index(b[from:], []byte("WAVE"))
		if form < 0 {
			break
		}
		from += form
		if at := from - 8; at >= 0 && d.atBoundary(at) && isWAV(b[at:]) {
			return at
		}
	}
	for at := max(0, len(b)-formLength+1); at < len(b); at++ {
		if d.atBoundary(at) && mayBeginWAV(b[at:]) {
			return at
		}
	}
	return len(b)
}

// atBoundary reports whether a frame ends ahead bytes from here, or one byte
// earlier with a pad byte after it.
func (d *wavRun) atBoundary(ahead int) bool {
	at := d.read + int64(ahead)
	return at%d.unit == 0 || at%2 == 0 && at%d.unit == 1
}
