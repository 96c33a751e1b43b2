// Package proxytest passes TCP connections on, and cuts them off as if a cable were unplugged, for
// tests of networks that fail.
package proxytest

import (
	"io"
	"net"
	"sync"
)

// Proxy passes connections on to an address. While it is cut, nothing passes, in either
// direction: connections stay, and what was sent meanwhile passes later. Its methods may be
// called from any goroutine.
type Proxy struct {
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	to      string // empty: not known yet
	isCut   bool
	isOver  bool
	conns   map[net.Conn]bool
}

// Listen listens on a port of its own on this machine. If to is empty, nothing passes until
// Lead.
func Listen(to string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, to: to, conns: map[net.Conn]bool{}}
	p.changed = sync.NewCond(&p.mu)
	p.running.Go(p.accept)
	return p, nil
}

// Address returns where it listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Lead says where connections go.
func (p *Proxy) Lead(to string) { p.set(func() { p.to = to }) }

// Cut lets nothing pass, until Heal.
func (p *Proxy) Cut() { p.set(func() { p.isCut = true }) }

// Heal lets everything pass again.
func (p *Proxy) Heal() { p.set(func() { p.isCut = false }) }

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}

// Close ends all connections.
func (p *Proxy) Close() {
	_ = p.listener.Close() // ends accept
	p.set(func() {
		p.isOver = true
		for c := range p.conns {
			_ = c.Close() // ends pass
		}
	})
	p.running.Wait()
}

func (p *Proxy) accept() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.connect(from) })
	}
}

// connect passes one connection on until one of its ends is closed.
func (p *Proxy) connect(from net.Conn) {
	defer p.drop(from)
	if !p.keep(from) || !p.wait() {
		return
	}
	to, err := net.Dial("tcp", p.to) // it does not change any more
	if err != nil {
		return
	}
	defer p.drop(to)
	if !p.keep(to) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { p.pass(from, to) })
	p.pass(to, from)
	back.Wait()
}

// drop closes a connection.
func (p *Proxy) drop(c net.Conn) {
	_ = c.Close() // pass may have closed it
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// keep notes a connection that Close has to end.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
	return !p.isOver
}

// pass copies until one end is closed, and closes both.
func (p *Proxy) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	_, _ = io.Copy(gate{p, to}, from) // the ends see what went wrong
}

// wait waits until something may pass, and reports false if nothing ever will.
func (p *Proxy) wait() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for (p.isCut || p.to == "") && !p.isOver {
		p.changed.Wait()
	}
	return !p.isOver
}

// gate writes when its proxy lets something pass.
type gate struct {
	proxy *Proxy
	io.Writer
}

func (g gate) Write(b []byte) (int, error) {
	if !g.proxy.wait() {
		return 0, net.ErrClosed
	}
	return g.Writer.Write(b)
}
