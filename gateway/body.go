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

// stallTimeout is how long stallBytes more of a body may take. The slowest audio, Opus with
// silence left out, arrives three times as fast.
const (
	stallTimeout = time.Minute
	stallBytes   = 1024
)

// errLeft is the cause of an utterance that was read whole before its client left.
var errLeft = errors.New("the client has left")

var errStalled = fmt.Errorf("fewer than %d bytes arrived within %v", stallBytes, stallTimeout)

// body is the audio in a request. If anything but the end ends it, the error is a *CutError,
// so that no decoder takes it for the end of the audio.
type body struct {
	from    io.ReadCloser
	control *http.ResponseController
	waited  time.Duration // time spent waiting for the current stallBytes
	came    int           // bytes of them that arrived

	mu      sync.Mutex
	bytes   int64 // bytes read
	aborted bool
	ended   bool // all of it was read
}

// Read reads the next bytes. The reads that it takes to get stallBytes wait stallTimeout in
// all.
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

// wait sets the deadline of a read. It does nothing if the body was aborted or has ended: what
// arrives then belongs to the next request.
func (b *body) wait(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.aborted && !b.ended {
		_ = b.control.SetReadDeadline(time.Now().Add(d)) // if that is not supported, the server's own deadline holds
	}
}

// abort ends the pending read and all later ones.
func (b *body) abort() {
	b.wait(-time.Second)
	b.mu.Lock()
	b.aborted = true
	b.mu.Unlock()
}

// Close closes the body. The next request may use the connection then.
func (b *body) Close() error {
	b.mu.Lock()
	b.aborted = true
	b.mu.Unlock()
	return b.from.Close()
}

// read returns the number of bytes that were read.
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
