// Package rtctest helps to test connections between machines on one machine. It has a TURN
// server and makes certificates. It does not depend on package rtc.
package rtctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync/atomic"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
)

// The credentials that a Relay accepts.
const (
	User       = "1700000000:echocast"
	Credential = "canary-credential"
)

// Relay is a TURN server on loopback. It counts the bytes that it relays.
type Relay struct {
	URL    string
	server *turn.Server
	bytes  atomic.Int64
}

// NewRelay starts a Relay. The caller closes it.
func NewRelay() (*Relay, error) {
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("rtctest: %w", err)
	}
	r := &Relay{URL: "turn:" + socket.LocalAddr().String()}
	r.server, err = turn.NewServer(turn.ServerConfig{
		Realm: "echocast.test",
		AuthHandler: func(a *turn.RequestAttributes) (string, []byte, bool) {
			return a.Username, turn.GenerateAuthKey(User, a.Realm, Credential), a.Username == User
		},
		LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled},
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn: socket,
			RelayAddressGenerator: byteCounter{&turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1),
				Address: "127.0.0.1"}, &r.bytes},
		}},
	})
	if err != nil {
		_ = socket.Close()
		return nil, fmt.Errorf("rtctest: %w", err)
	}
	return r, nil
}

// Bytes returns how many bytes were sent from relayed addresses.
func (r *Relay) Bytes() int64 { return r.bytes.Load() }

// Close ends the server and all relayed connections.
func (r *Relay) Close() error { return r.server.Close() }

// byteCounter counts the bytes that are sent from relayed addresses.
type byteCounter struct {
	turn.RelayAddressGenerator
	bytes *atomic.Int64
}

// AllocatePacketConn opens a relayed address.
func (c byteCounter) AllocatePacketConn(config turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	conn, address, err := c.RelayAddressGenerator.AllocatePacketConn(config)
	return countingConn{conn, c.bytes}, address, err
}

type countingConn struct {
	net.PacketConn
	bytes *atomic.Int64
}

// WriteTo sends a datagram to a peer.
func (c countingConn) WriteTo(p []byte, to net.Addr) (int, error) {
	c.bytes.Add(int64(len(p)))
	return c.PacketConn.WriteTo(p, to)
}

// Certificate makes a self-signed certificate for 127.0.0.1 and the names. It returns the
// certificate and its private key, both as PEM.
func Certificate(names ...string) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: names,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}
