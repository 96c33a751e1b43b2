// Package chunker cuts a stream of samples into chunks of known length and marks
// the last one.
//
// The last chunk of an utterance must be marked, but a stream does not announce its
// end. So the chunker holds a full chunk back until one more sample or the end has
// arrived. Then it knows whether the chunk is the last. It never makes an empty chunk, and
// adds no silence to carry the mark.
package chunker

import (
	"fmt"
	"io"
	"iter"
)

// Source is a source of samples. If n > 0, err is nil. If n == 0, err says why there are no
// samples; at the end it is io.EOF.
type Source interface {
	ReadSamples(p []float32) (n int, err error)
}

// Chunk is a piece of the stream.
type Chunk struct {
	PCM  []float32 // valid until the next call; never empty
	Last bool      // the stream ends with this chunk, which may be shorter
}

// Chunker cuts one stream. It is not safe for concurrent use.
type Chunker struct {
	src    Source
	size   int       // of the next chunk
	most   int       // size of a chunk once they have grown
	buf    []float32 // room for a chunk and one sample more
	have   int       // samples in buf
	handed int       // samples of buf that the last call returned
	err    error     // why the stream is over; nil until then
}

// New returns a Chunker that cuts src into chunks of size samples. It panics if size is
// not positive.
func New(src Source, size int) *Chunker { return NewGrowing(src, size, size) }

// NewGrowing returns a Chunker that cuts src into growing chunks. The first has first
// samples, and each next one twice as many, up to size. So speech begins early in rooms that
// accept few messages a second. It panics if first is not positive or larger than size.
func NewGrowing(src Source, first, size int) *Chunker {
	if first <= 0 || size < first {
		panic(fmt.Sprintf("chunker: chunks of %d samples, the first of %d", size, first))
	}
	return &Chunker{src: src, size: first, most: size, buf: make([]float32, size+1)}
}

// Next returns the next chunk. After the chunk marked Last it returns io.EOF. If the
// source fails, Next returns its error instead of the held samples. Then no chunk is marked
// as Last, because the utterance is incomplete.
func (c *Chunker) Next() (Chunk, error) {
	if c.err != nil {
		return Chunk{}, c.err
	}
	if c.handed > 0 {
		c.buf[0] = c.buf[c.handed]
		c.have, c.handed = 1, 0
	}
	for c.have <= c.size {
		n, err := c.src.ReadSamples(c.buf[c.have : c.size+1])
		c.have += n
		if err != nil {
			return c.end(err)
		}
	}
	c.handed = c.size
	c.size = min(2*c.size, c.most)
	return Chunk{PCM: c.buf[:c.handed]}, nil
}

func (c *Chunker) end(err error) (Chunk, error) {
	c.err = err
	if err != io.EOF || c.have == 0 { // an error that wraps io.EOF is not the end
		return Chunk{}, err
	}
	return Chunk{PCM: c.buf[:c.have], Last: true}, nil
}

// All returns an iterator over the chunks. An error other than io.EOF comes as the last
// pair, with an empty Chunk.
func (c *Chunker) All() iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		for {
			chunk, err := c.Next()
			if err == io.EOF {
				return
			}
			if !yield(chunk, err) || err != nil {
				return
			}
		}
	}
}
