package rtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"

	"echocast/internal/redact"
	"echocast/logs"
)

// Limits of the HTTP exchange. A description with one data channel has about 600 bytes.
const (
	maxDescription = 64 << 10        // bytes of an offer or an answer
	maxHeader      = 16 << 10        // bytes of an HTTP header
	maxComplaint   = 120             // bytes of a server's words in an error
	deleteTimeout  = 1 * time.Second // the DELETE that ends a session; CloseTimeout can make it longer
)

const sdpType = "application/sdp"

// Dial connects to a Listener, or to a server with the same protocol, and returns when the
// message channel is open. The address is the Listener's URL: http on this machine,
// otherwise https.
//
// ctx and Options.ConnectTimeout bound Dial, not the Conn. The error says in
// one line what was wrong with the address, the server or its answer; it wraps
// the cause of ctx, context.DeadlineExceeded, ErrUnsafe, ErrKey, or the error of
// the network or of TLS.
func Dial(ctx context.Context, address string, opts *Options) (*Conn, error) {
	options, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("rtc: dial: %w", err)
	}
	endpoint, err := parseEndpoint(address)
	if err != nil {
		return nil, fmt.Errorf("rtc: dial %w", err)
	}
	if err := options.checkDial(endpoint); err != nil {
		return nil, fmt.Errorf("rtc: dial %s: %w", endpoint, err)
	}
	if opts == nil || opts.Log == nil {
		options.Log = logs.From(ctx)
	}
	options.Log = options.Log.With("room", endpoint.Host)
	conn, err := dialUntilFree(ctx, endpoint, options.forPeer(!isLoopback(endpoint.Hostname())))
	if err != nil {
		options.Log.Info("no connection", "error", options.secrets.Error(err))
		return nil, options.secrets.Error(fmt.Errorf("rtc: dial %s: %w", endpoint, err))
	}
	return conn, nil
}

// How long Dial waits before it tries again: the first wait, and the longest.
const (
	firstBusyWait = 50 * time.Millisecond
	maxBusyWait   = time.Second
)

// dialUntilFree dials again while the listener is busy, for at most Options.BusyTimeout.
// The waits are random, so that programs that dialled at the same moment try again at
// different times.
func dialUntilFree(ctx context.Context, endpoint *url.URL, o *Options) (*Conn, error) {
	enough := time.NewTimer(o.BusyTimeout)
	defer enough.Stop()
	for wait := firstBusyWait; ; wait = min(2*wait, maxBusyWait) {
		conn, err := dial(ctx, endpoint, o)
		if !errors.Is(err, ErrBusy) {
			return conn, err
		}
		o.Log.Info("the listener is busy; dialing again", "after", wait)
		again := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-again.C:
		case <-enough.C:
			return nil, err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// parseEndpoint parses an http or https address, and refuses one with a secret in it.
// Its errors show no secret.
func parseEndpoint(address string) (*url.URL, error) {
	endpoint, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q: not a URL", withoutPassword(address))
	case endpoint.User != nil:
		return nil, fmt.Errorf("%q: a user name or password in the URL is not used", endpoint.Redacted())
	case endpoint.Scheme != "http" && endpoint.Scheme != "https", endpoint.Hostname() == "":
		return nil, fmt.Errorf("%q: not an http:// or https:// URL", address)
	}
	return endpoint, nil
}

func dial(ctx context.Context, endpoint *url.URL, o *Options) (*Conn, error) {
	ctx, cancel := withConnectTimeout(ctx, o)
	defer cancel()
	p, err := newPeer(o, o.Sound)
	if err != nil {
		return nil, err
	}
	signaling := newSignalingClient(endpoint, o)
	messages, err := signaling.connect(ctx, p)
	if err != nil {
		signaling.delete()
		p.close()
		return nil, err
	}
	release := func(orderly bool) {
		if orderly { // a DELETE tells the server that everything was received
			signaling.delete()
		}
	}
	return newConn(p, messages, o, release), nil
}

// withConnectTimeout limits the time to connect.
func withConnectTimeout(ctx context.Context, o *Options) (context.Context, context.CancelFunc) {
	cause := fmt.Errorf("no connection within %v: %w", o.ConnectTimeout, context.DeadlineExceeded)
	return context.WithTimeoutCause(ctx, o.ConnectTimeout, cause)
}

// signalingClient performs the dialer's side of the HTTP exchange.
type signalingClient struct {
	client   http.Client
	endpoint *url.URL
	options  *Options
	session  *url.URL // to be deleted in the end, or nil
}

// newSignalingClient returns a client for one server. It uses no proxy, lets net/http follow no
// redirect, and leaves no connection open.
func newSignalingClient(endpoint *url.URL, o *Options) *signalingClient {
	return &signalingClient{
		endpoint: endpoint,
		options:  o,
		client: http.Client{
			Transport: &http.Transport{
				DialContext:            o.network,
				TLSClientConfig:        o.tlsConfig(),
				DisableKeepAlives:      true,
				MaxResponseHeaderBytes: maxHeader,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// connect offers the two channels and waits for the message channel to open.
func (s *signalingClient) connect(ctx context.Context, p *peer) (channel, error) {
	if err := p.open(messageLabel, p.messages); err != nil {
		return nil, err
	}
	if err := p.open(pingLabel, p.pings); err != nil {
		return nil, err
	}
	offer, err := p.offer(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := s.exchange(ctx, offer)
	if err != nil {
		return nil, err
	}
	if err := p.take(webrtc.SDPTypeAnswer, answer); err != nil {
		return nil, fmt.Errorf("the server's answer: %s", s.words(err.Error()))
	}
	messages, err := p.connected(ctx)
	if err != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrLost)) && !p.hasPath() {
		err = fmt.Errorf("%w: %w", ErrNoPath, err)
	}
	return messages, err
}

// maxRedirects is how many redirects are followed. WHIP permits servers to redirect.
const maxRedirects = 3

// exchange posts the offer and returns the answer.
func (s *signalingClient) exchange(ctx context.Context, offer string) (string, error) {
	for range maxRedirects + 1 {
		response, body, err := s.post(ctx, offer)
		if err != nil {
			return "", transportError(ctx, err)
		}
		switch response.StatusCode {
		case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			if err := s.redirect(response.Header.Get("Location")); err != nil {
				return "", err
			}
		default:
			return s.accept(response, body)
		}
	}
	return "", fmt.Errorf("the server redirects more than %d times", maxRedirects)
}

// post sends the offer once.
func (s *signalingClient) post(ctx context.Context, offer string) (*http.Response, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint.String(), strings.NewReader(offer))
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Content-Type", sdpType)
	request.Header.Set("Accept", sdpType)
	s.options.authorize(request.Header)
	s.options.Log.Info("sending an offer", "to", s.endpoint.Host, "bytes", len(offer))
	response, err := s.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	s.options.Log.Info("offer answered", "status", response.StatusCode)
	body, err := io.ReadAll(io.LimitReader(response.Body, maxDescription+1))
	return response, body, err
}

// redirect follows a redirect. It sends the room key to no other server. It does not follow
// a redirect from this machine to another, or from another to this one.
func (s *signalingClient) redirect(location string) error {
	to, err := s.endpoint.Parse(location)
	if err != nil || location == "" {
		return fmt.Errorf("the server redirects to %q, which is no URL", s.words(location))
	}
	if to, err = parseEndpoint(to.String()); err != nil {
		return fmt.Errorf("the server redirects to %w", err)
	}
	host := to.Host
	if s.words(location) != oneLine(location) {
		host = redact.Mark // partial secrets would not be redacted
	}
	switch {
	case isLoopback(to.Hostname()) != isLoopback(s.endpoint.Hostname()):
		return fmt.Errorf("the server redirects to another machine: dial %s itself", host)
	case s.options.Key != "" && (to.Scheme != s.endpoint.Scheme || to.Host != s.endpoint.Host):
		return fmt.Errorf("the server redirects to %s, which does not get the room key: dial it itself if it may", host)
	}
	if err := s.options.checkDial(to); err != nil {
		return fmt.Errorf("the server redirects to %s: %w", host, err)
	}
	s.options.Log.Info("redirected", "to", to.Host)
	s.endpoint = to
	return nil
}

// transportError returns the cause of a failed HTTP exchange, without the method and
// the address that net/http puts before it.
func transportError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if dialled, ok := errors.AsType[*net.OpError](err); ok && dialled.Op == "dial" {
		return dialled.Err
	}
	return err
}

// accept checks the server's response to an offer, and returns the answer.
func (s *signalingClient) accept(response *http.Response, body []byte) (string, error) {
	switch response.StatusCode {
	case http.StatusCreated:
	case http.StatusUnauthorized:
		return "", ErrKey
	case http.StatusServiceUnavailable:
		return "", fmt.Errorf("%w: %q", ErrBusy, s.words(string(body)))
	default:
		return "", fmt.Errorf("the server answered %s: %q", s.words(response.Status), s.words(string(body)))
	}
	s.session = s.locate(response.Header.Get("Location"))
	if !isDescription(response.Header) {
		return "", fmt.Errorf("the server answered with content type %q, not %s",
			s.words(response.Header.Get("Content-Type")), sdpType)
	}
	if len(body) > maxDescription {
		return "", fmt.Errorf("the server's answer is longer than %d bytes", maxDescription)
	}
	return string(body), nil
}

// words returns the server's message in one line, without the key.
func (s *signalingClient) words(text string) string { return oneLine(s.options.secrets.Text(text)) }

// locate resolves a Location header. It ignores one that points to another server.
func (s *signalingClient) locate(location string) *url.URL {
	session, err := s.endpoint.Parse(location)
	if err != nil || location == "" || session.Scheme != s.endpoint.Scheme || session.Host != s.endpoint.Host {
		return nil
	}
	return session
}

// delete tells the server that the session is over. It ignores errors: the server may
// be gone.
func (s *signalingClient) delete() {
	if s.session == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), max(deleteTimeout, s.options.CloseTimeout))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodDelete, s.session.String(), nil)
	if err != nil {
		return
	}
	s.options.authorize(request.Header)
	if response, err := s.client.Do(request); err == nil {
		_ = response.Body.Close()
	}
}

// isDescription reports whether a header announces a session description.
func isDescription(header http.Header) bool {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && kind == sdpType
}

// oneLine returns the first line of text, cut to a maximum length.
func oneLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	line = strings.TrimSpace(line)
	if len(line) > maxComplaint {
		return strings.ToValidUTF8(line[:maxComplaint], "") + "..."
	}
	return line
}
