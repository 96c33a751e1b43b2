package testenv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
)

// The ports that FreePort returns. No system chooses one of them for a socket that asks for
// port 0, or for the own end of a connection.
const (
	firstPort = 12_000
	lastPort  = 31_999
)

// taken are the ports that FreePort has returned.
var taken sync.Map

// reserve keeps a port, until release is called, from tests in other processes: a socket with a
// name stands for it, which the kernel frees with this process. Only Linux has such names.
func reserve(port int) (release func(), isFree bool) {
	if runtime.GOOS != "linux" {
		return func() {}, true
	}
	name, err := net.Listen("unix", fmt.Sprintf("@echocast-test-port-%d", port))
	if err != nil {
		return nil, false
	}
	return func() { _ = name.Close() }, true
}

// FreeAddress returns an address of this machine on which nothing listens, for a program that
// cannot listen on port 0. Other tests that run at the same time do not get this port.
func FreeAddress(t testing.TB) string {
	t.Helper()
	port, release, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return address(port)
}

// FreePort returns the port of such an address. Tests in other processes may get it once release
// is called.
func FreePort() (port int, release func(), err error) {
	for range 1000 {
		port = firstPort + rand.IntN(lastPort-firstPort+1)
		if _, isTaken := taken.LoadOrStore(port, true); isTaken {
			continue
		}
		release, isFree := reserve(port)
		if !isFree {
			continue
		}
		if socket, err := net.Listen("tcp", address(port)); err == nil {
			return port, release, socket.Close() // for the program
		}
		release()
	}
	return 0, nil, errors.New("no port is free")
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
