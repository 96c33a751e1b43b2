package rtc

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Timeouts for clients of the HTTP server.
const (
	headerTimeout   = 5 * time.Second
	requestTimeout  = 10 * time.Second
	responseTimeout = 15 * time.Second // includes the time to make an answer
	idleTimeout     = 30 * time.Second
)

// errTooMany refuses an offer while the backlog is full.
var errTooMany = errors.New("too many sessions are waiting")

// Listener accepts offers over HTTP. Accept returns the connections.
type Listener struct {
	options  *Options
	handler  http.Handler
	server   http.Server // nil without an address
	url      string
	accepted chan *Conn
	slots    chan struct{} // one for each session not yet accepted
	shares   addressSlots  // of the slots, by address
	wrong    wrongKeys
	closing  chan struct{} // closed by Close
	tasks    sync.WaitGroup
	once     sync.Once

	mu       sync.Mutex
	isClosed bool
	sessions map[string]*session // by the path of their HTTP resource
}

// session is the connection for one offer.
type session struct {
	cancel context.CancelFunc // stops connecting
	conn   *Conn              // nil until connected
}

// Listen accepts offers at a TCP address such as "127.0.0.1:0". On the loopback interface,
// the Host and Origin of every request must be loopback names too, so no other machine can
// connect and no web page of another site. On other interfaces it needs Options.Key and a
// certificate in Options.TLS. Without them it fails with ErrUnsafe, unless Options.Insecure
// is set.
func Listen(address string, opts *Options) (*Listener, error) {
	l, err := NewListener(opts)
	if err != nil {
		return nil, fmt.Errorf("rtc: listen: %w", err)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("rtc: listen %q: not an address such as 127.0.0.1:0", address)
	}
	if err := l.options.checkListen(host); err != nil {
		return nil, fmt.Errorf("rtc: listen %q: %w", address, err)
	}
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("rtc: %w", err)
	}
	l.open(socket, !isLoopback(host))
	return l, nil
}

// open serves offers on a socket. If public is true, other machines may connect.
func (l *Listener) open(socket net.Listener, public bool) {
	l.options = l.options.forPeer(public)
	l.handler = l.guard(public)
	scheme := "http"
	if l.options.hasCertificate() {
		scheme = "https"
	}
	l.url = scheme + "://" + socket.Addr().String() + "/"
	l.serve(socket)
}

// NewListener returns a Listener without an address. Another HTTP server uses it as an
// http.Handler: it passes on the requests of one folder, with the folder's path removed
// ([http.StripPrefix]). Requests from other machines are refused, whatever the options.
func NewListener(opts *Options) (*Listener, error) {
	options, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Listener{
		options:  options.forPeer(false),
		accepted: make(chan *Conn),
		slots:    make(chan struct{}, options.Backlog),
		closing:  make(chan struct{}),
		sessions: make(map[string]*session),
	}
	l.handler = l.guard(false)
	return l, nil
}

// ServeHTTP serves one request.
func (l *Listener) ServeHTTP(w http.ResponseWriter, r *http.Request) { l.handler.ServeHTTP(w, r) }

// serve starts the HTTP server.
func (l *Listener) serve(socket net.Listener) {
	l.server = http.Server{
		Handler:           l,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      responseTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnState:         l.count,
		TLSConfig:         l.options.tlsConfig(),
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // no HTTP/2
	}
	if l.options.hasCertificate() {
		l.tasks.Go(func() { _ = l.server.ServeTLS(socket, "", "") })
		return
	}
	l.tasks.Go(func() { _ = l.server.Serve(socket) })
}

// count lets Close wait for net/http's goroutines.
func (l *Listener) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		l.tasks.Add(1)
	case http.StateClosed:
		l.tasks.Done()
	}
}

// URL returns the address for Dial. It is empty if the Listener was made by NewListener.
func (l *Listener) URL() string { return l.url }

// Accept returns the next connection, whose message channel is open. The error is the cause
// of ctx, or net.ErrClosed after Close.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	select {
	case conn := <-l.accepted:
		return conn, nil
	case <-l.closing:
		return nil, fmt.Errorf("rtc: accept: %w", net.ErrClosed)
	case <-ctx.Done():
		return nil, fmt.Errorf("rtc: accept: %w", context.Cause(ctx))
	}
}

// Close stops listening and drops the sessions that were not accepted. It returns when
// every goroutine of the Listener has ended; accepted connections stay open. Further
// calls do nothing.
func (l *Listener) Close() error {
	l.once.Do(func() {
		l.mu.Lock()
		l.isClosed = true
		for _, s := range l.sessions {
			s.cancel()
		}
		l.mu.Unlock()
		close(l.closing)
		_ = l.server.Close()
	})
	l.tasks.Wait()
	return nil
}

// maxFinish is how long the sender of an offer may take to connect after the answer. A slow
// sender keeps others out.
const maxFinish = 5 * time.Second

func (o *Options) finishTimeout() time.Duration {
	return min(o.ConnectTimeout, cmp.Or(o.finish, maxFinish))
}

// handleOffer answers an offer and starts to connect.
func (l *Listener) handleOffer(w http.ResponseWriter, r *http.Request) {
	if !isDescription(r.Header) {
		http.Error(w, "an offer has the content type "+sdpType, http.StatusUnsupportedMediaType)
		return
	}
	offer, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDescription))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		http.Error(w, fmt.Sprintf("the offer is longer than %d bytes", maxDescription), http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "the offer did not arrive", http.StatusBadRequest)
		return
	}
	answer, path, err := l.begin(r.Context(), string(offer), addressOf(r))
	l.options.Log.Info("offer", "from", r.RemoteAddr, "bytes", len(offer), "answered", err == nil)
	if err != nil {
		l.options.Log.Info("offer refused", "error", err)
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", sdpType)
	w.Header().Set("Location", strings.TrimPrefix(path, "/")) // relative: it may be mounted in a folder
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer)
}

// refuse refuses an offer, with the reason.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if errors.Is(err, errTooMany) || errors.Is(err, net.ErrClosed) {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, oneLine(err.Error()), status)
}

// begin creates a session for an offer from an address. The session holds a slot of the
// backlog until the connection is accepted or has failed.
func (l *Listener) begin(ctx context.Context, offer string, from netip.Addr) (answer, path string, err error) {
	if !l.takeSlot(from) {
		return "", "", errTooMany
	}
	p, answer, err := l.answer(ctx, offer)
	if err != nil {
		l.freeSlot(from)
		return "", "", err
	}
	path = "/" + rand.Text()
	if err := l.start(path, p, from); err != nil {
		p.close()
		l.freeSlot(from)
		return "", "", err
	}
	return answer, path, nil
}

// takeSlot takes a slot of the backlog for an address, unless that address has used up its
// share.
func (l *Listener) takeSlot(from netip.Addr) bool {
	if !l.shares.take(from, (l.options.Backlog+1)/2) {
		return false
	}
	select {
	case l.slots <- struct{}{}:
		return true
	default:
		l.shares.release(from)
		return false
	}
}

func (l *Listener) freeSlot(from netip.Addr) {
	<-l.slots
	l.shares.release(from)
}

// answer makes the peer connection for an offer.
func (l *Listener) answer(ctx context.Context, offer string) (*peer, string, error) {
	p, err := newPeer(l.options, offersMedia(offer))
	if err != nil {
		return nil, "", err
	}
	answer, err := p.answer(ctx, offer)
	if err != nil {
		p.close()
		return nil, "", err
	}
	return p, answer, nil
}

// start registers a session and starts to connect, unless the listener is closed.
func (l *Listener) start(path string, p *peer, from netip.Addr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isClosed {
		return net.ErrClosed
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.options.finishTimeout())
	s := &session{cancel: cancel}
	l.sessions[path] = s
	l.tasks.Go(func() {
		defer l.freeSlot(from)
		defer cancel()
		l.connect(ctx, path, s, p)
	})
	return nil
}

// connect waits for the message channel, and then for Accept.
func (l *Listener) connect(ctx context.Context, path string, s *session, p *peer) {
	messages, err := p.connected(ctx)
	if err != nil {
		l.options.Log.Info("no connection after an answer", "error", err)
		l.forget(path)
		p.close()
		return
	}
	conn := newConn(p, messages, l.options, func(bool) { l.forget(path) })
	l.mu.Lock()
	s.conn = conn
	l.mu.Unlock()
	select {
	case l.accepted <- conn:
	case <-l.closing:
		_ = conn.Close()
	}
}

// forget removes a session and returns it.
func (l *Listener) forget(path string) (was session, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, found := l.sessions[path]
	if !found {
		return session{}, false
	}
	delete(l.sessions, path)
	return *s, true
}

// handleDelete ends a session. Messages that have arrived can still be received.
func (l *Listener) handleDelete(w http.ResponseWriter, r *http.Request) {
	s, found := l.forget(r.URL.Path)
	if !found {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	s.cancel()
	if s.conn != nil {
		s.conn.end(ErrPeerGone)
	}
}
