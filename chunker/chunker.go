// Package chunker cuts a stream of samples into chunks of equal length and
// marks the last one.
//
// A replica has to be told which chunk ends an utterance, and a stream does not
// say so beforehand. So a full chunk is held back until one more sample has
// come, or the end has: then it is known whether it is the last. No chunk is
// empty, and no silence is invented to carry the mark.
package chunker

import (
	"fmt"
	"io"
	"iter"
)

// Source is where the samples come from. n > 0 means err == nil; n == 0 means
// err says why, io.EOF at the end.
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
	src  Source
	size int
	buf  []float32 // room for a chunk and the one sample more
	have int       // samples in buf
	lent bool      // the first size samples of buf were handed out
	err  error     // why the stream is over; sticky
}

// New cuts src into chunks of size samples. It panics where size is not
// positive.
func New(src Source, size int) *Chunker {
	if size <= 0 {
		panic(fmt.Sprintf("chunker: chunk size %d", size))
	}
	return &Chunker{src: src, size: size, buf: make([]float32, size+1)}
}

// Next returns the next chunk. After the chunk marked Last comes io.EOF. Where
// the source breaks its error comes instead of the samples that were not handed
// out yet, and no chunk is marked Last: an utterance that broke off has no end.
func (c *Chunker) Next() (Chunk, error) {
	if c.err != nil {
		return Chunk{}, c.err
	}
	if c.lent {
		c.buf[0] = c.buf[c.size]
		c.have, c.lent = 1, false
	}
	for c.have <= c.size {
		n, err := c.src.ReadSamples(c.buf[c.have:])
		c.have += n
		if err != nil {
			return c.end(err)
		}
	}
	c.lent = true
	return Chunk{PCM: c.buf[:c.size]}, nil
}

func (c *Chunker) end(err error) (Chunk, error) {
	c.err = err
	if err != io.EOF || c.have == 0 { // an error that wraps io.EOF is no end
		return Chunk{}, err
	}
	return Chunk{PCM: c.buf[:c.have], Last: true}, nil
}

// All ranges over the chunks. An error other than io.EOF comes as the last pair,
// with an empty Chunk.
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
