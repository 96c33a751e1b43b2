package livekittest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
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
}

// The servers that run.
var (
	serversLock sync.Mutex
	servers     []*Server
)

// StartServer starts the livekit-server in a folder, or in the PATH, on free ports of
// 127.0.0.1. StopServers ends it.
func StartServer(folder string) (*Server, error) {
	path, err := serverPath(folder)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts()
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`
port: %d
bind_addresses: ["127.0.0.1"]
logging: {level: fatal}
rtc:
  {tcp_port: %d, udp_port: %d, node_ip: 127.0.0.1, use_external_ip: false,
  enable_loopback_candidate: true, interfaces: {includes: [lo]}}
keys: {%s: %s}
`, ports[0], ports[1], ports[2], Key, Secret)
	s := &Server{process: exec.Command(path, "--config-body", config)}
	s.process.Stderr = os.Stderr
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	serversLock.Lock()
	servers = append(servers, s)
	serversLock.Unlock()
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	s.URL = "ws://" + address
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return s, conn.Close()
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("livekit-server is not up: %w", err)
		}
	}
}

// Signal sends the server a signal, such as SIGSTOP.
func (s *Server) Signal(what os.Signal) error { return s.process.Process.Signal(what) }

// stopTimeout is how long a server may take to stop. A server that is stopped before it is
// ready never ends by itself.
const stopTimeout = 5 * time.Second

// StopServers ends all started servers, and waits for them.
func StopServers() {
	serversLock.Lock()
	defer serversLock.Unlock()
	for _, s := range servers {
		_ = s.process.Process.Signal(os.Interrupt)
		late := time.AfterFunc(stopTimeout, func() { _ = s.process.Process.Kill() })
		_ = s.process.Wait()
		late.Stop()
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

// freePorts returns three free ports: TCP, TCP and UDP.
func freePorts() (ports [3]int, err error) {
	for i := range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return ports, err
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return ports, err
	}
	defer conn.Close()
	ports[2] = conn.LocalAddr().(*net.UDPAddr).Port
	return ports, nil
}
