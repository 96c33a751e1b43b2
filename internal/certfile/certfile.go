// Package certfile serves a TLS certificate from files. A running server can read the files
// again, for services that renew certificates.
package certfile

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// File is a certificate and its private key, each in a file (PEM). Its methods may be called
// from any goroutine.
type File struct {
	cert, key string
	pair      atomic.Pointer[tls.Certificate]
}

// Open reads a certificate and its private key.
func Open(cert, key string) (*File, error) {
	f := &File{cert: cert, key: key}
	return f, f.Reload()
}

// Reload reads the files again, for new connections. If they cannot be read, or do not
// belong together, the previous certificate stays in use.
func (f *File) Reload() error {
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("--tls-cert %s, --tls-key %s: %w", f.cert, f.key, err)
	}
	f.pair.Store(&pair)
	return nil
}

// Config returns the configuration of a server that presents the certificate.
func (f *File) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.pair.Load(), nil },
	}
}
