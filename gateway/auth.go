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
	errForeign = errors.New("pages of this origin are not allowed; --allow-origin allows an origin")
	errHost    = errors.New("without --tokens, the host must be localhost or an IP address, and no other name")
	errToken   = errors.New("a bearer token of this gateway is needed: Authorization: Bearer TOKEN")
)

// scopeError says that a token does not allow a request.
type scopeError struct{ needs token.Scope }

func (e *scopeError) Error() string { return fmt.Sprintf("this token does not allow to %s", e.needs) }

// caller identifies who made a request.
type caller struct {
	name   string // name of the token; empty if none is needed
	scopes []token.Scope
}

// socketToken is the prefix of the WebSocket subprotocol that carries a bearer token: a
// browser cannot send one in a header.
const socketToken = "echocast.token."

// bearer returns the token of a request.
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

// authorize returns who made a request, and refuses what their token does not allow. Without a
// file of tokens everybody who reaches the gateway may do everything, but a wrong token is
// refused.
func (a *api) authorize(r *http.Request, needs token.Scope) (caller, error) {
	secret, tokens := bearer(r), a.gateway.options.Tokens
	who := caller{scopes: token.All}
	if secret != "" {
		var err error
		if who, err = a.find(r, secret); err != nil {
			return who, err
		}
	} else if tokens != nil && needs != "" {
		return who, errToken
	}
	if needs != "" && !slices.Contains(who.scopes, needs) {
		return who, &scopeError{needs}
	}
	return who, nil
}

// find looks a token up in the file, and compares it with the token of the conversation that
// the request names. While no node holds that conversation, nobody knows its token.
func (a *api) find(r *http.Request, secret string) (caller, error) {
	if tokens := a.gateway.options.Tokens; tokens != nil {
		if entry, ok := tokens.Find(secret); ok {
			return caller{name: entry.Name, scopes: entry.Scopes}, nil
		}
	}
	c, err := a.conversation(r)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return caller{}, err
	case err != nil || !c.hasToken(secret):
		return caller{}, errToken
	}
	return caller{scopes: []token.Scope{token.Speak, token.Listen}}, nil
}

// refuseForeign refuses a request unless it comes from this server's own pages, from those of
// an allowed origin, or from no page. If no token is needed, the host must be an address of
// this machine: any other name could belong to a site with a page that points it here.
func (a *api) refuseForeign(r *http.Request) error {
	if a.isAllowedOrigin(r) {
		return nil
	}
	if !slices.Contains([]string{"", "none", "same-origin"}, r.Header.Get("Sec-Fetch-Site")) {
		return errForeign
	}
	for _, origin := range r.Header.Values("Origin") {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return errForeign
		}
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if a.gateway.options.Tokens == nil && host != "localhost" && net.ParseIP(strings.Trim(host, "[]")) == nil {
		return errHost
	}
	return nil
}

// isAllowedOrigin reports whether the request comes from a page of an allowed origin.
func (a *api) isAllowedOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	return len(origins) == 1 && slices.Contains(a.gateway.options.AllowOrigins, origins[0])
}

// allowPage tells the browser what a page of an allowed origin may do. It reports whether the
// request was only a preflight that asks for that.
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
