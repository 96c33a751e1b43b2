package gateway

import (
	"io"
	"sync"
)

// pipeLimit is how many bytes wait in a pipe before a write blocks: 87 s of samples at
// 24 kHz.
const pipeLimit = 4 << 20

// pipe carries the audio of an utterance that comes in pieces. A write blocks while
// pipeLimit bytes wait, so that who sends is held up.
type pipe struct {
	mu      sync.Mutex
	changed *sync.Cond
	data    []byte
	end     error // after data
	isGone  bool  // nobody reads any more
}

func newPipe() *pipe {
	p := &pipe{}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// Write adds a piece. What nobody reads any more is dropped.
func (p *pipe) Write(piece []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.data) >= pipeLimit && !p.isGone && p.end == nil {
		p.changed.Wait()
	}
	if !p.isGone && p.end == nil {
		p.data = append(p.data, piece...)
		p.changed.Broadcast()
	}
	return len(piece), nil
}

// finish ends the audio with io.EOF, or breaks it with another error. The first counts.
func (p *pipe) finish(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end == nil {
		p.end = err
	}
	p.changed.Broadcast()
}

// Read returns what there is, or waits for it.
func (p *pipe) Read(into []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.data) == 0 && p.end == nil && !p.isGone {
		p.changed.Wait()
	}
	switch {
	case p.isGone:
		return 0, io.ErrClosedPipe
	case len(p.data) == 0:
		return 0, p.end
	}
	n := copy(into, p.data)
	if p.data = p.data[n:]; len(p.data) == 0 {
		p.data = nil // an idle conversation keeps no buffer
	}
	p.changed.Broadcast()
	return n, nil
}

// abort ends the reading: reads and writes return at once.
func (p *pipe) abort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isGone, p.data = true, nil
	p.changed.Broadcast()
}
