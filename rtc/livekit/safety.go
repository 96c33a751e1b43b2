package livekit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
)

// checkSafe refuses a server on another machine that is reached without TLS, because
// anybody on the path could read the token.
func (a Address) checkSafe(insecure bool) error {
	server, err := url.Parse(a.URL)
	if err != nil || insecure || server.Scheme == "wss" || isLoopback(server.Hostname()) {
		return err
	}
	return fmt.Errorf("%w: livekit+ws:// shows the token to the network; use livekit+wss://, or --insecure "+
		"where nobody else can listen in", ErrUnsafe)
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// errRedirected reports that the server redirects to another address.
var errRedirected = errors.New("the server redirects to another address, which would get the token")

// keepToServer returns a ctx that ends with errRedirected before a connection to another
// port of the server's host is used. The SDK uses net/http, which would follow such a
// redirect with the token. net/http removes the token only for other hosts.
func keepToServer(ctx context.Context, to Address) (guarded context.Context, stop func()) {
	server, err := url.Parse(to.URL)
	if err != nil {
		return ctx, func() {}
	}
	port := server.Port()
	if port == "" {
		port = map[string]string{"ws": "80", "wss": "443"}[server.Scheme]
	}
	guarded, cancel := context.WithCancelCause(ctx)
	trace := &httptrace.ClientTrace{GetConn: func(address string) {
		host, other, err := net.SplitHostPort(address)
		if err == nil && (host == server.Hostname() || strings.HasSuffix(host, "."+server.Hostname())) && other != port {
			cancel(errRedirected)
		}
	}}
	return httptrace.WithClientTrace(guarded, trace), func() { cancel(nil) }
}

// redirected returns errRedirected if that is why a ctx from keepToServer ended.
func redirected(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errRedirected) {
		return errRedirected
	}
	return nil
}
