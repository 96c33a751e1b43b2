package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// How long a body may be waited for until so many bytes more have come. The slowest audio,
// Opus with silence left out, comes three times as fast.
const (
	stallTimeout = time.Minute
	stallBytes   = 1024
)

// errLeft is the cause of an utterance whose client has left once all of it was read.
var errLeft = errors.New("the client has left")

var errStalled = fmt.Errorf("fewer than %d bytes came in %v", stallBytes, stallTimeout)

// body is the audio in a request. Whatever ends it before its end is a *CutError, so
// that no decoder takes it for the end of the audio.
type body struct {
	from    io.ReadCloser
	control *http.ResponseController
	waited  time.Duration // for the bytes after the last stallBytes
	came    int           // of them

	mu      sync.Mutex
	bytes   int64 // that were read
	aborted bool
	ended   bool // all of it was read
}

// Read reads the next bytes. All reads until stallBytes have come wait for stallTimeout at
// most.
func (b *body) Read(p []byte) (int, error) {
	b.wait(stallTimeout - b.waited)
	begin := time.Now()
	n, err := b.from.Read(p)
	b.waited, b.came = b.waited+time.Since(begin), b.came+n
	if b.came >= stallBytes {
		b.waited, b.came = 0, 0
	}
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

// Close closes the body. The connection may then be that of another request.
func (b *body) Close() error {
	b.mu.Lock()
	b.aborted = true
	b.mu.Unlock()
	return b.from.Close()
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
