package rtc

import (
	"net"

	"github.com/pion/transport/v5"
)

// fencedNet is a network that sends datagrams only while maySend permits it. It is the last
// step before the system, so it also checks datagrams that SCTP repeats. A check in Send
// would miss those after the process was stopped and has continued.
type fencedNet struct {
	transport.Net
	maySend func() bool
}

func (n *fencedNet) ListenPacket(network, address string) (net.PacketConn, error) {
	conn, err := n.Net.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	return &fencedPacketConn{conn, n.maySend}, nil
}

func (n *fencedNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(network, local)
	if err != nil {
		return nil, err
	}
	return &fencedUDPConn{conn, n.maySend}, nil
}

func (n *fencedNet) DialUDP(network string, local, remote *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.DialUDP(network, local, remote)
	if err != nil {
		return nil, err
	}
	return &fencedUDPConn{conn, n.maySend}, nil
}

// DialTCP connects to a TURN server, which then receives datagrams over TCP.
func (n *fencedNet) DialTCP(network string, local, remote *net.TCPAddr) (transport.TCPConn, error) {
	conn, err := n.Net.DialTCP(network, local, remote)
	if err != nil {
		return nil, err
	}
	return &fencedTCPConn{conn, n.maySend}, nil
}

// fencedTCPConn drops whole writes. Each write is a datagram for the relay. A TLS
// connection breaks when a write is dropped, but late delivery would be worse.
type fencedTCPConn struct {
	transport.TCPConn
	maySend func() bool
}

func (c *fencedTCPConn) Write(p []byte) (int, error) {
	if !c.maySend() {
		return len(p), nil
	}
	return c.TCPConn.Write(p)
}

// fencedPacketConn drops datagrams that may not be sent, as a network loses them.
type fencedPacketConn struct {
	net.PacketConn
	maySend func() bool
}

func (c *fencedPacketConn) WriteTo(p []byte, to net.Addr) (int, error) {
	if !c.maySend() {
		return len(p), nil
	}
	return c.PacketConn.WriteTo(p, to)
}

// fencedUDPConn does the same for the other methods that send.
type fencedUDPConn struct {
	transport.UDPConn
	maySend func() bool
}

func (c *fencedUDPConn) Write(p []byte) (int, error) {
	if !c.maySend() {
		return len(p), nil
	}
	return c.UDPConn.Write(p)
}

func (c *fencedUDPConn) WriteTo(p []byte, to net.Addr) (int, error) {
	if !c.maySend() {
		return len(p), nil
	}
	return c.UDPConn.WriteTo(p, to)
}

func (c *fencedUDPConn) WriteToUDP(p []byte, to *net.UDPAddr) (int, error) {
	if !c.maySend() {
		return len(p), nil
	}
	return c.UDPConn.WriteToUDP(p, to)
}

func (c *fencedUDPConn) WriteMsgUDP(p, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	if !c.maySend() {
		return len(p), len(oob), nil
	}
	return c.UDPConn.WriteMsgUDP(p, oob, to)
}
