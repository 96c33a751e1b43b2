package tavus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"echocast/internal/sleep"
	"echocast/logs"
)

const (
	// DefaultBaseURL is the scheme and host of Tavus's API.
	DefaultBaseURL = "https://tavusapi.com"
	// DefaultTimeout is how long one try of a call may take.
	DefaultTimeout = 30 * time.Second

	maxTries      = 4
	firstBackoff  = 250 * time.Millisecond
	maxRetryAfter = time.Minute // a longer wait is an error
	maxAnswer     = 1 << 20
)

// Client calls the API. Several goroutines may use it at the same time, and its fields must
// not change meanwhile.
type Client struct {
	// Key is the API key. It is required.
	Key Key
	// BaseURL is the scheme and host of the API. Empty means DefaultBaseURL. The scheme is
	// https, or http for this machine.
	BaseURL string
	// HTTP makes the requests. nil means http.DefaultClient. Redirects are never followed,
	// because the key would be sent with them.
	HTTP *http.Client
	// Timeout is how long one try of a call may take. 0 means DefaultTimeout.
	Timeout time.Duration
	// OnWait, if not nil, is called before a call is retried, with the reason and the
	// delay.
	OnWait func(why error, wait time.Duration)
}

// Check reports a missing key or an invalid BaseURL, without calling the API.
func (c *Client) Check() error {
	if c.Key.secret() == "" {
		return errors.New("there is no API key")
	}
	_, err := c.base()
	return err
}

// base returns the address of the API without a trailing slash.
func (c *Client) base() (string, error) {
	if c.BaseURL == "" {
		return DefaultBaseURL, nil
	}
	u, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("the base URL must be of the form https://HOST")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return "", errors.New("the base URL must begin with https://: the key must not cross the network unencrypted")
	}
	return strings.TrimRight(u.String(), "/"), nil
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// call describes one call of the API.
type call struct {
	method, path string
	query        url.Values
	body         any    // sent as JSON; nil: none
	message      []byte // replaces body; sent unchanged
	isRepeatable bool   // idempotent
}

// do makes a call, retries it if that is safe, and decodes the answer into out unless
// out is nil.
func (c *Client) do(ctx context.Context, call call, out any) error {
	for try := 1; ; try++ {
		err := c.try(ctx, call, out)
		wait, again := call.retry(err, try)
		if !again || ctx.Err() != nil {
			return err
		}
		logs.From(ctx).Info("the request is made again", "after", wait, "try", try)
		if c.OnWait != nil {
			c.OnWait(err, wait)
		}
		if cause := sleep.For(ctx, wait); cause != nil {
			return fmt.Errorf("%w, after %v", cause, err)
		}
	}
}

// retry decides whether to retry a failed call, and after how long.
func (c call) retry(err error, try int) (wait time.Duration, yes bool) {
	if err == nil || try == maxTries {
		return 0, false
	}
	wait = firstBackoff << (try - 1)
	wait += rand.N(wait / 4) // jitter: clients must not retry all at once
	answer, ok := errors.AsType[*APIError](err)
	if !ok {
		_, lost := errors.AsType[*TransportError](err)
		return wait, lost && c.isRepeatable
	}
	refused := answer.Status == http.StatusTooManyRequests // so the call had no effect
	failed := answer.Status >= 500 || answer.Status == http.StatusRequestTimeout
	return max(wait, answer.RetryAfter), (refused || failed && c.isRepeatable) && answer.RetryAfter <= maxRetryAfter
}

func (c *Client) try(ctx context.Context, call call, out any) error {
	limited, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	var sending progress
	request, err := c.request(sending.trace(limited), call)
	if err != nil {
		return err
	}
	log, start := logs.From(ctx).With("method", call.method, "path", call.path), time.Now()
	response, err := c.http().Do(request)
	if err != nil {
		err = c.transportError(ctx, call, &sending, err)
		log.Info("request without an answer", "took", time.Since(start), "error", err)
		return err
	}
	log.Info("request answered", "status", response.StatusCode, "took", time.Since(start))
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	success := response.StatusCode/100 == 2
	if success && out == nil {
		return nil // only the status counts
	}
	if err != nil && success {
		return c.transportError(ctx, call, &sending, err)
	}
	answer = []byte(c.Key.redact(string(answer)))
	switch {
	case !success:
		return c.apiError(call, response, answer)
	case len(answer) > maxAnswer:
		return call.answerError(response, fmt.Sprintf("the answer is longer than %d bytes", maxAnswer), answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return call.answerError(response, "the answer is not the JSON that is documented", answer)
	}
	return nil
}

func (c *Client) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return DefaultTimeout
}

func (c *Client) http() *http.Client {
	client := http.DefaultClient
	if c.HTTP != nil {
		client = c.HTTP
	}
	careful := *client
	careful.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &careful
}

// progress traces how far a request was sent.
type progress struct{ wantsConn, hasConn, failedToWrite atomic.Bool }

func (p *progress) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { p.wantsConn.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { p.hasConn.Store(true) },
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err != nil {
				p.failedToWrite.Store(true)
			}
		},
	})
}

// incomplete reports whether the service certainly did not receive the whole request. In
// that case it cannot have acted on it.
func (p *progress) incomplete() bool {
	return p.failedToWrite.Load() || p.wantsConn.Load() && !p.hasConn.Load()
}

func (c *Client) request(ctx context.Context, call call) (*http.Request, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	address, _ := c.base() // it was checked before
	address += call.path
	if len(call.query) > 0 {
		address += "?" + call.query.Encode()
	}
	body := call.message
	if call.body != nil {
		var err error
		if body, err = json.Marshal(call.body); err != nil {
			return nil, fmt.Errorf("tavus: %s %s: %w", call.method, call.path, err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, call.method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("tavus: %s %s: %w", call.method, call.path, err)
	}
	request.Header.Set("x-api-key", c.Key.secret())
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "echocast")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return request, nil
}

// transportError returns the error of a call without an answer.
func (c *Client) transportError(ctx context.Context, call call, sending *progress, err error) error {
	unsent := neverSent(err) || sending.incomplete()
	lost := &TransportError{err: err, isUnsent: unsent, cause: context.Cause(ctx)}
	why := ""
	switch {
	case lost.cause != nil:
		why = lost.cause.Error()
	case errors.Is(err, context.DeadlineExceeded):
		why = fmt.Sprintf("no answer within %v", c.timeout())
	default:
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err // our text has the URL and the method
		}
		why = oneLine(c.Key.redact(err.Error()), longestMessage)
	}
	lost.text = fmt.Sprintf("tavus: %s %s: %s", call.method, call.path, why)
	return lost
}

// apiError returns the error for an answer that reports a failure.
func (c *Client) apiError(call call, response *http.Response, body []byte) error {
	refused := call.answerError(response, c.Key.redact(messageIn(body)), body)
	refused.RetryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
	if target, err := response.Location(); err == nil && response.StatusCode/100 == 3 {
		refused.Message = "it redirects to " + oneLine(c.Key.redact(target.Host), longestMessage)
	}
	return refused
}

func (c call) answerError(response *http.Response, message string, body []byte) *APIError {
	return &APIError{Method: c.method, Path: c.path, Status: response.StatusCode, Message: message,
		Body: beginning(string(body), longestBody)}
}

// retryAfter reads the Retry-After header: seconds, or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(seconds, 0), 1<<20)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// idPattern matches valid ids, so that no id can change the path of a call.
var idPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$`) })

// CheckID returns an error if id cannot be the id of a conversation, PAL or face.
func CheckID(id string) error {
	if !idPattern().MatchString(id) {
		return fmt.Errorf("%q is not an id: ids have letters, digits, - and _", beginning(id, 40))
	}
	return nil
}

// item returns the path of one object of a collection.
func item(collection, id string) (string, error) {
	return collection + "/" + id, CheckID(id)
}
