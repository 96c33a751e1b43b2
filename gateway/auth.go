package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"echocast/gateway/token"
)

var (
	errForeign = errors.New("a page of another origin may not ask; --allow-origin names those that may")
	errToken   = errors.New("this needs a bearer token that is known here: Authorization: Bearer TOKEN")
)

// scopeError is a token that does not allow what was asked for.
type scopeError struct{ needs token.Scope }

func (e *scopeError) Error() string { return fmt.Sprintf("this token does not allow to %s", e.needs) }

// caller is who makes a request.
type caller struct {
	name   string // of the token; empty where none is needed
	scopes []token.Scope
}

// socketToken begins the subprotocol of a WebSocket that carries a bearer token, since
// a browser cannot send it otherwise.
const socketToken = "echocast.token."

// bearer is the token of a request.
func bearer(r *http.Request) string {
	if scheme, secret, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(secret)
	}
	for _, protocol := range subprotocols(r) {
		if secret, ok := strings.CutPrefix(protocol, socketToken); ok {
			return secret
		}
	}
	return ""
}

func subprotocols(r *http.Request) (all []string) {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for protocol := range strings.SplitSeq(line, ",") {
			all = append(all, strings.TrimSpace(protocol))
		}
	}
	return all
}

// authorize says who makes a request, and refuses what they may not do. Without a file
// of tokens everybody who reaches the gateway may do all, but a wrong token is refused.
func (a *api) authorize(r *http.Request, needs token.Scope) (caller, error) {
	secret, tokens := bearer(r), a.gateway.options.Tokens
	who := caller{scopes: token.All}
	if secret != "" {
		var ok bool
		if who, ok = a.find(r, secret); !ok {
			return who, errToken
		}
	} else if tokens != nil && needs != "" {
		return who, errToken
	}
	if needs != "" && !slices.Contains(who.scopes, needs) {
		return who, &scopeError{needs}
	}
	return who, nil
}

// find finds a token among those of the file, and of the conversation that is asked
// for.
func (a *api) find(r *http.Request, secret string) (caller, bool) {
	if tokens := a.gateway.options.Tokens; tokens != nil {
		if entry, ok := tokens.Find(secret); ok {
			return caller{name: entry.Name, scopes: entry.Scopes}, true
		}
	}
	c, err := a.conversation(r)
	if err != nil || !c.hasToken(secret) {
		return caller{}, false
	}
	return caller{scopes: []token.Scope{token.Speak, token.Listen}}, true
}

// isAllowed reports whether a request comes from this server's own pages, from those
// of an origin that is allowed, or from no page. Where no token is needed, the host has
// to be an address of this machine: any other name could be another site's, whose page
// points it here.
func (a *api) isAllowed(r *http.Request) bool {
	if a.isAllowedOrigin(r) {
		return true
	}
	if !slices.Contains([]string{"", "none", "same-origin"}, r.Header.Get("Sec-Fetch-Site")) {
		return false
	}
	for _, origin := range r.Header.Values("Origin") {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return a.gateway.options.Tokens != nil || host == "localhost" || net.ParseIP(strings.Trim(host, "[]")) != nil
}

// isAllowedOrigin reports whether a page of an origin that is allowed asks.
func (a *api) isAllowedOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	return len(origins) == 1 && slices.Contains(a.gateway.options.AllowOrigins, origins[0])
}

// allowPage tells the browser what a page of an allowed origin may do, and reports
// whether that was all it asked for.
func (a *api) allowPage(w http.ResponseWriter, r *http.Request) bool {
	if !a.isAllowedOrigin(r) {
		return false
	}
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	header.Set("Vary", "Origin")
	header.Set("Access-Control-Expose-Headers", "Location, Retry-After, Echocast-Utterance")
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	header.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
	header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer")
	header.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}
