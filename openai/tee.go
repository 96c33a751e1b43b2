package openai

import (
	"errors"
	"io"
	"sync"
)

// errLeft is the error for a reader of a tee after leave.
var errLeft = errors.New("the answer is no longer spoken")

// errCut is the error for a reader of a tee if the client left before the end.
var errCut = errors.New("the program has not read the answer to its end")

// tee is the body of an answer. It keeps what was read for a second reader, which may be
// slower. The first reader waits only if the second is more than limit behind.
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

// Close closes the body. If it has not ended, the second reader gets an error, since its data
// is not a complete answer.
func (t *tee) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = errCut
	}
	t.changed.Broadcast()
	return t.body.Close()
}

// leave ends the second reader. The first one continues alone.
func (t *tee) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.isLeft, t.kept = true, nil
	t.changed.Broadcast()
}

// reader is the second reader.
func (t *tee) reader() io.Reader { return secondReader{t} }

type secondReader struct{ tee *tee }

func (s secondReader) Read(p []byte) (int, error) {
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
