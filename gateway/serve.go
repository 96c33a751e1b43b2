package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// How long a request may take to say what it wants, and a connection to be idle.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10
	closeTimeout  = 5 * time.Second // for the last answers
)

// Serve serves a gateway on a listener until ctx ends, then ends the gateway as
// Close does, and returns the cause of ctx. The error may also be that of the
// listener.
func Serve(ctx context.Context, listener net.Listener, options *Options) error {
	g := New(options)
	server := &http.Server{
		Handler: g.Handler(), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	var err error
	select {
	case err = <-failed:
		g.Close(ctx)
		return err
	case <-ctx.Done():
	}
	ended := context.WithoutCancel(ctx)
	g.Close(ended)
	last, cancel := context.WithTimeout(ended, closeTimeout)
	defer cancel()
	if server.Shutdown(last) != nil {
		_ = server.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return context.Cause(ctx)
}
