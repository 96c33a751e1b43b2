//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"echocast/internal/proxytest"
)

// lease is the duration of a lease of echocast.
const lease = 2 * time.Second

// drain is how long a gateway may continue to speak after SIGTERM.
const drain = 5 * time.Second

// system is all processes of a run.
type system struct {
	gateways  []*process
	servers   []*process           // the NATS servers; none with --embedded
	proxies   [][]*proxytest.Proxy // by gateway, one proxy per server
	addresses []string             // of the servers

	notes      notes
	restarting sync.WaitGroup
	mu         sync.Mutex
	isBusy     map[*process]bool // whether a fault is in progress
	faults     []fault
}

// fault is a fault that was injected into a process, with its time and length.
type fault struct {
	kind   string
	at     time.Time
	length time.Duration
}

// startSystem starts all processes, and waits until they are ready.
func startSystem(ctx context.Context, o *options, dir, tavus string) (*system, error) {
	s := &system{isBusy: map[*process]bool{}}
	if !o.embedded {
		if err := s.startNATS(ctx, o, dir); err != nil {
			return s, err
		}
	}
	for i := range o.nodes() {
		address, err := freeAddress()
		if err != nil {
			return s, err
		}
		name := fmt.Sprint("gateway-", i+1)
		args := []string{"serve", "--listen", address, "--base-url", tavus, "--max-conversations", "1000",
			"--max-lateness", "1m", "--drain", drain.String()}
		if o.embedded {
			args = append(args, "--nats", "embedded", "--data", filepath.Join(dir, name))
		} else {
			urls, err := s.newProxies()
			if err != nil {
				return s, err
			}
			args = append(args, "--nats", strings.Join(urls, ","), "--nats-replicas", "3")
		}
		p, err := newProcess(dir, name, "http://"+address+"/readyz", o.programsOf(i), args...)
		if err != nil {
			return s, err
		}
		p.env = append(p.env, "TAVUS_API_KEY="+apiKey)
		s.gateways = append(s.gateways, p)
		if err := p.start(); err != nil {
			return s, err
		}
		if err := p.awaitReady(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

// programsOf returns the programs that a gateway runs in turn.
func (o *options) programsOf(gateway int) []string {
	switch {
	case o.other == "":
		return []string{o.program}
	case gateway%2 == 0:
		return []string{o.program, o.other}
	}
	return []string{o.other, o.program}
}

// startNATS starts a cluster of three NATS servers.
func (s *system) startNATS(ctx context.Context, o *options, dir string) error {
	var clients, routes, monitors []string
	for range 3 {
		for _, list := range []*[]string{&clients, &routes, &monitors} {
			address, err := freeAddress()
			if err != nil {
				return err
			}
			*list = append(*list, address)
		}
	}
	for i := range clients {
		name := fmt.Sprint("nats-", i+1)
		config := fmt.Sprintf(`server_name: %s
listen: %q
http: %q
jetstream { store_dir: %q }
cluster { name: chaos, listen: %q, no_advertise: true, routes: ["nats://%s"] }
`, name, clients[i], monitors[i], filepath.Join(dir, name), routes[i], strings.Join(routes, `", "nats://`))
		file := filepath.Join(dir, name+".conf")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			return err
		}
		p, err := newProcess(dir, name, "http://"+monitors[i]+"/healthz", []string{o.nats}, "-c", file)
		if err != nil {
			return err
		}
		if err := p.start(); err != nil {
			return err
		}
		s.servers = append(s.servers, p)
		s.addresses = append(s.addresses, clients[i])
	}
	for _, p := range s.servers {
		if err := p.awaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// newProxies starts the proxies of one gateway.
func (s *system) newProxies() (urls []string, err error) {
	var all []*proxytest.Proxy
	for _, to := range s.addresses {
		p, err := proxytest.Listen(to)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
		urls = append(urls, "nats://"+p.Address())
	}
	s.proxies = append(s.proxies, all)
	return urls, nil
}

// close ends all processes.
func (s *system) close() {
	s.restarting.Wait()
	for _, p := range append(s.gateways, s.servers...) {
		p.kill()
		_ = p.log.Close() // everything was written
	}
	for _, all := range s.proxies {
		for _, p := range all {
			p.Close()
		}
	}
}

// crashes returns how often processes ended without a signal.
func (s *system) crashes() (n int) {
	for _, p := range append(s.gateways, s.servers...) {
		n += p.restarts
	}
	return n
}

// startsOf returns how often gateways have started a program.
func (s *system) startsOf(program string) (n int) {
	for _, p := range s.gateways {
		for i := range p.starts {
			if p.programs[i%len(p.programs)] == program {
				n++
			}
		}
	}
	return n
}

// urls returns the addresses of the gateways.
func (s *system) urls() (urls []string) {
	for _, p := range s.gateways {
		urls = append(urls, strings.TrimSuffix(p.url, "/readyz"))
	}
	return urls
}

// do injects a fault into a process. It does nothing if a fault is already in progress in
// that process, in all other gateways, or in another NATS server.
func (s *system) do(ctx context.Context, kind string, i int, length time.Duration) (isDone bool) {
	all, most := s.gateways, len(s.gateways)-1
	if kind == natsKilled {
		all, most = s.servers, 1
	}
	p := all[i%len(all)]
	s.mu.Lock()
	defer s.mu.Unlock()
	busy := 0
	for _, other := range all {
		if s.isBusy[other] {
			busy++
		}
	}
	if s.isBusy[p] || busy >= max(most, 1) {
		return false
	}
	s.isBusy[p] = true
	s.faults = append(s.faults, fault{kind, time.Now(), length})
	s.notes.add("%s is %s for %v", p.name, kind, length)
	s.restarting.Go(func() {
		s.injectFault(ctx, kind, p, i, length)
		s.mu.Lock()
		s.isBusy[p] = false
		s.mu.Unlock()
	})
	return true
}

// injectFault injects a fault, undoes it after length, and waits until the process is ready again.
func (s *system) injectFault(ctx context.Context, kind string, p *process, i int, length time.Duration) {
	undo := func() { _ = p.start() } // awaitReady detects a failure
	switch kind {
	case "stopped":
		p.signal(syscall.SIGSTOP)
		undo = func() {
			p.signal(syscall.SIGCONT)
			if time.Sleep(100 * time.Millisecond); p.isGone() {
				_ = p.start()
			}
		}
	case "cut off":
		for _, proxy := range s.proxies[i%len(s.gateways)] {
			proxy.Cut()
		}
		undo = func() {
			for _, proxy := range s.proxies[i%len(s.gateways)] {
				proxy.Heal()
			}
		}
	case "ended":
		p.stop()
	default:
		p.kill()
	}
	time.Sleep(length)
	undo()
	if err := p.awaitReady(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
}
