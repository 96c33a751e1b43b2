package echo

import (
	"io"
	"sync"
)

// FromChannel returns a Speech that reads its mono samples from a channel, until the
// channel is closed. After an interrupt the channel is not read any more.
func FromChannel(samples <-chan []float32) Speech {
	c := &channelSource{samples: samples, stopped: make(chan struct{})}
	return Speech{Samples: c, Abort: sync.OnceFunc(func() { close(c.stopped) })}
}

// channelSource reads samples from a channel.
type channelSource struct {
	samples <-chan []float32
	left    []float32     // the unread rest of the last value
	stopped chan struct{} // closed by Abort
}

// ReadSamples waits for samples, or returns io.EOF when no more will come.
func (c *channelSource) ReadSamples(p []float32) (int, error) {
	for len(c.left) == 0 {
		select {
		case more, open := <-c.samples:
			if !open {
				return 0, io.EOF
			}
			c.left = more
		case <-c.stopped:
			return 0, io.EOF
		}
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}
