package natstest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy passes connections on to an address. While it is cut nothing passes, in either
// direction, as where a cable is pulled: connections stay, and what was sent meanwhile
// passes later. Its methods may be called from any goroutine.
type Proxy struct {
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	to      string // empty: not known yet
	isCut   bool
	isOver  bool
	conns   []net.Conn
}

// NewProxy listens on a port of its own. It passes nothing until it knows where to. The test
// ends it.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: listener, to: to}
	p.changed = sync.NewCond(&p.mu)
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Address is where it listens.
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

func (p *Proxy) close() {
	_ = p.listener.Close() // ends accept
	p.set(func() {
		p.isOver = true
		for _, c := range p.conns {
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
	defer from.Close()
	if !p.keep(from) || !p.wait() {
		return
	}
	to, err := net.Dial("tcp", p.to) // it does not change any more
	if err != nil {
		return
	}
	defer to.Close()
	if !p.keep(to) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { p.pass(from, to) })
	p.pass(to, from)
	back.Wait()
}

// keep notes a connection that close has to end.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
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
