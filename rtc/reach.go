package rtc

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/pion/stun/v4"
)

// ICEServer is a STUN or TURN server, which helps two machines to reach each other.
type ICEServer struct {
	// URL is stun:HOST[:PORT], turn:HOST[:PORT][?transport=tcp] or turns:….
	URL string
	// Username and Credential are for TURN, which needs both.
	Username, Credential string
}

// shortestKey is the minimum length, in characters, of the key of a Listener that other
// machines can reach. They could guess a shorter key.
const shortestKey = 16

var (
	// ErrUnsafe reports a connection beyond this machine without a key or TLS, which
	// only Options.Insecure permits.
	ErrUnsafe = errors.New("not safe beyond this machine")

	// ErrBusy reports that the listener's backlog stayed full until
	// Options.BusyTimeout.
	ErrBusy = errors.New("the server is busy")

	// ErrNoPath reports that the peer answered the offer, but no packet arrived from it: a
	// firewall blocks UDP. A TURN server in Options.ICEServers may help.
	ErrNoPath = errors.New("the network let no UDP through")

	// ErrKey reports that the listener refused the key, or that the key is missing.
	ErrKey = errors.New("the room key is missing or wrong")
)

// keyPattern matches the characters that a bearer token may contain (RFC 6750).
var keyPattern = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// checkReach returns an error about the options for other machines.
func (o *Options) checkReach() error {
	if o.Key != "" && !keyPattern.MatchString(o.Key) {
		return errors.New("the room key has a character other than letters, digits and -._~+/=")
	}
	turn := false
	for _, server := range o.ICEServers {
		uri, err := stun.ParseURI(server.URL)
		if err != nil || strings.Contains(server.URL, "@") {
			return fmt.Errorf("ICE server %q must be stun:HOST, turn:HOST or turns:HOST", withoutPassword(server.URL))
		}
		relays := uri.Scheme == stun.SchemeTypeTURN || uri.Scheme == stun.SchemeTypeTURNS
		if relays && (server.Username == "" || server.Credential == "") {
			return fmt.Errorf("the TURN server %s needs a user name and a credential", server.URL)
		}
		turn = turn || relays
	}
	if o.RelayOnly && !turn {
		return errors.New("only relays are allowed, and there is no TURN server")
	}
	return nil
}

// withoutPassword returns an address without the part before its host, which may contain a
// password.
func withoutPassword(address string) string {
	if at := strings.LastIndex(address, "@"); at >= 0 {
		return address[:strings.Index(address, ":")+1] + "…" + address[at:]
	}
	return address
}

// forPeer returns a copy of o for a peer that is on another machine, or on this
// one. With ICE servers, all interfaces are used either way.
func (o *Options) forPeer(isRemote bool) *Options {
	own := *o
	own.allowRemote = isRemote || len(o.ICEServers) > 0
	return &own
}

// checkDial refuses connections that others could read or impersonate.
func (o *Options) checkDial(endpoint *url.URL) error {
	switch {
	case endpoint.Scheme == "https" || isLoopback(endpoint.Hostname()):
		return nil
	case o.Key != "":
		return fmt.Errorf("%w: a room key is sent over https:// only", ErrUnsafe)
	case !o.Insecure:
		return fmt.Errorf("%w: not an https:// URL", ErrUnsafe)
	}
	return nil
}

// checkListen refuses to accept connections from everybody, unless Insecure is set.
func (o *Options) checkListen(host string) error {
	if isLoopback(host) {
		return nil
	}
	switch {
	case o.Key != "" && len(o.Key) < shortestKey:
		return fmt.Errorf("%w: a room key has %d characters or more", ErrUnsafe, shortestKey)
	case o.Insecure:
		return nil
	case o.Key == "":
		return fmt.Errorf("%w: %s needs a room key", ErrUnsafe, describeHost(host))
	case !o.hasCertificate():
		return fmt.Errorf("%w: %s needs TLS, with a certificate", ErrUnsafe, describeHost(host))
	}
	return nil
}

func describeHost(host string) string {
	if address := net.ParseIP(host); host == "" || address != nil && address.IsUnspecified() {
		return "listening on all interfaces"
	}
	return "listening on " + host
}

func (o *Options) hasCertificate() bool {
	return o.TLS != nil && (len(o.TLS.Certificates) > 0 || o.TLS.GetCertificate != nil)
}

// tlsConfig returns a copy of the caller's TLS configuration.
func (o *Options) tlsConfig() *tls.Config { return o.TLS.Clone() } // nil stays nil

const bearer = "Bearer "

// authorize adds the key to a request.
func (o *Options) authorize(header http.Header) {
	if o.Key != "" {
		header.Set("Authorization", bearer+o.Key)
	}
}

// knownSecrets returns the secrets that a server may repeat in its answers.
func (o *Options) knownSecrets() []string {
	secrets := []string{o.Key}
	for _, server := range o.ICEServers {
		secrets = append(secrets, server.Credential)
	}
	return secrets
}
