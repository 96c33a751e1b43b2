package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// hopHeader marks a request that another node has forwarded. It is not forwarded again.
const hopHeader = "Echocast-Hop"

// movedHeader marks the answer of a node that has just released the conversation and has done
// nothing. The request is forwarded again.
const movedHeader = "Echocast-Moved"

// maxRepeated is the longest body in bytes that can be forwarded again.
const maxRepeated = 256 << 10

// How long a request waits for a node that holds its conversation, and how often it checks.
const (
	ownerTimeout  = 8 * time.Second
	ownerInterval = 50 * time.Millisecond
)

// lastAnswer is how long a node that has lost a conversation may take to answer a request for it.
const lastAnswer = time.Second

var errNoOwner = errors.New("no node holds the conversation at the moment: repeat the request")

// forward forwards a request to the node that holds its conversation, and reports whether it
// did. If that node was lost, it waits for the next one.
func (a *api) forward(w http.ResponseWriter, r *http.Request, id string) (isDone bool, err error) {
	g := a.gateway
	if g.options.Cluster == nil || id == "" || g.holds(id) { // then it keeps nothing of the body
		return false, nil
	}
	isPassedOn := r.Header.Get(hopHeader) != ""
	ctx, cancel := context.WithTimeout(r.Context(), ownerTimeout)
	defer cancel()
	body := &repeatable{from: r.Body}
	r.Body = body.reader() // this node may be the next one
	for {
		address, isHere, isKnown := g.options.Cluster.Owner(id)
		if g.holds(id) || !isKnown || isPassedOn && !isHere {
			return false, nil
		}
		if !isHere && address != "" && a.pass(w, r, body, address, id) {
			return true, nil
		}
		select {
		case <-time.After(ownerInterval):
		case <-ctx.Done():
			return false, because(errNoOwner, g.storeFailure())
		}
	}
}

// holds reports whether this node has a conversation, also one that has ended, and not only
// tries to acquire it.
func (g *Gateway) holds(id string) bool {
	c, err := g.Get(id)
	return err == nil && c.isAcquired()
}

// forwardCreation forwards the request for a new conversation to the node that should take it,
// and reports whether it did.
func (a *api) forwardCreation(w http.ResponseWriter, r *http.Request) bool {
	c := a.gateway.options.Cluster
	if c == nil || r.Header.Get(hopHeader) != "" {
		return false
	}
	body := &repeatable{from: r.Body}
	r.Body = body.reader() // this node takes it if the other does not
	if key, err := idempotencyKey(r); err == nil && key != "" {
		address, isHere, isKnown := c.Owner(idOf(Creator{callerOf(r).name, key}))
		if isKnown {
			return !isHere && address != "" && a.pass(w, r, body, address, "")
		}
	}
	address, isHere := c.Place(r.Context())
	return !isHere && a.pass(w, r, body, address, "")
}

// repeatable is the body of a request whose beginning can be read again by a second reader.
// Each attempt gets its own reader, because an HTTP client may still read after it has failed.
type repeatable struct {
	from io.Reader

	reading sync.Mutex // held by the reader that waits for the client

	mu    sync.Mutex
	begun []byte // the bytes read so far, up to maxRepeated
	read  int    // bytes read in all
}

// canRepeat reports whether all that was read is still in memory.
func (b *repeatable) canRepeat() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read == len(b.begun)
}

// isUnread reports whether nobody has asked for the body.
func (b *repeatable) isUnread() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read == 0
}

// reader returns a reader of the whole body. Only one may be in use at a time.
func (b *repeatable) reader() *bodyReader { return &bodyReader{body: b} }

// bodyReader reads a repeatable from its beginning until it is abandoned.
type bodyReader struct {
	body        *repeatable
	at          int // bytes read
	isAbandoned atomic.Bool
}

func (r *bodyReader) Read(p []byte) (n int, err error) {
	b := r.body
	b.reading.Lock()
	defer b.reading.Unlock()
	switch n, isLost := b.again(p, r.at); {
	case r.isAbandoned.Load():
		return 0, errMoved
	case isLost:
		return 0, io.ErrUnexpectedEOF
	case n > 0:
		r.at += n
		return n, nil
	}
	n, err = b.from.Read(p)
	r.at += n
	b.add(p[:n])
	return n, err
}

// Close does nothing: the server closes the body.
func (r *bodyReader) Close() error { return nil }

// again copies bytes that were read already. isLost says that they are not in memory any more.
func (b *repeatable) again(p []byte, at int) (n int, isLost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at < b.read && b.read > len(b.begun) {
		return 0, true
	}
	return copy(p, b.begun[min(at, len(b.begun)):]), false
}

// add keeps bytes that were read, if they are not too many.
func (b *repeatable) add(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.read += len(p); b.read <= maxRepeated {
		b.begun = append(b.begun, p...)
	}
}

// pass forwards a request to a node. It reports false if that node did not take it and another
// may. A request for a conversation ends when another node takes that over.
func (a *api) pass(w http.ResponseWriter, r *http.Request, body *repeatable, address, id string) (isDone bool) {
	to, err := url.Parse(address)
	if err != nil {
		return false
	}
	var following sync.WaitGroup
	defer following.Wait()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if id != "" {
		following.Go(func() { a.followOwner(ctx, cancel, address, id) })
	}
	isDone = true
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Transport:     a.transport,
		ErrorLog:      slog.NewLogLogger(a.gateway.log.Handler(), slog.LevelWarn),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Header.Set(hopHeader, "1")
			for _, checked := range []string{"Origin", "Sec-Fetch-Site"} {
				p.Out.Header.Del(checked)
			}
			if p.Out.Body != nil {
				p.Out.Header.Set("Expect", "100-continue") // a node that has just ended reads nothing
			}
		},
		ModifyResponse: func(answer *http.Response) error {
			if answer.Header.Get(movedHeader) != "" {
				return errMoved
			}
			for name := range answer.Header {
				w.Header().Del(name) // that node sets it
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			dial, ok := errors.AsType[*net.OpError](err)
			isUntouched := ok && dial.Op == "dial" || errors.Is(err, errMoved) || r.Method == http.MethodGet ||
				r.ContentLength != 0 && body.isUnread()
			if isUntouched && r.Context().Err() == nil && body.canRepeat() {
				isDone = false
				return
			}
			a.fail(w, errNoOwner)
		},
	}
	out, reader := r.WithContext(ctx), body.reader()
	out.Body = reader
	defer reader.isAbandoned.Store(true)
	proxy.ServeHTTP(answerWriter{w}, out)
	return isDone
}

// answerWriter does not tell the client that the other node wants the body.
type answerWriter struct{ http.ResponseWriter }

func (w answerWriter) WriteHeader(code int) {
	if code != http.StatusContinue {
		w.ResponseWriter.WriteHeader(code)
	}
}

// Unwrap is for http.ResponseController.
func (w answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// followOwner ends a forwarded request when another node takes over its conversation: the old
// owner may be paused and never answer.
func (a *api) followOwner(ctx context.Context, cancel context.CancelFunc, address, id string) {
	ticker := time.NewTicker(4 * ownerInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now, _, isKnown := a.gateway.options.Cluster.Owner(id)
		if isKnown && now != address {
			break
		}
	}
	select { // it may have accepted the request just before
	case <-time.After(lastAnswer):
		cancel()
	case <-ctx.Done():
	}
}
