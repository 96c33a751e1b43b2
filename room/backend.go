package room

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Backend joins rooms of one kind. Where it knows their limits before it joins
// one, it is an echo.Limiter too.
type Backend interface {
	// Join joins the room at an address. It refuses options that it cannot
	// heed, or that do not go together, with an *OptionError, and an address
	// that it cannot read with an *AddressError, before it connects to anything.
	Join(ctx context.Context, address string, o *Options) (*Connection, error)
}

// AddressError says that an address of the right scheme names no room.
type AddressError struct{ Err error }

// Error says what is wrong.
func (e *AddressError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *AddressError) Unwrap() error { return e.Err }

// UnknownSchemeError says that no backend is registered for an address.
type UnknownSchemeError struct {
	Scheme  string // empty where the address has none
	Address string // without what may be secret in it
}

// Error says what is wrong.
func (e *UnknownSchemeError) Error() string {
	return fmt.Sprintf("%q is not the address of a room: it begins with none of %s", e.Address,
		strings.Join(Schemes(), ", "))
}

// OptionError says which option a room cannot heed, or which settings do not go
// together.
type OptionError struct {
	Option string // the field of Options or of the backend, such as "Microphone"
	Err    error
}

// Error says what is wrong.
func (e *OptionError) Error() string { return e.Option + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *OptionError) Unwrap() error { return e.Err }

// CredentialError says which credential of a room is missing or cannot be used.
type CredentialError struct{ Err error }

// Error says what is wrong.
func (e *CredentialError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *CredentialError) Unwrap() error { return e.Err }

// UnreachableError says that a room could not be joined: nobody answers, it does
// not let us in, or something that it takes to join is missing here.
type UnreachableError struct{ Err error }

// Error says what is wrong.
func (e *UnreachableError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Inviter is a Backend whose rooms a replica joins with a token of ours.
type Inviter interface {
	// Invite makes the token with which an avatar joins the room at an address,
	// and tells the URL of its server. An empty avatar is the usual one.
	Invite(address, avatar string) (server, token string, err error)
}

// SpeechRater is a Backend whose replicas differ in the sampling rate that they
// take.
type SpeechRater interface {
	// SpeechRate returns the rate in Hz of what is said to an avatar, which may
	// be empty for the usual one.
	SpeechRate(avatar string) int
}

// Checker is a Backend that can tell without joining what joining would lack.
type Checker interface {
	// CheckCredentials returns a *CredentialError where one is missing, or cannot
	// be used.
	CheckCredentials(address string) error
	// CheckServer asks whether a server of this kind answers at an address. No
	// credential is sent. The error is an *AddressError or *UnreachableError.
	CheckServer(ctx context.Context, client *http.Client, address string) error
}

// registry holds the backends by their patterns.
var registry = struct {
	sync.RWMutex
	backends map[string]Backend
}{backends: map[string]Backend{}}

// Register makes a backend join the rooms whose address matches a pattern:
// "scheme", or "scheme://domain" for that domain and all below it, which comes
// first. It is called from init, and panics where the pattern is taken.
func Register(pattern string, b Backend) {
	registry.Lock()
	defer registry.Unlock()
	if _, taken := registry.backends[pattern]; taken {
		panic("room: " + pattern + " is registered twice")
	}
	registry.backends[pattern] = b
}

// Lookup returns the backend that is registered for an address, or an
// *UnknownSchemeError.
func Lookup(address string) (Backend, error) {
	u, err := url.Parse(address)
	if err != nil {
		u = &url.URL{}
	}
	registry.RLock()
	defer registry.RUnlock()
	for domain := u.Hostname(); domain != ""; _, domain, _ = strings.Cut(domain, ".") {
		if b, ok := registry.backends[u.Scheme+"://"+domain]; ok {
			return b, nil
		}
	}
	if b, ok := registry.backends[u.Scheme]; ok {
		return b, nil
	}
	return nil, &UnknownSchemeError{Scheme: u.Scheme, Address: withoutSecrets(address)}
}

// withoutSecrets leaves out of an address what stands before @ and behind ? or #.
func withoutSecrets(address string) string {
	address = address[:strings.IndexAny(address+"?", "?#")]
	return address[strings.LastIndex(address, "@")+1:]
}

// Schemes are the schemes that are registered, in order.
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
