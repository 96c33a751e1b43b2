package testenv

import (
	"net"
	"runtime"
	"testing"
)

// Each address is free, and is returned only once.
func TestFreeAddress(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		address := FreeAddress(t)
		if seen[address] {
			t.Errorf("%s was returned twice", address)
		}
		seen[address] = true
		socket, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
	}
}

// A port that another process has reserved is not returned. The kernel does not ask who it was.
func TestPortsAreReserved(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such names")
	}
	for range 2 {
		release, isFree := reserve(lastPort + 1)
		if !isFree {
			t.Fatal("a port is never reserved, or for ever")
		}
		if _, isFree := reserve(lastPort + 1); isFree {
			t.Error("a port is reserved twice")
		}
		release()
	}
}
