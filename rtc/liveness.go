package rtc

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// The messages of the ping channel.
const (
	ping = "ping"
	pong = "pong"
	bye  = "bye" // the last one, of a peer that closes
)

// pongBacklog is how many bytes of pongs may wait for a peer that pings but does not
// acknowledge. While more are waiting, pings are not answered.
const pongBacklog = 1 << 10

// supervise watches the connection until it ends or is closed.
func (c *Conn) supervise() {
	defer close(c.supervised)
	ticks, stop := c.options.pingTicks()
	defer stop()
	watch := silenceWatch{allowed: silentTicks(c.options.PingInterval, c.options.PingTimeout)}
	arriving := c.peer.pings
	for {
		select {
		case <-c.lifetime.Closing():
			return
		case <-c.lifetime.Ended():
			return
		case <-c.peer.broken:
			c.readLastPings(arriving)
			c.end(c.brokenTransport())
		case c.pings = <-arriving:
			arriving = nil
			c.readers.Go(c.answer)
			c.sendPing()
		case <-ticks:
			c.checkSilence(&watch)
		}
	}
}

// brokenTransport returns why the connection ended after pion reported it as failed.
func (c *Conn) brokenTransport() error {
	if c.peer.isClosedByPeer() && !c.hasAnswered() {
		return ErrPeerGone // and the other library cannot say bye
	}
	return fmt.Errorf("%w: no network path to the peer is left", ErrLost)
}

// lastPingsTimeout bounds reading the last messages of the ping channel, once the path
// to the peer is gone.
const lastPingsTimeout = 100 * time.Millisecond

// readLastPings reads the last messages of the ping channel: one may be a bye.
func (c *Conn) readLastPings(arriving <-chan channel) {
	if c.pings == nil {
		select {
		case c.pings = <-arriving:
			c.readers.Go(c.answer)
		default:
			return
		}
	}
	enough := time.NewTimer(lastPingsTimeout)
	defer enough.Stop()
	select {
	case <-c.pingsEnded:
	case <-c.lifetime.Closing():
	case <-enough.C:
	}
}

// pingTicks returns the ticks at which the peer is pinged.
func (o *Options) pingTicks() (ticks <-chan time.Time, stop func()) {
	if o.ticks != nil {
		return o.ticks, func() {}
	}
	ticker := time.NewTicker(o.PingInterval)
	return ticker.C, ticker.Stop
}

// silentTicks returns the timeout as a number of ping intervals.
func silentTicks(interval, timeout time.Duration) int {
	return int((timeout + interval - 1) / interval)
}

// silenceWatch counts the ping intervals in which nothing arrived from the peer.
//
// It counts ticks, not time. A process that was stopped finds only one tick when it
// continues, however long it was stopped, and must not blame the peer. And it counts every
// SCTP packet as a sign of life, not only pongs. A peer with a slow reader has a full
// receive window, which holds back pings as well as messages, but its acknowledgements
// still arrive.
type silenceWatch struct {
	heard   uint64 // bytes received at the last tick
	silent  int    // ticks since that number grew
	allowed int    // ticks of silence before the peer is lost
}

// isDead reports whether the peer is lost. It must be called once per tick with the number
// of bytes received so far.
func (p *silenceWatch) isDead(heard uint64) bool {
	if heard != p.heard {
		p.heard, p.silent = heard, 0
		return false
	}
	p.silent++
	return p.silent >= p.allowed
}

// checkSilence ends the connection if the peer has been silent for too long, and pings
// a silent peer.
func (c *Conn) checkSilence(p *silenceWatch) {
	if c.pings == nil {
		return
	}
	if p.isDead(c.peer.received()) && c.hasAnswered() {
		c.end(fmt.Errorf("%w: nothing from the peer within %v", ErrLost, c.options.PingTimeout))
		return
	}
	if p.silent > 0 && c.pings.BufferedAmount() == 0 { // no ping is still on its way
		c.sendPing()
	}
}

func (c *Conn) sendPing() {
	_, _ = c.pings.WriteDataChannel([]byte(ping), true)
}

// hasAnswered reports whether the peer has ever answered a ping.
func (c *Conn) hasAnswered() bool {
	select {
	case <-c.answered:
		return true
	default:
		return false
	}
}

// answer reads the ping channel until it ends.
func (c *Conn) answer() {
	defer close(c.pingsEnded)
	var buffer [64]byte
	for {
		n, _, err := c.pings.ReadDataChannel(buffer[:])
		if err != nil {
			c.afterPings(err)
			return
		}
		switch string(buffer[:n]) {
		case ping:
			c.sendPong()
		case pong:
			c.answeredOnce.Do(func() { close(c.answered) })
		case bye:
			c.end(ErrPeerGone)
		}
	}
}

// sendPong answers a ping.
func (c *Conn) sendPong() {
	if c.pings.BufferedAmount() < pongBacklog {
		_, _ = c.pings.WriteDataChannel([]byte(pong), true)
	}
}

// afterPings decides what the end of the ping channel means. A peer that never answered may
// not know the ping channel and may have closed it.
func (c *Conn) afterPings(err error) {
	if !errors.Is(err, io.EOF) || c.hasAnswered() {
		c.end(c.brokenBy(err))
	}
}
