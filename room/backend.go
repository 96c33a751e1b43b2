package room

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Backend joins rooms of one kind. A Backend that knows the limits of its rooms before
// joining also implements echo.Limiter.
type Backend interface {
	// Join joins the room at an address. Before connecting, it returns an *OptionError
	// for options that it does not support or that contradict each other, and an
	// *AddressError for an address that it cannot read.
	Join(ctx context.Context, address string, o *Options) (*Connection, error)
}

// AddressError reports an address with a known scheme that names no room.
type AddressError struct{ Err error }

// Error says what is wrong.
func (e *AddressError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *AddressError) Unwrap() error { return e.Err }

// UnknownSchemeError reports an address for which no backend is registered.
type UnknownSchemeError struct {
	Scheme  string // empty if the address has none
	Address string // without parts that may be secret
}

// Error says what is wrong.
func (e *UnknownSchemeError) Error() string {
	return fmt.Sprintf("%q is not the address of a room: it begins with none of %s", e.Address,
		strings.Join(Schemes(), ", "))
}

// OptionError reports an option that a room does not support, or settings that
// contradict each other.
type OptionError struct {
	Option string // the field of Options or of the backend, such as "Microphone"
	Err    error
}

// Error says what is wrong.
func (e *OptionError) Error() string { return e.Option + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *OptionError) Unwrap() error { return e.Err }

// CredentialError reports a credential that is missing or unusable.
type CredentialError struct{ Err error }

// Error says what is wrong.
func (e *CredentialError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *CredentialError) Unwrap() error { return e.Err }

// RefusedError reports a room, or a service, that was reached and refused us, such as for an
// invalid token.
type RefusedError struct{ Err error }

// Error says what is wrong.
func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

// UnreachableError reports a room that could not be joined: it does not answer, or this
// machine lacks a program that joining needs.
type UnreachableError struct{ Err error }

// Error says what is wrong.
func (e *UnreachableError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Inviter is a Backend that makes tokens for replicas to join its rooms.
type Inviter interface {
	// Invite makes a token with which an avatar joins the room at an address. It returns
	// the token and the URL of the server. An empty avatar means the default avatar.
	Invite(address, avatar string) (server, token string, err error)
}

// SpeechRater is a Backend whose replicas take speech at different sampling rates.
type SpeechRater interface {
	// SpeechRate returns the rate in Hz of speech for an avatar. An empty avatar means the
	// default avatar.
	SpeechRate(avatar string) int
}

// Checker is a Backend that can check requirements without joining.
type Checker interface {
	// CheckCredentials returns a *CredentialError if one is missing or unusable.
	CheckCredentials(address string) error
	// CheckServer checks that a server of this kind answers at an address. It sends no
	// credential. The error is an *AddressError or *UnreachableError.
	CheckServer(ctx context.Context, client *http.Client, address string) error
}

// registry holds the backends by their patterns.
var registry = struct {
	sync.RWMutex
	backends map[string]Backend
}{backends: map[string]Backend{}}

// Register registers a backend for the addresses that match a pattern. The pattern is
// "scheme", or "scheme://domain" for that domain and its subdomains. A pattern with a
// domain takes precedence. Backends call Register from init. It panics if the pattern is
// already registered.
func Register(pattern string, b Backend) {
	registry.Lock()
	defer registry.Unlock()
	if _, taken := registry.backends[pattern]; taken {
		panic("room: " + pattern + " is registered twice")
	}
	registry.backends[pattern] = b
}

// Lookup returns the backend that is registered for an address, an *UnknownSchemeError, or
// an *AddressError if the rest of the address is malformed.
func Lookup(address string) (Backend, error) {
	u, err := url.Parse(address)
	if err != nil {
		scheme, _, _ := strings.Cut(address, "://")
		u = &url.URL{Scheme: scheme}
	}
	backend := registered(u)
	if backend == nil {
		return nil, &UnknownSchemeError{Scheme: u.Scheme, Address: withoutSecrets(address)}
	}
	if port := u.Port(); err == nil && port != "" {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil { // it may quote secrets
		return nil, &AddressError{fmt.Errorf("%q has a malformed host or port", withoutSecrets(address))}
	}
	return backend, nil
}

// registered returns the backend for a URL, or nil.
func registered(u *url.URL) Backend {
	registry.RLock()
	defer registry.RUnlock()
	for domain := u.Hostname(); domain != ""; _, domain, _ = strings.Cut(domain, ".") {
		if b, ok := registry.backends[u.Scheme+"://"+domain]; ok {
			return b
		}
	}
	return registry.backends[u.Scheme]
}

// withoutSecrets removes the parts of an address before @ and after ? or #.
func withoutSecrets(address string) string {
	address = address[:strings.IndexAny(address+"?", "?#")]
	return address[strings.LastIndex(address, "@")+1:]
}

// Schemes returns the registered schemes, sorted.
func Schemes() []string {
	registry.RLock()
	defer registry.RUnlock()
	var schemes []string
	for pattern := range registry.backends {
		if !strings.Contains(pattern, "://") {
			schemes = append(schemes, pattern)
		}
	}
	slices.Sort(schemes)
	return schemes
}
