package openai

import (
	"errors"
	"io"
	"sync"
)

// errLeft is what a reader of a tee gets when nobody speaks any more.
var errLeft = errors.New("it is not spoken any more")

// errCut is what a reader of a tee gets where the client has left before the end.
var errCut = errors.New("the program has not read the answer to its end")

// tee is the body of an answer that keeps what was read for a second reader, which
// may be slower. The first waits only where the second is more than limit behind.
type tee struct {
	body  io.ReadCloser
	limit int

	mu      sync.Mutex
	changed *sync.Cond
	kept    []byte
	err     error // of the body, once it has ended
	isLeft  bool  // the second reader needs no more
}

func newTee(body io.ReadCloser, limit int) *tee {
	t := &tee{body: body, limit: limit}
	t.changed = sync.NewCond(&t.mu)
	return t
}

// Read reads the body for the client.
func (t *tee) Read(p []byte) (int, error) {
	n, err := t.body.Read(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.kept) > t.limit && !t.isLeft && t.err == nil {
		t.changed.Wait()
	}
	if !t.isLeft {
		t.kept = append(t.kept, p[:n]...)
	}
	if err != nil && t.err == nil {
		t.err = err
	}
	t.changed.Broadcast()
	return n, err
}

// Close closes the body. Where that is before its end, the second reader gets an
// error, since what it has is no whole answer.
func (t *tee) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = errCut
	}
	t.changed.Broadcast()
	return t.body.Close()
}

// leave ends the second reader, and lets the first go on alone.
func (t *tee) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.isLeft, t.kept = true, nil
	t.changed.Broadcast()
}

// reader is the second reader.
func (t *tee) reader() io.Reader { return second{t} }

type second struct{ tee *tee }

func (s second) Read(p []byte) (int, error) {
	t := s.tee
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.kept) == 0 && t.err == nil && !t.isLeft {
		t.changed.Wait()
	}
	switch {
	case t.isLeft:
		return 0, errLeft
	case len(t.kept) == 0:
		return 0, t.err
	}
	n := copy(p, t.kept)
	t.kept = t.kept[n:]
	t.changed.Broadcast()
	return n, nil
}
