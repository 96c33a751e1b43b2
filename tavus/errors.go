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

// APIError reports an answer that says that a call failed, or that cannot be parsed.
type APIError struct {
	Method, Path string
	Status       int           // HTTP status; 2xx if the answer could not be parsed
	Message      string        // the service's message in one line; may be empty
	Body         string        // the first 512 bytes of the answer at most, without the key
	RetryAfter   time.Duration // how long the service asks to wait; 0: not given
}

// Error returns the call, the answer and what to do.
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

// Hint returns what to do about the error, or "" if that is not known.
func (e *APIError) Hint() string {
	switch {
	case e.Status < 300:
		return "this is not the Tavus API, or a newer version"
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
		return "its state does not allow that now: check it first"
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

// TransportError reports a call that got no answer.
type TransportError struct {
	text     string
	err      error // not shown: it may quote the server
	cause    error // of the caller's context, if that ended the call
	isUnsent bool  // the service certainly did not receive the request
}

// Error returns the call, and why there is no answer.
func (e *TransportError) Error() string { return e.text }

// Unwrap returns the cause of the caller's context, if that ended the call.
func (e *TransportError) Unwrap() error { return e.cause }

// WasNotSent reports whether the service certainly did not receive the request.
func (e *TransportError) WasNotSent() bool { return e.isUnsent }

// Is lets errors.Is match errors of the network and of deadlines.
func (e *TransportError) Is(target error) bool { return errors.Is(e.err, target) }

// neverSent reports whether an error occurs only before a request is written.
func neverSent(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "dial" || op.Op == "proxyconnect") {
		return true
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	return untrusted
}

// UncertainError reports a conversation that may or may not have been created.
type UncertainError struct {
	Name string // the unique name of the conversation
	err  error
}

// Error names the conversation, and says why its state is unknown.
func (e *UncertainError) Error() string {
	return fmt.Sprintf("it is unknown whether conversation %s was created: %v", e.Name, e.err)
}

// Unwrap returns why the state is unknown.
func (e *UncertainError) Unwrap() error { return e.err }

// mayHaveHappened reports whether a failed call may still have had its effect.
func mayHaveHappened(err error) bool {
	if lost, ok := errors.AsType[*TransportError](err); ok {
		return !lost.isUnsent
	}
	answer, ok := errors.AsType[*APIError](err)
	return ok && (answer.Status < 300 || answer.Status == http.StatusRequestTimeout || answer.Status >= 500)
}

// statusOf returns the HTTP status of an *APIError, or 0 for other errors.
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

// messageIn returns the message in the body of an error. It looks for all known keys, also
// one level down. It returns "" for an HTML page.
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

// oneLine returns text without line breaks and control characters, cut to n bytes.
func oneLine(text string, n int) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
	return beginning(strings.Join(strings.Fields(text), " "), n)
}

// beginning returns at most the first n bytes of text, without cutting a character.
func beginning(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
