//go:build unix

package main

import (
	"io"
	"net"
	"sync"
)

// proxy forwards connections to an address. While it is cut, nothing passes in either
// direction, as if a cable were unplugged. What was sent meanwhile passes later.
type proxy struct {
	listener net.Listener
	to       string
	all      sync.WaitGroup

	mu    sync.Mutex
	open  *sync.Cond // signalled when the cut ends
	isCut bool
	conns map[net.Conn]bool
}

func newProxy(to string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, to: to, conns: map[net.Conn]bool{}}
	p.open = sync.NewCond(&p.mu)
	p.all.Go(p.accept)
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) cut(isCut bool) {
	p.mu.Lock()
	p.isCut = isCut
	p.mu.Unlock()
	p.open.Broadcast()
}

func (p *proxy) close() {
	p.cut(false)
	_ = p.listener.Close() // this ends accept
	p.mu.Lock()
	for c := range p.conns {
		_ = c.Close() // this ends pass
	}
	p.mu.Unlock()
	p.all.Wait()
}

func (p *proxy) accept() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.all.Go(func() { p.serve(from) })
	}
}

func (p *proxy) serve(from net.Conn) {
	defer from.Close()
	p.wait()
	to, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer to.Close()
	p.mu.Lock()
	p.conns[from], p.conns[to] = true, true
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pass(to, from) })
	both.Go(func() { p.pass(from, to) })
	both.Wait()
	p.mu.Lock()
	delete(p.conns, from)
	delete(p.conns, to)
	p.mu.Unlock()
}

// pass copies until one end closes, and then closes both ends.
func (p *proxy) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	_, _ = io.Copy(writer{p, to}, from) // the two ends notice errors
}

// writer blocks writes while the proxy is cut.
type writer struct {
	proxy *proxy
	io.Writer
}

func (w writer) Write(b []byte) (int, error) {
	w.proxy.wait()
	return w.Writer.Write(b)
}

func (p *proxy) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.isCut {
		p.open.Wait()
	}
}
