package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"echocast/tavus"
)

// Timeouts of a request's headers, of idle connections, and of the shutdown.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10
	closeTimeout  = 5 * time.Second  // for the last answers
	endTimeout    = 20 * time.Second // to end what an earlier run left open
)

// Serve serves a gateway on a listener until ctx ends. Then it ends the gateway as Close does,
// and returns the cause of ctx. The error may also come from the listener.
func Serve(ctx context.Context, listener net.Listener, options *Options) error {
	g := New(options)
	if g.options.Cluster != nil {
		if err := g.options.Cluster.Serve(g); err != nil {
			return err
		}
	}
	g.endLeft(ctx)
	server := &http.Server{
		Handler: g.Handler(), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if err := g.wait(ctx, failed); err != nil {
		g.Close(ctx)
		return err
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

// wait waits until ctx ends or the server fails. It reads the tokens and the certificate again
// at each signal of Options.Reload.
func (g *Gateway) wait(ctx context.Context, failed <-chan error) error {
	for {
		select {
		case err := <-failed:
			return err
		case <-g.options.Reload:
			g.reload()
		case <-ctx.Done():
			return nil
		}
	}
}

// reload reads the tokens and the certificate again.
func (g *Gateway) reload() {
	if tokens := g.options.Tokens; tokens != nil {
		if err := tokens.Reload(); err != nil {
			g.log.Error("the file of tokens could not be read; the earlier tokens stay in force", "error", err)
		} else {
			g.log.Info("the file of tokens was read again")
		}
	}
	if certificate := g.options.Certificate; certificate != nil {
		if err := certificate.Reload(); err != nil {
			g.log.Error("the certificate could not be read; the earlier one stays in force", "error", err)
		} else {
			g.log.Info("the certificate was read again")
		}
	}
}

// endLeft ends the paid conversations that an earlier gateway or command has left open, for
// example because it was killed.
func (g *Gateway) endLeft(ctx context.Context) {
	if g.options.Client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	results, err := tavus.EndMine(ctx, g.options.Client, tavus.EndOptions{Keep: g.isShared})
	for _, r := range results {
		if r.Outcome == tavus.OutcomeEnded {
			g.log.Info("ended a conversation that was left open", "conversation", r.ID)
		}
	}
	if err != nil {
		g.log.Error("conversations may be left open: end them with: echocast conversation end-mine", "error", err)
	}
}
