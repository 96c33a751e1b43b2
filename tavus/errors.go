package tavus

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// APIError is an answer that reports a failure or cannot be understood.
type APIError struct {
	Method, Path string
	Status       int           // of HTTP; 2xx where the answer could not be understood
	Message      string        // what the service says, in one line; may be empty
	Body         string        // the beginning of the answer, 512 bytes at most, without the key
	RetryAfter   time.Duration // how long the service asks to wait; 0: it does not
}

// Error says what was asked, what was answered and what to do.
func (e *APIError) Error() string {
	text := fmt.Sprintf("tavus: %s %s: %d", e.Method, e.Path, e.Status)
	if name := http.StatusText(e.Status); name != "" && e.Status >= 300 {
		text += " " + name
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if hint := e.Hint(); hint != "" {
		text += "; " + hint
	}
	return text
}

// Hint says what to do about the error, or nothing where that is unknown.
func (e *APIError) Hint() string {
	switch {
	case e.Status < 300:
		return "this is not the Tavus API, or a newer one"
	case e.Status < 400:
		return "echocast does not send the key to another address: name it with --base-url if it is right"
	case e.Status == 400 && strings.Contains(strings.ToLower(e.Message), "concurrent"):
		return "end a conversation first"
	case e.Status == 401:
		return "check the API key"
	case e.Status == 402:
		return "the account has no credit or plan for this"
	case e.Status == 403:
		return "this key may not do that"
	case e.Status == 404:
		return "check the id, and that the key is of the same account"
	case e.Status == 409:
		return "its state does not allow that now; look at it first"
	case e.Status == 400, e.Status == 422:
		return "check the ids and options"
	case e.Status == 429 && e.RetryAfter > 0:
		return fmt.Sprintf("try again in %v", e.RetryAfter)
	case e.Status == 429:
		return "too much at once: try again later"
	case e.Status >= 500:
		return "the service has a problem: try again later"
	}
	return ""
}

// TransportError is a call without an answer.
type TransportError struct {
	text     string
	err      error // is not shown: it may hold what the server sent
	cause    error // of the caller's context, where that ended the call
	isUnsent bool  // the service certainly never saw it
}

// Error says what was called and why there is no answer.
func (e *TransportError) Error() string { return e.text }

// Unwrap is the cause of the caller's context, where that ended the call.
func (e *TransportError) Unwrap() error { return e.cause }

// Unsent reports whether the service certainly did not receive the request.
func (e *TransportError) Unsent() bool { return e.isUnsent }

// Is lets callers test for errors of the network and of deadlines.
func (e *TransportError) Is(target error) bool { return errors.Is(e.err, target) }

// neverSent reports errors that come before a request is written.
func neverSent(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "dial" || op.Op == "proxyconnect") {
		return true
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	return untrusted
}

// UncertainError is a creation of which it is unknown whether it happened.
type UncertainError struct {
	Name string // the unique name of the conversation
	err  error
}

// Error says which conversation it is and why that is unknown.
func (e *UncertainError) Error() string {
	return fmt.Sprintf("it is unknown whether conversation %s was created: %v", e.Name, e.err)
}

// Unwrap is why it is not known.
func (e *UncertainError) Unwrap() error { return e.err }

// mayHaveHappened reports whether a call that failed may have had its effect.
func mayHaveHappened(err error) bool {
	if lost, ok := errors.AsType[*TransportError](err); ok {
		return !lost.isUnsent
	}
	answer, ok := errors.AsType[*APIError](err)
	return ok && (answer.Status < 300 || answer.Status == http.StatusRequestTimeout || answer.Status >= 500)
}

// statusOf is the HTTP status of an answer that was an error, else 0.
func statusOf(err error) int {
	if answer, ok := errors.AsType[*APIError](err); ok {
		return answer.Status
	}
	return 0
}

const (
	longestMessage = 200
	longestBody    = 512
)

// messageIn returns what the body of an error says, under any of its keys, also
// where it is nested once more. It is empty for a page of HTML.
func messageIn(body []byte) string {
	var both struct{ Error, Message, Detail json.RawMessage }
	if json.Unmarshal(body, &both) != nil {
		return ""
	}
	for _, raw := range []json.RawMessage{both.Error, both.Message, both.Detail} {
		var text string
		switch {
		case len(raw) == 0 || string(raw) == "null":
			continue
		case json.Unmarshal(raw, &text) != nil:
			if text = messageIn(raw); text == "" {
				text = string(raw)
			}
		}
		if text = oneLine(text, longestMessage); text != "" {
			return text
		}
	}
	return ""
}

// oneLine is text without line breaks and control characters, cut after n bytes.
func oneLine(text string, n int) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
	return beginning(strings.Join(strings.Fields(text), " "), n)
}

// beginning is the first n bytes of text, or less to keep characters whole.
func beginning(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
