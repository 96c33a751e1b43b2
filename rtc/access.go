package rtc

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// guard checks who may connect, before a handler gets the request. It accepts the offers
// and DELETE requests that WHIP defines, also from pages of this machine.
func (l *Listener) guard(public bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", l.handleOffer)
	mux.HandleFunc("DELETE /{session}", l.handleDelete)
	handshake := withCORS(l.onlyWithKey(mux))
	if l.options.Handler == nil {
		return onlyLocal(public, handshake)
	}
	return onlyLocal(public, withFolders(handshake, l.options.Handler))
}

// withFolders passes requests for files in folders to another handler. The handshake uses
// no folders.
func withFolders(handshake, folders http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(strings.TrimPrefix(r.URL.Path, "/"), "/") {
			folders.ServeHTTP(w, r)
			return
		}
		handshake.ServeHTTP(w, r)
	})
}

// onlyLocal accepts requests from this machine: from a program, or from a page of a local
// server. It refuses pages of other sites by their Origin. It also checks the Host, in case
// the name of another site was made to point here. A public server has other names too, so
// there it checks only the Origin.
func onlyLocal(public bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !public && !isLoopback(hostname(r.Host)) || !isLocalOrigin(r.Header.Values("Origin")) {
			http.Error(w, "only requests from this machine are accepted", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// withCORS adds the CORS headers for pages of this machine, and answers the preflight
// request.
func withCORS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Accept-Post", sdpType)
		if origin := r.Header.Get("Origin"); origin != "" {
			header.Set("Access-Control-Allow-Origin", origin)
			header.Set("Access-Control-Expose-Headers", "Location")
			header.Add("Vary", "Origin")
		}
		if r.Method != http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		header.Set("Access-Control-Allow-Methods", "POST, DELETE")
		header.Set("Access-Control-Allow-Headers", "Content-Type, Authorization")
		header.Set("Access-Control-Allow-Private-Network", "true")
		w.WriteHeader(http.StatusNoContent)
	})
}

// onlyWithKey accepts requests with the key, if a key is set. It compares the key in
// constant time. An address that sends many wrong keys is refused for a while.
func (l *Listener) onlyWithKey(next http.Handler) http.Handler {
	if l.options.Key == "" {
		return next
	}
	want := sha256.Sum256([]byte(bearer + l.options.Key))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := addressOf(r)
		if l.wrong.tooMany(from) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many wrong room keys", http.StatusTooManyRequests)
			return
		}
		got := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			l.wrong.count(from)
			l.options.Warn("a wrong room key, or none, came from " + r.RemoteAddr)
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, ErrKey.Error(), http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// addressOf returns the address of a request's sender. For IPv6 it returns the /64 network,
// because one machine may use any address in it.
func addressOf(r *http.Request) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	address := from.Addr().Unmap()
	if err != nil || address.Is4() {
		return address
	}
	network, _ := address.WithZone("").Prefix(64) // an IPv6 address has one
	return network.Addr()
}

// Limits for wrong keys from one address.
const (
	wrongKeyBurst    = 30
	wrongKeyInterval = time.Second

	maxAddresses = 10_000 // that are remembered
)

// wrongKeys counts the wrong keys of each address.
type wrongKeys struct {
	mu     sync.Mutex
	limits map[netip.Addr]*rate.Limiter
}

// tooMany reports whether an address has recently sent too many wrong keys.
func (k *wrongKeys) tooMany(from netip.Addr) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	limit := k.limits[from]
	return limit != nil && limit.Tokens() < 1
}

// count counts a wrong key.
func (k *wrongKeys) count(from netip.Addr) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.limits == nil || len(k.limits) >= maxAddresses {
		k.limits = make(map[netip.Addr]*rate.Limiter)
	}
	limit := k.limits[from]
	if limit == nil {
		limit = rate.NewLimiter(rate.Every(wrongKeyInterval), wrongKeyBurst)
		k.limits[from] = limit
	}
	limit.Allow()
}

// addressSlots counts how many slots each address holds.
type addressSlots struct {
	mu    sync.Mutex
	taken map[netip.Addr]int
}

// take takes a slot for an address. It reports false if the address already holds the most
// it may.
func (s *addressSlots) take(from netip.Addr, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[from] >= most {
		return false
	}
	if s.taken == nil {
		s.taken = make(map[netip.Addr]int)
	}
	s.taken[from]++
	return true
}

func (s *addressSlots) release(from netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[from]--; s.taken[from] == 0 {
		delete(s.taken, from)
	}
}

// hostname removes the port from a Host header.
func hostname(host string) string {
	return (&url.URL{Host: host}).Hostname()
}

// isLocalOrigin reports whether a request has no Origin, or one on this machine.
func isLocalOrigin(origins []string) bool {
	for _, origin := range origins {
		parsed, err := url.Parse(origin)
		if err != nil || !isLoopback(parsed.Hostname()) {
			return false
		}
	}
	return true
}

// isLoopback reports whether a host, without port and brackets, is this
// machine: localhost, 127.0.0.0/8 or ::1.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Zone() == "" && address.Unmap().IsLoopback()
}
