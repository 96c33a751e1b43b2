package rtc

import (
	"net"

	"github.com/pion/transport/v5"
)

// fencedNet is a network that sends datagrams only while maySend allows it. It is the last
// step before the system: what SCTP repeats passes it too, which a check in Send would miss
// after the process has stood still.
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

// DialTCP connects to a TURN server, which then gets datagrams by TCP.
func (n *fencedNet) DialTCP(network string, local, remote *net.TCPAddr) (transport.TCPConn, error) {
	conn, err := n.Net.DialTCP(network, local, remote)
	if err != nil {
		return nil, err
	}
	return &fencedTCPConn{conn, n.maySend}, nil
}

// fencedTCPConn drops whole writes: each is a datagram for the relay. A TLS connection
// does not survive that, and must not deliver late either.
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

// fencedPacketConn drops what may not be sent, as a network does.
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

// fencedUDPConn is the same for the other ways to send.
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
