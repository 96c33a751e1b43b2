package livekittest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"echocast/internal/testenv"
	"echocast/rtc/rtctest"
)

// Key and Secret are the credentials of the started servers.
const (
	Key    = "devkey"
	Secret = "secretsecretsecretsecretsecretsecret"
)

// Server is a livekit-server on this machine.
type Server struct {
	URL     string // ws://127.0.0.1:PORT
	process *exec.Cmd
	ended   chan struct{} // closed when the process has ended
}

// The servers that run.
var (
	serversLock sync.Mutex
	servers     []*Server
)

// StartServer starts the livekit-server in a folder, or in the PATH, on free ports of
// 127.0.0.1. Stop or StopServers ends it.
func StartServer(folder string) (*Server, error) {
	path, err := serverPath(folder)
	if err != nil {
		return nil, err
	}
	for range 3 { // another process may take a port first
		var s *Server
		if s, err = start(path); err == nil {
			serversLock.Lock()
			servers = append(servers, s)
			serversLock.Unlock()
			return s, nil
		}
	}
	return nil, err
}

func start(path string) (*Server, error) {
	ports, releasePorts, err := freePorts()
	if err != nil {
		return nil, err
	}
	// Without an address for STUN, a livekit-server names public ones: where they do not answer,
	// clients still gather when a test resumes their connection, which is a data race in pion/ice
	// (v4.4.9: Agent.gatherServerReflexiveCandidates reads the URLs that Agent.UpdateOptions writes).
	relay, err := rtctest.NewRelay()
	if err != nil {
		releasePorts()
		return nil, err
	}
	release := func() {
		_ = relay.Close()
		releasePorts()
	}
	config := fmt.Sprintf(`
port: %d
bind_addresses: ["127.0.0.1"]
logging: {level: fatal}
rtc:
  {tcp_port: %d, udp_port: %d, node_ip: 127.0.0.1, use_external_ip: false,
  enable_loopback_candidate: true, interfaces: {includes: [lo]}, stun_servers: ["%s"]}
keys: {%s: %s}
`, ports[0], ports[1], ports[2], strings.TrimPrefix(relay.URL, "turn:"), Key, Secret)
	s := &Server{process: exec.Command(path, "--config-body", config), ended: make(chan struct{})}
	s.process.Stderr = os.Stderr
	if err := s.process.Start(); err != nil {
		release()
		return nil, err
	}
	go func() { // until Stop, which waits for it
		defer close(s.ended)
		_ = s.process.Wait()
		release()
	}()
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	s.URL = "ws://" + address
	timeout := time.After(startTimeout)
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return s, conn.Close()
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-s.ended:
			return nil, fmt.Errorf("livekit-server has ended: %v", s.process.ProcessState)
		case <-timeout:
			s.Stop()
			return nil, fmt.Errorf("livekit-server is not up: %w", err)
		}
	}
}

// startTimeout is how long a server may take to listen.
const startTimeout = 2 * time.Minute

// Signal sends the server a signal, such as SIGSTOP.
func (s *Server) Signal(what os.Signal) error { return s.process.Process.Signal(what) }

// stopTimeout is how long a server may take to stop. A server that is stopped before it is
// ready never ends by itself.
const stopTimeout = 5 * time.Second

// Stop ends the server, and waits for it. It may be called twice.
func (s *Server) Stop() {
	_ = s.process.Process.Signal(os.Interrupt)
	late := time.AfterFunc(stopTimeout, func() { _ = s.process.Process.Kill() })
	<-s.ended
	late.Stop()
}

// StopServers ends all started servers, and waits for them. Only what runs after all tests may
// call it.
func StopServers() {
	serversLock.Lock()
	defer serversLock.Unlock()
	for _, s := range servers {
		s.Stop()
	}
	servers = nil
}

func serverPath(folder string) (string, error) {
	if path, err := filepath.Abs(filepath.Join(folder, "livekit-server")); err == nil {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return exec.LookPath("livekit-server")
}

// freePorts returns three free ports that no system hands out: another process that listens on
// one of them would be taken for the server. Other tests do not get them before release.
func freePorts() (ports [3]int, release func(), err error) {
	var releases []func()
	release = func() {
		for _, one := range releases {
			one()
		}
	}
	for i := range ports {
		port, one, err := testenv.FreePort()
		if err != nil {
			release()
			return ports, nil, err
		}
		ports[i], releases = port, append(releases, one)
	}
	return ports, release, nil
}
