// Package roomoption turns the options, files and variables of a command into the
// connection settings of a room: keys, certificates, servers, a browser.
package roomoption

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/internal/certfile"
	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/internal/secretfile"
	"echocast/internal/text"
	"echocast/rtc"
)

// Peer has the keys, certificates and servers for replicas of echocast on other machines.
type Peer struct {
	keyFile    string
	servers    cli.StringSlice
	secretFile string
	relayOnly  bool
	lostAfter  time.Duration
	authority  string // only for dialling
	cert, key  string // only for listening
	Insecure   bool   // also connect to other machines without TLS or a key
}

// HelpPeer says from where the secrets are read.
const HelpPeer = `Secrets are not options, because other users can see those. The room key is read
from ECHOCAST_ROOM_KEY or the file that --room-key-file names, the user name and the
credential of TURN servers from ECHOCAST_ICE_USERNAME and ECHOCAST_ICE_CREDENTIAL or
the two lines of the file that --ice-credential-file names.`

func (p *Peer) flags() []cli.Flag {
	return []cli.Flag{
		option.New(&p.keyFile, "room-key-file", "", "`FILE` with the key that lets senders in at echocast replica (default: "+
			"ECHOCAST_ROOM_KEY)"),
		&cli.StringSliceFlag{Name: "ice-server", Destination: &p.servers, DefaultText: "none",
			Usage: "`URL` of a STUN or TURN server: stun:HOST, turn:HOST?transport=tcp, turns:HOST; may be repeated"},
		option.New(&p.secretFile, "ice-credential-file", "", "`FILE` with the user name and the credential of the TURN "+
			"servers, in two lines (default: ECHOCAST_ICE_USERNAME and ECHOCAST_ICE_CREDENTIAL)"),
		option.Bool(&p.relayOnly, "relay-only", "connect by the TURN servers only, which hides this machine's addresses"),
		option.New(&p.lostAfter, "lost-after", defaultLostAfter, "with a replica of echocast: the connection is lost when "+
			"the other side was silent for this `TIME`; give it to both"),
	}
}

// How long the other side may be silent before a connection is lost.
const (
	defaultLostAfter  = 3 * time.Second
	shortestLostAfter = time.Second
	longestLostAfter  = 10 * time.Minute
)

// DialFlags returns the flags of commands that dial a replica.
func (p *Peer) DialFlags() []cli.Flag {
	return append(p.flags(),
		option.New(&p.authority, "tls-ca", "", "`FILE` (PEM) with the certificates that the replica's https is checked "+
			"against (default: those of this system)"),
		option.Bool(&p.Insecure, "insecure", "use http, without a room key, to another machine: others can listen in"))
}

// ListenFlags returns the flags of commands that serve a replica.
func (p *Peer) ListenFlags() []cli.Flag {
	return option.Join(p.flags(), p.CertificateFlags(), []cli.Flag{
		option.Bool(&p.Insecure, "insecure", "listen to other machines without a room key, or without TLS"),
	})
}

// CertificateFlags returns the flags for a server's certificate.
func (p *Peer) CertificateFlags() []cli.Flag {
	return []cli.Flag{
		option.New(&p.cert, "tls-cert", "", "`FILE` (PEM) with the certificate, for https (default: none)"),
		option.New(&p.key, "tls-key", "", "`FILE` (PEM) with the certificate's private key (default: none)"),
	}
}

// Options returns the options from flags, files and environment variables. It warns if
// other users can read a file with a secret.
func (p *Peer) Options(warn output.WarnFunc) (*rtc.Options, error) {
	if p.lostAfter < shortestLostAfter || p.lostAfter > longestLostAfter {
		return nil, option.Errorf("--lost-after must be from %v to %v", shortestLostAfter, longestLostAfter)
	}
	options := &rtc.Options{RelayOnly: p.relayOnly, Insecure: p.Insecure, PingTimeout: p.lostAfter}
	var err error
	if options.Key, err = option.Secret("--room-key-file", p.keyFile, "ECHOCAST_ROOM_KEY", warn); err != nil {
		return nil, err
	}
	if options.ICEServers, err = p.iceServers(warn); err != nil {
		return nil, err
	}
	if options.TLS, err = p.TLS(warn); err != nil {
		return nil, err
	}
	return options, check(options)
}

// check names the option that has an error.
func check(o *rtc.Options) error {
	for _, part := range []struct {
		name    string
		options rtc.Options
	}{
		{"--room-key-file, or ECHOCAST_ROOM_KEY", rtc.Options{Key: o.Key}},
		{"--ice-server", rtc.Options{ICEServers: o.ICEServers}},
		{"--relay-only", rtc.Options{ICEServers: o.ICEServers, RelayOnly: o.RelayOnly}},
	} {
		if err := part.options.Check(); err != nil {
			return option.Errorf("%s: %v", part.name, err)
		}
	}
	return nil
}

func (p *Peer) iceServers(warn output.WarnFunc) (servers []rtc.ICEServer, err error) {
	if len(p.servers.Value()) == 0 {
		return nil, nil
	}
	username, credential := os.Getenv("ECHOCAST_ICE_USERNAME"), os.Getenv("ECHOCAST_ICE_CREDENTIAL")
	if p.secretFile != "" {
		lines, err := option.Secret("--ice-credential-file", p.secretFile, "", warn)
		if err != nil {
			return nil, err
		}
		var two bool
		if username, credential, two = strings.Cut(lines, "\n"); !two || strings.Contains(credential, "\n") {
			return nil, option.Errorf("--ice-credential-file %s: it must have two lines, the user name and the credential",
				p.secretFile)
		}
	}
	for _, url := range p.servers.Value() {
		servers = append(servers, rtc.ICEServer{URL: url, Username: strings.TrimSpace(username),
			Credential: strings.TrimSpace(credential)})
	}
	return servers, nil
}

// Certificate returns the certificate to present, or nil if there is none.
func (p *Peer) Certificate(warn output.WarnFunc) (*certfile.File, error) {
	switch {
	case (p.cert == "") != (p.key == ""):
		return nil, option.Errorf("--tls-cert and --tls-key must be given together")
	case p.cert == "":
		return nil, nil
	case secretfile.IsPublic(p.key):
		option.WarnPublic(warn, p.key)
	}
	file, err := certfile.Open(p.cert, p.key)
	if err != nil {
		return nil, option.Errorf("%v", err)
	}
	return file, nil
}

// TLS returns a configuration with the certificate to present, or with the authorities to
// trust.
func (p *Peer) TLS(warn output.WarnFunc) (*tls.Config, error) {
	certificate, err := p.Certificate(warn)
	switch {
	case err != nil:
		return nil, err
	case certificate != nil:
		return certificate.Config(), nil
	case p.authority == "":
		return nil, nil
	}
	pem, err := os.ReadFile(p.authority)
	if err != nil {
		return nil, option.Errorf("--tls-ca %s: %v", p.authority, text.WithoutPath(err))
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, option.Errorf("--tls-ca %s: the file has no certificate in PEM", p.authority)
	}
	return &tls.Config{RootCAs: roots}, nil
}

// ExplainPeer adds the option that may help to reach a replica on another machine.
func ExplainPeer(err error) error {
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case errors.Is(err, rtc.ErrKey):
		return &KeyError{fmt.Errorf("%w; give the replica's with --room-key-file, or in ECHOCAST_ROOM_KEY", err)}
	case errors.Is(err, rtc.ErrUnsafe):
		return option.Errorf("%v; use https://, or --insecure and no room key where nobody else can listen in", err)
	case errors.Is(err, rtc.ErrNoPath):
		return fmt.Errorf("%w: name a server that relays with --ice-server", err)
	case untrusted:
		return fmt.Errorf("%w; --tls-ca FILE names the authorities to trust", err)
	}
	return err
}

// KeyError reports that a replica refuses the room key.
type KeyError struct{ err error }

// Error says which option has the key.
func (e *KeyError) Error() string { return e.err.Error() }

// Unwrap returns the error of the connection.
func (e *KeyError) Unwrap() error { return e.err }
