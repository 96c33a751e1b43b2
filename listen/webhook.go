package listen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"echocast/echo"
)

// maxCallback is how many bytes a callback may have. A transcript of an hour has
// about a hundred thousand.
const maxCallback = 8 << 20

// Webhook receives the callbacks of conversations by HTTP.
type Webhook struct {
	// Linger is how long Close waits for callbacks that are being answered.
	Linger time.Duration

	path   string
	events chan echo.Event
	over   chan struct{} // closed by close
	socket net.Listener
	server http.Server
	ended  sync.WaitGroup
	failed chan error
}

// NewWebhook listens on address, which may have a path behind it: then nothing
// else is taken. Without a host it is this machine only.
func NewWebhook(address string, say, warn Report) (*Webhook, error) {
	host, path, _ := strings.Cut(address, "/")
	if strings.HasPrefix(host, ":") {
		host = "127.0.0.1" + host
	}
	socket, err := net.Listen("tcp", host)
	if err != nil {
		return nil, err
	}
	w := &Webhook{path: "/" + path, socket: socket, events: make(chan echo.Event), over: make(chan struct{}), failed: make(chan error, 1)}
	w.server = http.Server{
		Handler:           w,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	w.ended.Go(func() { w.failed <- w.server.Serve(socket) })
	at := socket.Addr().(*net.TCPAddr)
	if path == "" && !at.IP.IsLoopback() {
		warn("--webhook %s: everybody who reaches this address can make events up; give it a path that nobody guesses", address)
	}
	say("receiving callbacks on http://%s%s", at, w.path)
	return w, nil
}

// ServeHTTP takes one callback. It is answered once it is handed over.
func (w *Webhook) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	switch {
	case w.path != "/" && request.URL.Path != w.path:
		http.NotFound(answer, request)
		return
	case request.Method != http.MethodPost:
		answer.Header().Set("Allow", http.MethodPost)
		http.Error(answer, "callbacks are posted", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(answer, request.Body, maxCallback))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		http.Error(answer, fmt.Sprintf("more than %d bytes", maxCallback), http.StatusRequestEntityTooLarge)
		return
	}
	event, parsed := echo.ParseEvent(body)
	if err := cmp.Or(err, parsed); err != nil {
		http.Error(answer, "not an event", http.StatusBadRequest)
		return
	}
	select {
	case w.events <- event:
		answer.WriteHeader(http.StatusNoContent)
	case <-w.over:
		http.Error(answer, "closing", http.StatusServiceUnavailable)
	case <-request.Context().Done():
	}
}

// Next returns the next callback as an event.
func (w *Webhook) Next(ctx context.Context) (echo.Event, error) {
	select {
	case event := <-w.events:
		return event, nil
	case err := <-w.failed:
		return echo.Event{}, fmt.Errorf("--webhook: %w", err)
	case <-ctx.Done():
		return echo.Event{}, context.Cause(ctx)
	}
}

// Send fails: a callback is no way back.
func (w *Webhook) Send(context.Context, echo.Message) error {
	return errors.New("a callback cannot be answered with a message; join the room with --to for that")
}

// Close ends the server, and waits for the callbacks that are being answered.
func (w *Webhook) Close() error {
	close(w.over)
	ctx, cancel := context.WithTimeout(context.Background(), w.Linger)
	defer cancel()
	if w.server.Shutdown(ctx) != nil {
		_ = w.server.Close() // of those that take their time
	}
	w.ended.Wait()
	return nil
}
