package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// stallTimeout is how long a body may send nothing.
const stallTimeout = time.Minute

// errLeft is the cause of an utterance whose client has left once all of it was read.
var errLeft = errors.New("the client has left")

var errStalled = errors.New("nothing came for " + stallTimeout.String())

// body is the audio in a request. Whatever ends it before its end is a *CutError, so
// that no decoder takes it for the end of the audio.
type body struct {
	from    io.Reader
	control *http.ResponseController

	mu      sync.Mutex
	bytes   int64 // that were read
	aborted bool
	ended   bool // all of it was read
}

// Read reads the next bytes, and waits for them at most for stallTimeout.
func (b *body) Read(p []byte) (int, error) {
	b.wait(stallTimeout)
	n, err := b.from.Read(p)
	b.mu.Lock()
	b.bytes += int64(n)
	b.ended = b.ended || err == io.EOF
	b.mu.Unlock()
	switch {
	case err == nil, err == io.EOF:
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &CutError{errStalled}
	default:
		err = &CutError{err}
	}
	return n, err
}

// wait sets the time that a read may take, unless the body was aborted or has ended: what
// the connection brings then belongs to the next request.
func (b *body) wait(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.aborted && !b.ended {
		_ = b.control.SetReadDeadline(time.Now().Add(d)) // where that is not supported, the server's own bounds it
	}
}

// abort ends the read that waits, and all others.
func (b *body) abort() {
	b.wait(-time.Second)
	b.mu.Lock()
	b.aborted = true
	b.mu.Unlock()
}

// read is how many bytes were read.
func (b *body) read() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}

// hasEnded reports whether all of the body was read.
func (b *body) hasEnded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended
}
