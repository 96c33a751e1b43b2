// Package webhook receives the callbacks about conversations that a service posts over HTTP
// (callback_url).
//
// Callbacks are not signed, so anyone who knows the address can forge events. Therefore the
// address has a secret path. The receiver refuses web pages and, on a loopback address,
// host names other than this machine's.
package webhook

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"echocast/echo"
)

const (
	// maxBody is the maximum size of a callback in bytes. The transcript of an hour has
	// about a hundred thousand bytes.
	maxBody = 8 << 20
	// maxBodies is how many callbacks are in memory at the same time. Others wait unread.
	maxBodies = 4
	// waitForRoom bounds how long a callback waits unread.
	waitForRoom = 10 * time.Second
	// maxKnown is how many callbacks are remembered to detect repeated deliveries.
	maxKnown = 1024
)

// Options configure a Receiver. The zero value is valid.
type Options struct {
	// PublicURL is the address at which the service reaches the receiver, through a tunnel
	// or a proxy that keeps the host name. "" means none.
	PublicURL string
	// Linger is how long Close waits for callbacks that are still being answered.
	Linger time.Duration
}

// Receiver receives callbacks.
type Receiver struct {
	options Options
	path    string
	hosts   []string // host names that requests may use; nil: any
	events  chan echo.Event
	bodies  chan struct{} // one slot for each callback in memory
	over    chan struct{} // closed by Close
	closing sync.Once
	socket  net.Listener
	server  http.Server
	ended   chan struct{} // closed when the server has ended
	failed  error         // why; read it after ended is closed

	seed    maphash.Seed
	handing chan struct{} // one slot, held while an event is passed on
	known   []uint64      // hashes of the latest bodies, a ring
	oldest  int
}

// Listen receives callbacks at an address [HOST]:PORT[/PATH]. Without a host it listens
// only on this machine. Without a path it chooses a random one.
func Listen(address string, o *Options) (*Receiver, error) {
	host, path, _ := strings.Cut(address, "/")
	if strings.HasPrefix(host, ":") {
		host = "127.0.0.1" + host
	}
	socket, err := net.Listen("tcp", host)
	if err != nil {
		return nil, err
	}
	r := &Receiver{
		path: "/" + cmp.Or(path, strings.ToLower(rand.Text())), socket: socket, events: make(chan echo.Event),
		bodies: make(chan struct{}, maxBodies), over: make(chan struct{}), ended: make(chan struct{}),
		seed: maphash.MakeSeed(), handing: make(chan struct{}, 1),
	}
	if o != nil {
		r.options = *o
	}
	if at := socket.Addr().(*net.TCPAddr); at.IP.IsLoopback() {
		r.hosts = []string{"localhost", at.IP.String()}
		if public, err := url.Parse(r.options.PublicURL); err == nil && public.Hostname() != "" {
			r.hosts = append(r.hosts, strings.ToLower(public.Hostname()))
		}
	}
	r.server = http.Server{
		Handler:           r,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	go func() {
		defer close(r.ended)
		r.failed = r.server.Serve(socket)
	}()
	return r, nil
}

// URL returns the address of the receiver on this machine.
func (r *Receiver) URL() string { return "http://" + r.socket.Addr().String() + r.path }

// ServeHTTP receives one callback. It answers once Next has returned the callback.
func (r *Receiver) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	if status, why := r.refuse(request); status != 0 {
		answer.Header().Set("Allow", http.MethodPost)
		http.Error(answer, why, status)
		return
	}
	ctx, cancel := context.WithTimeout(request.Context(), waitForRoom)
	defer cancel()
	select {
	case r.bodies <- struct{}{}:
		defer func() { <-r.bodies }()
	case <-ctx.Done():
		answer.Header().Set("Retry-After", "5")
		http.Error(answer, "too many callbacks at once", http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(answer, request.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		http.Error(answer, fmt.Sprintf("more than %d bytes", maxBody), http.StatusRequestEntityTooLarge)
		return
	}
	event, parsed := echo.ParseEvent(body)
	if err := cmp.Or(err, parsed); err != nil {
		http.Error(answer, "not an event", http.StatusBadRequest)
		return
	}
	r.hand(answer, request, event, maphash.Bytes(r.seed, body))
}

// refuse returns the status and the reason to refuse a request, or 0 if the request is a
// callback.
func (r *Receiver) refuse(request *http.Request) (status int, why string) {
	host, _, err := net.SplitHostPort(request.Host)
	if err != nil {
		host = strings.Trim(request.Host, "[]")
	}
	switch {
	case request.Header.Get("Origin") != "":
		return http.StatusForbidden, "web pages send no callbacks"
	case r.hosts != nil && !slices.Contains(r.hosts, strings.ToLower(host)):
		return http.StatusForbidden, "this host name is not the receiver's"
	case request.URL.Path != r.path:
		return http.StatusNotFound, "not found"
	case request.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, "send callbacks by POST"
	}
	return 0, ""
}

// hand passes an event on, unless it was passed on before. The service repeats deliveries
// that it considers lost.
func (r *Receiver) hand(answer http.ResponseWriter, request *http.Request, event echo.Event, hash uint64) {
	handing, events := r.handing, chan<- echo.Event(nil)
	for {
		select {
		case handing <- struct{}{}:
			defer func() { <-r.handing }()
			if handing, events = nil, r.events; slices.Contains(r.known, hash) {
				answer.WriteHeader(http.StatusNoContent)
				return
			}
		case events <- event:
			r.remember(hash)
			answer.WriteHeader(http.StatusNoContent)
			return
		case <-r.over:
			http.Error(answer, "closing", http.StatusServiceUnavailable)
			return
		case <-request.Context().Done():
			return
		}
	}
}

func (r *Receiver) remember(hash uint64) {
	if len(r.known) < maxKnown {
		r.known = append(r.known, hash)
		return
	}
	r.known[r.oldest] = hash
	r.oldest = (r.oldest + 1) % maxKnown
}

// Next returns the next callback as an event, the cause of ctx, or why the server has ended.
func (r *Receiver) Next(ctx context.Context) (echo.Event, error) {
	select {
	case event := <-r.events:
		return event, nil
	case <-r.ended:
		return echo.Event{}, fmt.Errorf("webhook: %w", r.failed)
	case <-ctx.Done():
		return echo.Event{}, context.Cause(ctx)
	}
}

// ReceiveEvent returns the next callback about one conversation, unchanged. It drops
// callbacks about other conversations.
func (r *Receiver) ReceiveEvent(ctx context.Context, conversation string) ([]byte, error) {
	for {
		event, err := r.Next(ctx)
		if err != nil {
			return nil, err
		}
		if event.ConversationID == conversation {
			return event.Raw, nil
		}
	}
}

// Close ends the server. It waits for the callbacks that are being answered. It may be called
// twice.
func (r *Receiver) Close() error {
	r.closing.Do(func() { close(r.over) })
	ctx, cancel := context.WithTimeout(context.Background(), r.options.Linger)
	defer cancel()
	if r.server.Shutdown(ctx) != nil {
		_ = r.server.Close() // closes the connections of slow clients
	}
	<-r.ended
	return nil
}
