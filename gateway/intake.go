package gateway

import (
	"errors"
	"sync"
	"time"
)

// continueTimeout is how long an utterance waits for its client after the connection, or the
// node, was lost.
const continueTimeout = 10 * time.Second

var errNotContinued = errors.New(
	"the connection was lost before all of its audio had arrived, and the client did not continue")

// intake takes the audio and the marks of an utterance from one WebSocket at a time. After
// that connection is lost, another one may continue.
type intake struct {
	utterance *Utterance // nil: it was refused, and its audio is dropped
	pipe      *pipe
	perSecond int64 // bytes; 0: unknown, since the audio is compressed

	mu       sync.Mutex
	from     *socket // nil: it waits for its client
	bytes    int64   // of its audio that have arrived
	told     int64   // how many of them the client was told of
	marks    int     // that have arrived
	hasEnded bool    // nothing follows
	losses   int     // connections that were lost
}

// receivedEvery is after how many bytes the client of an utterance with a key is told how many
// have arrived. It may forget them then.
const receivedEvery = 64 << 10

// Received says how many bytes of an utterance's audio have arrived and are stored.
type Received struct {
	Utterance string `json:"utterance"`
	Bytes     int64  `json:"bytes"`
}

// add adds audio from a connection, unless another one has continued. It returns what the
// client is to be told now, or nil.
func (in *intake) add(from *socket, data []byte) (*Received, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	u := in.utterance
	if in.from != from || in.hasEnded || u != nil && u.ctx.Err() != nil {
		return nil, nil
	}
	if u != nil {
		if err := u.keep(pieceData, data); err != nil {
			if !errors.Is(err, errMoved) { // the audio would have a gap
				_ = in.finish(&CutError{err})
			}
			return nil, err
		}
	}
	in.bytes += int64(len(data))
	in.pipe.put(data)
	if u == nil || u.key == "" || in.bytes < in.told+receivedEvery {
		return nil, nil
	}
	in.told = in.bytes
	return &Received{u.ID, in.bytes}, nil
}

// mark marks the end of the audio so far.
func (in *intake) mark(from *socket, name string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.from != from {
		return nil
	}
	at := time.Duration(float64(in.bytes) / float64(in.perSecond) * float64(time.Second))
	in.marks++
	u := in.utterance
	err := u.checkMarks()
	if err == nil && u.ctx.Err() == nil {
		err = u.keep(pieceMark, fmtJSON(keptMark{name, at.Seconds(), in.marks}))
	}
	if err != nil {
		return err
	}
	return u.Mark(name, at)
}

// end ends the audio, unless another connection has continued. The cause says why it broke, or
// is io.EOF.
func (in *intake) end(from *socket, cause error) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.from != from || in.hasEnded {
		return nil
	}
	return in.finish(cause)
}

// finish ends the audio, and stores that. The intake is locked.
func (in *intake) finish(cause error) (err error) {
	in.hasEnded, in.from = true, nil
	if u := in.utterance; u != nil && u.ctx.Err() == nil {
		err = u.keepEnd(cause)
	}
	in.pipe.finish(cause)
	return err
}

// release lets another connection continue, for continueTimeout.
func (in *intake) release(from *socket) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.from != from || in.hasEnded {
		return
	}
	in.from = nil
	in.losses++
	loss := in.losses
	time.AfterFunc(continueTimeout, func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		if in.from == nil && in.losses == loss && !in.hasEnded {
			_ = in.finish(&CutError{errNotContinued}) // if this cannot be stored, the next node waits again
		}
	})
}

// claim lets a connection continue. It reports false if another one sends, unless the
// utterance has a key: then that one is taken for lost.
func (in *intake) claim(by *socket) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.hasEnded || in.from != nil && in.utterance.key == "" {
		return false
	}
	in.from = by
	return true
}

// info returns a description of the utterance, with what of it has arrived.
func (in *intake) info() UtteranceInfo {
	info := in.utterance.Info()
	in.mu.Lock()
	defer in.mu.Unlock()
	info.Bytes, info.Marks = in.bytes, in.marks
	info.IsOpen = !in.hasEnded && in.utterance.ctx.Err() == nil
	in.told = in.bytes
	return info
}
