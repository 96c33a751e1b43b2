package gateway

import (
	"io"
	"sync"
)

// pipeLimit is how many bytes may wait in a pipe before its writer has to wait: 87 s of samples
// at 24 kHz.
const pipeLimit = 4 << 20

// pipeKept is the largest buffer that an empty pipe keeps.
const pipeKept = 32 << 10

// pipe carries the audio of an utterance that arrives in pieces. Its writer waits
// while pipeLimit bytes wait, so that a fast sender is held back.
type pipe struct {
	mu      sync.Mutex
	changed *sync.Cond
	data    []byte
	at      int   // where in data the next read begins
	end     error // after data
	isGone  bool  // nobody reads any more
}

func newPipe() *pipe {
	p := &pipe{}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// put adds a piece of any length without waiting. After abort it drops the piece.
func (p *pipe) put(piece []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isGone || p.end != nil {
		return
	}
	if len(p.data)+len(piece) > cap(p.data) {
		p.dropRead()
	}
	p.data = append(p.data, piece...)
	p.changed.Broadcast()
}

// wait waits until there is room for another piece.
func (p *pipe) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.data)-p.at >= pipeLimit && !p.isGone && p.end == nil {
		p.changed.Wait()
	}
}

// dropRead drops what was read: by moving the rest if most of the buffer was read, otherwise
// with the allocation that follows.
func (p *pipe) dropRead() {
	if p.at >= len(p.data)/2 {
		p.data = p.data[:copy(p.data, p.data[p.at:])]
	} else {
		p.data = p.data[p.at:]
	}
	p.at = 0
}

// finish ends the audio with io.EOF, or breaks it with another error. Only the first call
// counts.
func (p *pipe) finish(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end == nil {
		p.end = err
	}
	p.changed.Broadcast()
}

// Read returns what is there, or waits for it.
func (p *pipe) Read(into []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.data) == p.at && p.end == nil && !p.isGone {
		p.changed.Wait()
	}
	switch {
	case p.isGone:
		return 0, io.ErrClosedPipe
	case len(p.data) == p.at:
		return 0, p.end
	}
	n := copy(into, p.data[p.at:])
	if p.at += n; p.at == len(p.data) {
		p.data, p.at = p.data[:0], 0
		if cap(p.data) > pipeKept {
			p.data = nil
		}
	}
	p.changed.Broadcast()
	return n, nil
}

// abort makes reads and waits return at once.
func (p *pipe) abort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isGone, p.data, p.at = true, nil, 0
	p.changed.Broadcast()
}
